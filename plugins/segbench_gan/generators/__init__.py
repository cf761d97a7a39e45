"""The generators of gan/ with their options.

- `width`: the number of channels of the layer that sets all others, as the paper counts it
- `depth`: how many times height and width are halved on the way to the coarsest grid
- `norm`: `batch` for batch normalisation, `instance` for instance normalisation

A generator named `..._colours` maps an image to the colours of the palette, as pix2pix was published; its namesake maps
an image to one logit a class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from segbench import Component, SegbenchError

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUIRES = ("torch",)

# Crops of 2^12 pixels are larger than any that are trained on.
_DEEPEST = 12


def build_pix2pix_unet(
    in_channels: int,
    num_classes: int,
    *,
    width: int = 64,
    depth: int = 8,
    norm: Literal["batch", "instance"] = "batch",
    dropout_at_test: bool = False,
) -> Any:
    """Build pix2pix's U-Net with one logit a class; images are padded to a multiple of 2^depth pixels.

    `depth` 8 is for crops of 256 pixels. With `dropout_at_test` dropout stays on at test, as published: it is pix2pix's
    only noise.
    """
    _check_width("pix2pix_unet", width)
    _check_depth("pix2pix_unet", depth, least=2)
    from .unet import UNet

    return UNet(in_channels, num_classes, width, depth, norm, dropout_at_test)


def build_pix2pix_unet_colours(
    in_channels: int,
    image_channels: int,
    *,
    width: int = 64,
    depth: int = 8,
    norm: Literal["batch", "instance"] = "batch",
    dropout_at_test: bool = False,
) -> Any:
    """Build pix2pix's U-Net as published, which paints the palette's colours; images are padded as of `pix2pix_unet`.

    With `dropout_at_test` dropout stays on at test, as published.
    """
    _check_width("pix2pix_unet_colours", width)
    _check_depth("pix2pix_unet_colours", depth, least=2)
    from .colours import Colours
    from .unet import UNet

    return Colours(UNet(in_channels, image_channels, width, depth, norm, dropout_at_test))


def build_resnet(
    in_channels: int,
    num_classes: int,
    *,
    width: int = 64,
    blocks: int = 9,
    norm: Literal["batch", "instance"] = "instance",
) -> Any:
    """Build the residual network of Johnson and CycleGAN with one logit a class; `blocks` at a quarter of the size."""
    _check_width("resnet", width)
    _check("resnet", "blocks", blocks, blocks >= 1, "1 or more")
    from .resnet import ResidualNetwork

    return ResidualNetwork(in_channels, num_classes, width, blocks, norm)


def build_resnet_colours(
    in_channels: int,
    image_channels: int,
    *,
    width: int = 64,
    blocks: int = 9,
    norm: Literal["batch", "instance"] = "instance",
) -> Any:
    """Build the residual network of Johnson and CycleGAN, which paints colours; `blocks` at a quarter of the size."""
    _check_width("resnet_colours", width)
    _check("resnet_colours", "blocks", blocks, blocks >= 1, "1 or more")
    from .colours import Colours
    from .resnet import ResidualNetwork

    return Colours(ResidualNetwork(in_channels, image_channels, width, blocks, norm))


def build_conv(in_channels: int, num_classes: int, *, width: int = 64) -> Any:
    """Build the tutorial's convolutional generator with one logit a class."""
    _check_width("conv", width)
    from .convolutional import Convolutional

    return Convolutional(in_channels, num_classes, width)


def build_conv_colours(in_channels: int, image_channels: int, *, width: int = 64) -> Any:
    """Build the tutorial's convolutional generator, which paints the palette's colours."""
    _check_width("conv_colours", width)
    from .colours import Colours
    from .convolutional import Convolutional

    return Colours(Convolutional(in_channels, image_channels, width))


def build_mlp(
    noise_channels: int, image_channels: int, size: tuple[int, int], *, hidden: tuple[int, ...] = (256, 512, 1024)
) -> Any:
    """Build the fully connected generator; `hidden` are the units of its hidden layers, nearest the noise first."""
    _check("mlp", "hidden", list(hidden), bool(hidden) and min(hidden) >= 1, "one number of 1 or more a layer")
    from .mlp import FullyConnected

    return FullyConnected(noise_channels, image_channels, size, hidden)


