"""First-party components: timm/, any backbone of timm with a light decoder.

Every component takes these options:

- `backbone`: the name of a timm model, with or without a pretrained tag (`resnet18`, `convnext_atto.d2_in1k`)
- `weights`: `none`; `imagenet`, the weights of the backbone's tag or else of timm's default one, from the Hugging Face
  hub; another tag that timm has for the backbone (`a1_in1k`), likewise; or the path of a .safetensors or .pth file that
  holds the weights of the classification network. With weights the images are converted to the mean and standard
  deviation that these were trained with.
- `out_indices`: which of the backbone's feature maps the decoder reads, by their places in timm's `features_only`; by
  default all of stride 4 and more
- `width`: the channels that each feature map is brought to

Backbones that take images of one size only are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench import Component, hookimpl

from .known import Backbone  # noqa: TC001 - the types of options are evaluated

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUIRES = ("timm", "torch")

# timm's smallest network, made for tests.
EXAMPLE = {"backbone": "test_resnet", "width": 16}


def build_fpn(
    in_channels: int,
    num_classes: int,
    *,
    backbone: Backbone = "resnet18",
    weights: str = "none",
    out_indices: list[int] | None = None,
    width: int = 128,
) -> Any:
    """Build a backbone with a top-down pathway, of which the finest map is classified."""
    from .decoders import TopDown
    from .networks import build_network

    return build_network(TopDown, in_channels, num_classes, backbone, weights, out_indices, width)


def build_mlp(
    in_channels: int,
    num_classes: int,
    *,
    backbone: Backbone = "resnet18",
    weights: str = "none",
    out_indices: list[int] | None = None,
    width: int = 128,
) -> Any:
    """Build a backbone whose feature maps are projected, resized to the finest, joined and classified."""
    from .decoders import AllAtOnce
    from .networks import build_network

    return build_network(AllAtOnce, in_channels, num_classes, backbone, weights, out_indices, width)


@hookimpl
def segbench_generators() -> Iterable[Component]:
    """Yield one generator a decoder."""
    yield Component(
        "fpn",
        build_fpn,
        "Any timm backbone with a top-down pathway (Lin 2017) of one smoothing convolution",
        requires=REQUIRES,
        example_options=EXAMPLE,
    )
    yield Component(
        "mlp",
        build_mlp,
        "Any timm backbone with an all-MLP decoder as in SegFormer (Xie 2021)",
        requires=REQUIRES,
        example_options=EXAMPLE,
    )
