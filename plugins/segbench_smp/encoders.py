"""The names of encoders, and what is known of each before it is built."""

from __future__ import annotations

from difflib import get_close_matches

import segmentation_models_pytorch as smp
import timm

from segbench import SegbenchError

# Prefix of encoders that SMP takes from timm.
TIMM_PREFIX = "tu-"

Statistics = tuple[tuple[float, ...], tuple[float, ...]]

IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF: Statistics = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
DPN: Statistics = ((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3)

# SMP's own encoders whose published weights are not of ImageNet's usual mean and standard deviation (SMP's
# encoders/_legacy_pretrained_settings.py); its newer releases know them only through the hub.
EXCEPTIONS: tuple[tuple[str, Statistics], ...] = (
    ("inception", HALF),
    ("xception", HALF),
    ("timm-tf_efficientnet_lite", HALF),
    ("dpn", DPN),
)


def check_encoder(encoder: str) -> None:
    """Raise SegbenchError, with the nearest names, unless SMP or timm knows the encoder."""
    own = smp.encoders.get_encoder_names()
    if encoder in own or (is_from_timm(encoder) and _is_in_timm(timm_name(encoder))):
        return
    names = timm.list_pretrained() if "." in encoder else timm.list_models()
    known = own + [TIMM_PREFIX + name for name in names]
    near = get_close_matches(encoder, known, n=3) or get_close_matches(TIMM_PREFIX + encoder, known, n=3)
    raise SegbenchError(
        f"encoder {encoder!r} is unknown; give one of SMP's own encoders (resnet18, mit_b0, ...) or 'tu-' and the name "
        "of a timm model" + (f"; nearest: {', '.join(near)}" if near else "")
    )


def is_from_timm(encoder: str) -> bool:
    """Tell whether SMP takes the encoder from timm as it is."""
    return encoder.startswith(TIMM_PREFIX)


def timm_name(encoder: str) -> str:
    """Return timm's name of the encoder.

    >>> timm_name("tu-resnet50.a1_in1k")
    'resnet50.a1_in1k'
    """
    return encoder.removeprefix(TIMM_PREFIX)


def hub_tags(encoder: str) -> list[str]:
    """Return the tags of weights that the hub has for the encoder."""
    if is_from_timm(encoder):
        return ["imagenet"]
    return list(smp.encoders.encoders[encoder]["pretrained_settings"])


def hub_statistics(encoder: str, tag: str) -> Statistics:
    """Return mean and standard deviation, for images in [0, 1], that weights from the hub were trained with."""
    if is_from_timm(encoder):
        return file_statistics(encoder)
    settings = smp.encoders.get_preprocessing_params(encoder, pretrained=tag)
    return tuple(settings["mean"]), tuple(settings["std"])


def file_statistics(encoder: str) -> Statistics:
    """Return mean and standard deviation, for images in [0, 1], that the encoder's weights are usually trained with."""
    if is_from_timm(encoder):
        published = timm.models.get_pretrained_cfg(timm_name(encoder))
        return (tuple(published.mean), tuple(published.std)) if published else IMAGENET
    return next((statistics for prefix, statistics in EXCEPTIONS if encoder.startswith(prefix)), IMAGENET)


def _is_in_timm(name: str) -> bool:
    # A tag of pretrained weights may follow the name after a dot.
    return timm.is_model(name) and ("." not in name or name in timm.list_pretrained())
