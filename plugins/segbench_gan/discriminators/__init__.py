"""The discriminators of gan/ with their options.

Each maps fields (N, C, H, W) to raw scores without sigmoid, and offers `features(x)`, a list of tensors (N, ...) from
its hidden layers, first layer first. They take these options where they make sense:

- `width`: the channels that all layers count in; the defaults are the papers'
- `norm`: `batch`, `instance` (both with a scale and a shift a channel) or `none`, after every convolution but the first
  and the last. A gradient penalty needs one that is not `batch`.
- `spectral`: divide each weight by its largest singular value (Miyato 2018), as torch estimates it: from 15 power
  iterations on, of which older code has one

An input too small for a network is padded with zeros on all sides, except where that would leave little but padding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from segbench import Component, SegbenchError

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUIRES = ("torch",)


def build_patchgan(
    in_channels: int,
    size: tuple[int, int],
    *,
    receptive_field: Literal[1, 16, 70, 286] = 70,
    width: int = 64,
    norm: Literal["none", "batch", "instance"] = "batch",
    spectral: bool = False,
) -> Any:
    """Build pix2pix's PatchGAN, each score of which judges a square of `receptive_field` pixels.

    Widths double from `width` to 8 times it. Inputs must have at least 96 pixels a side for a receptive field of 286.
    """
    _check("patchgan", "width", width, width >= 1, "1 or more")
    from .normalisation import finished
    from .patch import PatchDiscriminator, PixelwiseDiscriminator, check_size

    if receptive_field == 1:
        return finished(PixelwiseDiscriminator(in_channels, width, norm), spectral)
    if receptive_field == 286:
        check_size(size)
    return finished(PatchDiscriminator(in_channels, receptive_field, width, norm), spectral)


def build_multiscale(
    in_channels: int,
    *,
    scales: int = 2,
    receptive_field: Literal[16, 70] = 70,
    width: int = 64,
    norm: Literal["none", "batch", "instance"] = "instance",
    spectral: bool = False,
) -> Any:
    """Build one PatchGAN with this `receptive_field` for each of the `scales`, which halve height and width in turn."""
    _check("multiscale", "scales", scales, scales >= 1, "1 or more")
    _check("multiscale", "width", width, width >= 1, "1 or more")
    from .multiscale import MultiscaleDiscriminator
    from .normalisation import finished

    return finished(MultiscaleDiscriminator(in_channels, scales, receptive_field, width, norm), spectral)


def build_pixel(
    in_channels: int, *, width: int = 64, norm: Literal["none", "batch", "instance"] = "none", spectral: bool = False
) -> Any:
    """Build the fully convolutional discriminator of AdvSemiSeg; widths double from `width` to 8 times it."""
    _check("pixel", "width", width, width >= 1, "1 or more")
    from .normalisation import finished
    from .pixel import PixelDiscriminator

    return finished(PixelDiscriminator(in_channels, width, norm), spectral)


def build_image(
    in_channels: int,
    *,
    dropout: float = 0.3,
    dropout_of: Literal["elements", "channels"] = "elements",
    width: int = 64,
    norm: Literal["none", "batch", "instance"] = "none",
    spectral: bool = False,
) -> Any:
    """Build the strided discriminator of whole images; widths double from `width` to 8 times it.

    `dropout` is the share of what `dropout_of` names, elements or whole channels, that is zeroed in training behind the
    first three layers: 0.5 of channels makes it the critic of s4GAN, whose pooled features are matched.
    """
    _check("image", "dropout", dropout, 0 <= dropout < 1, "from 0 to below 1")
    _check("image", "width", width, width >= 1, "1 or more")
    from .image import ImageDiscriminator
    from .normalisation import finished

    return finished(ImageDiscriminator(in_channels, dropout, dropout_of, width, norm), spectral)


def build_mlp(
    in_channels: int, size: tuple[int, int], *, widths: tuple[int, ...] = (512, 256), spectral: bool = False
) -> Any:
    """Build the multilayer perceptron on all values of an input of exactly `size`; `widths` are its hidden layers."""
    _check("mlp", "widths", list(widths), bool(widths) and min(widths) >= 1, "one or more numbers, each 1 or more")
    from .mlp import PerceptronDiscriminator
    from .normalisation import finished

    return finished(PerceptronDiscriminator(in_channels, size, widths), spectral)


def build_largefov(
    in_channels: int,
    *,
    image_channels: int = 0,
    width: int = 32,
    norm: Literal["none", "batch", "instance"] = "none",
    spectral: bool = False,
) -> Any:
    """Build Luc's LargeFOV, whose widths are 3, 4, 8 and 16 times `width` (96 to 512).

    With `image_channels` the input's first so many channels, the image, have convolutions of their own before they meet
    the label field, as on the Stanford data set.
    """
    return _field_of_view("largefov", in_channels, image_channels, width, norm, spectral)


def build_smallfov(
    in_channels: int,
    *,
    image_channels: int = 0,
    width: int = 32,
    norm: Literal["none", "batch", "instance"] = "none",
    spectral: bool = False,
) -> Any:
    """Build Luc's SmallFOV, LargeFOV with every second convolution 1x1; `width` and `image_channels` are as of that."""
    return _field_of_view("smallfov", in_channels, image_channels, width, norm, spectral)