def build_dcgan(noise_channels: int, image_channels: int, size: tuple[int, int], *, width: int = 64) -> Any:
    """Build DCGAN's generator; `width` is the number of channels at half the size, 128 in the paper."""
    _check_width("dcgan", width)
    from .dcgan import DCGAN

    return DCGAN(noise_channels, image_channels, size, width)


def build_spade(
    in_channels: int,
    image_channels: int,
    noise_channels: int,
    size: tuple[int, int],
    *,
    width: int = 16,
    depth: int = 4,
    norm: Literal["batch", "instance"] = "batch",
    spectral: bool = True,
) -> Any:
    """Build the SPADE generator; `width` is the number of channels at full size, 64 in the paper, whose `depth` is 5.

    `norm` is the normalisation without weights of its own that the label map modulates. `spectral` divides the weights
    of the blocks' own convolutions by their largest singular value, as published.
    """
    _check_width("spade", width)
    _check_depth("spade", depth, least=1)
    from .spade import SpadeGenerator

    return SpadeGenerator(in_channels, image_channels, noise_channels, size, width, depth, norm, spectral)


def build_joint(
    noise_channels: int, image_channels: int, num_classes: int, size: tuple[int, int], *, width: int = 64
) -> Any:
    """Build DCGAN's generator with a second head, for the labels; `width` is as of `dcgan`."""
    _check_width("joint", width)
    from .joint import Joint

    return Joint(noise_channels, image_channels, num_classes, size, width)


COMPONENTS = (
    ("pix2pix_unet", build_pix2pix_unet, "image -> labels", "U-Net of pix2pix (Isola 2017), one logit a class"),
    (
        "pix2pix_unet_colours",
        build_pix2pix_unet_colours,
        "image -> image",
        "U-Net of pix2pix (Isola 2017) as published: paints the palette's colours",
    ),
    ("resnet", build_resnet, "image -> labels", "Residual network (Johnson 2016, CycleGAN), one logit a class"),
    (
        "resnet_colours",
        build_resnet_colours,
        "image -> image",
        "Residual network (Johnson 2016, CycleGAN): paints the palette's colours",
    ),
    ("conv", build_conv, "image -> labels", "Web tutorials' convolutions at full size, one logit a class"),
    (
        "conv_colours",
        build_conv_colours,
        "image -> image",
        "Web tutorials' convolutions at full size: paint the palette's colours",
    ),
    ("mlp", build_mlp, "noise -> image", "Fully connected generator of the first GAN (Goodfellow 2014)"),
    ("dcgan", build_dcgan, "noise -> image", "DCGAN (Radford 2016): transposed convolutions"),
    ("spade", build_spade, "labels -> image", "SPADE (Park 2019): the label map modulates each normalisation"),
    ("joint", build_joint, "noise -> image, labels", "DCGAN (Radford 2016) with a second head, for the image's labels"),
)


# Options that make small networks, for checks.
EXAMPLES: dict[str, dict[str, Any]] = {
    "pix2pix_unet": {"width": 8, "depth": 4},
    "pix2pix_unet_colours": {"width": 8, "depth": 4},
    "resnet": {"width": 8, "blocks": 2},
    "resnet_colours": {"width": 8, "blocks": 2},
    "conv": {"width": 16},
    "conv_colours": {"width": 16},
    "mlp": {"hidden": (64, 128)},
    "dcgan": {"width": 16},
    "spade": {"width": 8},
    "joint": {"width": 16},
}


def components() -> Iterable[Component]:
    """Yield the generators."""
    for name, build, maps, summary in COMPONENTS:
        yield Component(name, build, summary, maps, requires=REQUIRES, example_options=EXAMPLES[name])


def _check_width(component: str, width: int) -> None:
    _check(component, "width", width, width >= 1, "1 or more channels")


def _check_depth(component: str, depth: int, least: int) -> None:
    _check(component, "depth", depth, least <= depth <= _DEEPEST, f"{least} to {_DEEPEST} halvings")


def _check(component: str, option: str, value: object, holds: bool, allowed: str) -> None:
    if not holds:
        raise SegbenchError(f"gan/{component}: {option} is {value}; allowed is {allowed}")
