"""First-party components: classic/, the networks that the field grew from, each written from its paper.

FCN-8s, SegNet and DeepLab-LargeFOV begin with VGG-16, and take this option:

- `backbone_weights`: `none`; `imagenet` (torchvision's IMAGENET1K_V1, downloaded); or the path of a .safetensors or
  .pth file that holds the weights of torchvision's `vgg16` (SegNet: `vgg16_bn`), with its classifier for FCN-8s and
  DeepLab, which take over its fully connected layers. With weights the images are converted to the mean and standard
  deviation that torchvision trained with.

Options of several networks:

- `dropout`: the share of values that training sets to 0 where the paper does so
- `padding`: where the border comes from that convolutions eat up; the default is the paper's
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from segbench import Component, SegbenchError, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUIRES = ("torch", "torchvision")


def build_deeplab_largefov(
    in_channels: int, num_classes: int, *, dropout: float = 0.5, backbone_weights: str = "none"
) -> Any:
    """Build DeepLab-LargeFOV without its dense CRF, which is `refine/dense_crf`."""
    _check_dropout("deeplab_largefov", dropout)
    from .deeplab_largefov import DeepLabLargeFOV

    return DeepLabLargeFOV(in_channels, num_classes, dropout=dropout, backbone_weights=backbone_weights)


def build_fcn8s(
    in_channels: int,
    num_classes: int,
    *,
    padding: Literal["image", "fc6"] = "image",
    fc_channels: int = 4096,
    dropout: float = 0.5,
    backbone_weights: str = "none",
) -> Any:
    """Build FCN-8s.

    `padding` `image` puts 100 zeros around the image, as published; `fc6` puts 3 around the input of fc6 instead, which
    costs far less for small images. `fc_channels` is the number of channels of fc6 and fc7; weights need 4096.
    """
    _check_dropout("fcn8s", dropout)
    _check_positive("fcn8s", "fc_channels", fc_channels)
    if backbone_weights != "none" and fc_channels != 4096:
        raise SegbenchError(
            f"classic/fcn8s: fc_channels is {fc_channels}, but pretrained layers have 4096 channels; leave it out, or "
            "give backbone_weights: none"
        )
    from .fcn8s import FCN8s

    return FCN8s(
        in_channels,
        num_classes,
        padding=padding,
        fc_channels=fc_channels,
        dropout=dropout,
        backbone_weights=backbone_weights,
    )


def build_segnet(in_channels: int, num_classes: int, *, backbone_weights: str = "none") -> Any:
    """Build SegNet."""
    from .segnet import SegNet

    return SegNet(in_channels, num_classes, backbone_weights=backbone_weights)


def build_unet(
    in_channels: int,
    num_classes: int,
    *,
    width: int = 64,
    padding: Literal["mirror", "zeros"] = "mirror",
    dropout: float = 0.5,
) -> Any:
    """Build U-Net.

    `width` is the number of channels of the finest scale. `padding` `mirror` puts the image's mirror image around it
    for the convolutions, which are not padded, as published; `zeros` pads each convolution instead, which costs far
    less for small images. The paper's loss weights, which need the outlines of single cells, are not part of it.
    """
    _check_dropout("unet", dropout)
    _check_positive("unet", "width", width)
    from .unet import UNet

    return UNet(in_channels, num_classes, width=width, padding=padding, dropout=dropout)


@hookimpl
def segbench_generators() -> Iterable[Component]:
    """Yield the networks."""
    yield Component(
        "deeplab_largefov",
        build_deeplab_largefov,
        "DeepLab-LargeFOV (Chen 2015): VGG-16 at stride 8, dilated",
        requires=REQUIRES,
        example_options={"dropout": 0.0},
    )
    yield Component(
        "fcn8s",
        build_fcn8s,
        "FCN-8s (Long 2015): VGG-16 as convolutions, skips from pool3 and pool4",
        requires=REQUIRES,
        example_options={"padding": "fc6", "fc_channels": 64, "dropout": 0.0},
    )
    yield Component(
        "segnet", build_segnet, "SegNet (Badrinarayanan 2015): unpooling to where maxima were", requires=REQUIRES
    )
    yield Component(
        "unet",
        build_unet,
        "U-Net (Ronneberger 2015) as published: unpadded, on the mirrored image",
        requires=REQUIRES,
        example_options={"width": 8, "dropout": 0.0},
    )


def _check_positive(name: str, option: str, value: int) -> None:
    if value < 1:
        raise SegbenchError(f"classic/{name}: {option} is {value}; give at least 1")


def _check_dropout(name: str, dropout: float) -> None:
    if not 0 <= dropout < 1:
        raise SegbenchError(f"classic/{name}: dropout is {dropout}; give a share from 0 to below 1")