def build_segan(
    in_channels: int, *, width: int = 64, norm: Literal["none", "batch", "instance"] = "batch", spectral: bool = False
) -> Any:
    """Build SegAN's critic, made for its features, which `gan/segan_l1` compares; widths reach 8 times `width`."""
    _check("segan", "width", width, width >= 1, "1 or more")
    from .normalisation import finished
    from .segan import SegANCritic

    return finished(SegANCritic(in_channels, width, norm), spectral)


def build_unet(
    in_channels: int,
    num_classes: int,
    *,
    depth: int = 6,
    width: int = 64,
    norm: Literal["none", "batch", "instance"] = "none",
    spectral: bool = True,
) -> Any:
    """Build the U-Net of OASIS, which gives each pixel one score a class and one for "fake", the last.

    `depth` is how many times height and width are halved; widths go from twice `width` to 8 times it and back to it.
    """
    _check("unet", "depth", depth, 1 <= depth <= 8, "1 to 8")
    _check("unet", "width", width, width >= 1, "1 or more")
    from .normalisation import finished
    from .unet import UNetDiscriminator

    network = UNetDiscriminator(in_channels, num_classes, depth, width, norm)
    # As published, not the last layer, which scores.
    finished(network.encoder, spectral)
    finished(network.decoder, spectral)
    return network


COMPONENTS = (
    ("patchgan", build_patchgan, "PatchGAN (Isola 2017): a score a patch of 1, 16, 70 or 286 pixels"),
    ("multiscale", build_multiscale, "Multi-scale PatchGANs (Wang 2018, pix2pixHD; Park 2019, SPADE)"),
    ("pixel", build_pixel, "AdvSemiSeg's fully convolutional discriminator (Hung 2018): a score a pixel"),
    ("image", build_image, "Strided convolutions with dropout, a score an image; also s4GAN's critic (Mittal 2019)"),
    ("mlp", build_mlp, "Multilayer perceptron (Goodfellow 2014): a score an image of one size"),
    ("largefov", build_largefov, "LargeFOV (Luc 2016): the mean score of fields of view of 34 pixels"),
    ("smallfov", build_smallfov, "SmallFOV (Luc 2016): the mean score of fields of view of 18 pixels"),
    ("segan", build_segan, "SegAN's critic (Xue 2018): features at seven scales for gan/segan_l1"),
    ("unet", build_unet, "OASIS's U-Net (Schönfeld 2021): scores of every class and of fake for every pixel"),
)

# Narrow ones keep to the contract, or break it, as wide ones do.
NARROW = {"width": 8}
NARROW_PERCEPTRON = {"widths": [16, 8]}


def components() -> Iterable[Component]:
    """Yield the discriminators."""
    for name, build, summary in COMPONENTS:
        narrow = NARROW_PERCEPTRON if name == "mlp" else NARROW
        yield Component(name, build, summary, requires=REQUIRES, example_options=narrow)


def _field_of_view(
    name: Literal["largefov", "smallfov"], in_channels: int, image_channels: int, width: int, norm: str, spectral: bool
) -> Any:
    _check(name, "width", width, width >= 2, "2 or more")
    allowed = f"0 to {in_channels - 1}, as the input has {in_channels} channels and the label field needs some"
    _check(name, "image_channels", image_channels, 0 <= image_channels < in_channels, allowed)
    from .fov import LARGE, SMALL, FieldOfViewDiscriminator
    from .normalisation import finished

    kernels = LARGE if name == "largefov" else SMALL
    return finished(FieldOfViewDiscriminator(in_channels, image_channels, kernels, width, norm), spectral)


def _check(name: str, option: str, value: Any, valid: bool, allowed: str) -> None:
    if not valid:
        raise SegbenchError(f"gan/{name}: {option} is {value}; allowed: {allowed}")
