"""First-party components: tv/, the segmentation networks of torchvision.

Every component takes these options:

- `backbone`: the network that makes the features
- `backbone_weights`: `none`; `imagenet` (torchvision's IMAGENET1K_V1, downloaded); or the path of a .safetensors or
  .pth file that holds the weights of torchvision's classification network of that name. With weights the images are
  converted to the mean and standard deviation that torchvision trained with.
- `aux_loss`: train a second head on an earlier stage as well, its cross-entropy weighing 0.4 (PSPNet, Zhao 2017)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from segbench import Component, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUIRES = ("torch", "torchvision")


def build_deeplabv3(
    in_channels: int,
    num_classes: int,
    *,
    backbone: Literal["resnet50", "resnet101", "mobilenet_v3_large"] = "resnet50",
    backbone_weights: str = "none",
    aux_loss: bool = False,
) -> Any:
    """Build torchvision's DeepLabV3."""
    from .networks import build_network

    return build_network("deeplabv3", in_channels, num_classes, backbone, backbone_weights, aux_loss=aux_loss)


def build_fcn(
    in_channels: int,
    num_classes: int,
    *,
    backbone: Literal["resnet50", "resnet101"] = "resnet50",
    backbone_weights: str = "none",
    aux_loss: bool = False,
) -> Any:
    """Build torchvision's FCN."""
    from .networks import build_network

    return build_network("fcn", in_channels, num_classes, backbone, backbone_weights, aux_loss=aux_loss)


def build_lraspp(
    in_channels: int,
    num_classes: int,
    *,
    backbone: Literal["mobilenet_v3_large"] = "mobilenet_v3_large",
    backbone_weights: str = "none",
) -> Any:
    """Build torchvision's Lite R-ASPP, which has no auxiliary head."""
    from .networks import build_network

    return build_network("lraspp", in_channels, num_classes, backbone, backbone_weights)


@hookimpl
def segbench_generators() -> Iterable[Component]:
    """Yield torchvision's three architectures."""
    yield Component(
        "deeplabv3",
        build_deeplabv3,
        "DeepLabV3 (Chen 2017) on a dilated backbone, at stride 8",
        requires=REQUIRES,
        example_options={"backbone": "mobilenet_v3_large", "aux_loss": True},
    )
    yield Component(
        "fcn",
        build_fcn,
        "FCN (Long 2015) on a dilated ResNet, at stride 8",
        requires=REQUIRES,
        example_options={"aux_loss": True},
    )
    yield Component("lraspp", build_lraspp, "Lite R-ASPP (Howard 2019), a real-time head", requires=REQUIRES)
