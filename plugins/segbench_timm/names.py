"""What timm is asked for: a model, and a tag of its pretrained weights."""

from __future__ import annotations

from difflib import get_close_matches

import timm

from segbench import SegbenchError, WeightsError
from segbench.weights import SUFFIXES


def check_backbone(backbone: str) -> None:
    """Raise SegbenchError, with the nearest names, unless timm has the model, and the tag where one is given."""
    model, _, tag = backbone.partition(".")
    if timm.is_model(model) and (not tag or tag in pretrained_tags(model)):
        return
    known = [f"{model}.{one}" for one in pretrained_tags(model)] if timm.is_model(model) else timm.list_models()
    near = get_close_matches(backbone, known, n=3) or known[: 3 if tag else 0]
    raise SegbenchError(
        f"timm: the backbone {backbone!r} is unknown; give the name of a model of timm, such as resnet18 or "
        "resnet18.a1_in1k" + (f"; nearest: {', '.join(near)}" if near else "")
    )


def pretrained_tags(model: str) -> list[str]:
    """Return the tags of pretrained weights that timm has for a model.

    >>> "a1_in1k" in pretrained_tags("resnet18")
    True
    """
    return [name.partition(".")[2] for name in timm.list_pretrained(f"{model}.*")]


def with_tag(backbone: str, weights: str) -> str:
    """Return timm's full name of a backbone with hub weights; WeightsError if timm has no such weights for it.

    >>> with_tag("resnet18", "imagenet"), with_tag("resnet18", "a3_in1k")
    ('resnet18.a1_in1k', 'resnet18.a3_in1k')
    """
    model, _, tag = backbone.partition(".")
    tags = pretrained_tags(model)
    if weights == "imagenet":
        weights = tag or timm.models.get_pretrained_cfg(model).tag
    if weights not in tags:
        raise WeightsError(
            f"weights: {weights!r} is no tag that timm has for {model}; give none, imagenet, "
            f"{', '.join(tags) if tags else 'no tag (there is none)'}, or the path of a file ending in "
            f"{', '.join(SUFFIXES)}"
        )
    if tag and weights != tag:
        raise WeightsError(f"weights: {weights!r}, but the backbone is {backbone}; name one tag")
    return f"{model}.{weights}"
