"""One build function an architecture; its keyword-only parameters are the component's options.

They carry SMP's own names, so that SMP's documentation says more:

- `encoder_depth`: how many stages of the encoder the decoder reads, each at half the size of the one before it
- `encoder_output_stride`: the stride of the encoder's last features; below 32, its last stages are dilated instead
- `decoder_channels`: the channels of the decoder's features; for U-Net and its kin one number a stage, coarsest first
- `decoder_dropout`: the probability with which the decoder drops a feature in training
- `decoder_attention`: the attention of each of the decoder's stages (`scse`: squeeze and excitation, of channels and
  of pixels)
- `decoder_atrous_rates`: the dilations of the three parallel convolutions of the atrous spatial pyramid
- `decoder_segmentation_channels`: the channels of the features from which the logits are made
"""

from __future__ import annotations

from typing import Any, Literal

from .known import Encoder  # noqa: TC001 - the types of options are evaluated

# Decoder channels of U-Net and its kin at strides 16, 8, 4, 2 and 1.
_CHANNELS = (256, 128, 64, 32, 16)


def build_unet(
    in_channels: int,
    num_classes: int,
    *,
    encoder: Encoder = "resnet18",
    encoder_weights: str = "none",
    encoder_depth: Literal[3, 4, 5] = 5,
    decoder_channels: list[int] | None = None,
    decoder_attention: Literal["none", "scse"] = "none",
    size_multiple: int | None = None,
) -> Any:
    """Build U-Net; `decoder_channels` are one number a stage, coarsest first."""
    from .networks import build_network

    return build_network(
        "unet",
        in_channels,
        num_classes,
        encoder,
        encoder_weights,
        size_multiple,
        encoder_depth=encoder_depth,
        decoder_channels=decoder_channels or _CHANNELS[-encoder_depth:],
        decoder_attention_type=_or_none(decoder_attention),
    )


def build_unetplusplus(
    in_channels: int,
    num_classes: int,
    *,
    encoder: Encoder = "resnet18",
    encoder_weights: str = "none",
    encoder_depth: Literal[3, 4, 5] = 5,
    decoder_channels: list[int] | None = None,
    decoder_attention: Literal["none", "scse"] = "none",
    size_multiple: int | None = None,
) -> Any:
    """Build U-Net++; `decoder_channels` are one number a stage, coarsest first."""
    from .networks import build_network

    return build_network(
        "unetplusplus",
        in_channels,
        num_classes,
        encoder,
        encoder_weights,
        size_multiple,
        encoder_depth=encoder_depth,
        decoder_channels=decoder_channels or _CHANNELS[-encoder_depth:],
        decoder_attention_type=_or_none(decoder_attention),
    )


def build_manet(
    in_channels: int,
    num_classes: int,
    *,
    encoder: Encoder = "resnet18",
    encoder_weights: str = "none",
    encoder_depth: Literal[3, 4, 5] = 5,
    decoder_channels: list[int] | None = None,
    decoder_pab_channels: int = 64,
    size_multiple: int | None = None,
) -> Any:
    """Build MA-Net; `decoder_pab_channels` is the width of its position attention."""
    from .networks import build_network

    return build_network(
        "manet",
        in_channels,
        num_classes,
        encoder,
        encoder_weights,
        size_multiple,
        encoder_depth=encoder_depth,
        decoder_channels=decoder_channels or _CHANNELS[-encoder_depth:],
        decoder_pab_channels=decoder_pab_channels,
    )


def build_linknet(
    in_channels: int,
    num_classes: int,
    *,
    encoder: Encoder = "resnet18",
    encoder_weights: str = "none",
    encoder_depth: Literal[3, 4, 5] = 5,
    size_multiple: int | None = None,
) -> Any:
    """Build LinkNet."""
    from .networks import build_network

    return build_network(
        "linknet",
        in_channels,
        num_classes,
        encoder,
        encoder_weights,
        size_multiple,
        encoder_depth=encoder_depth,
    )


def build_fpn(
    in_channels: int,
    num_classes: int,
    *,
    encoder: Encoder = "resnet18",
    encoder_weights: str = "none",
    encoder_depth: Literal[3, 4, 5] = 5,
    decoder_pyramid_channels: int = 256,
    decoder_segmentation_channels: int = 128,
    decoder_dropout: float = 0.2,
    size_multiple: int | None = None,
) -> Any:
    """Build the feature pyramid network; `decoder_pyramid_channels` are the channels of each level of the pyramid."""
    from .networks import build_network

    return build_network(
        "fpn",
        in_channels,
        num_classes,
        encoder,
        encoder_weights,
        size_multiple,
        encoder_depth=encoder_depth,
        decoder_pyramid_channels=decoder_pyramid_channels,
        decoder_segmentation_channels=decoder_segmentation_channels,
        decoder_dropout=decoder_dropout,
    )


def build_pspnet(
    in_channels: int,
    num_classes: int,
    *,
    encoder: Encoder = "resnet18",
    encoder_weights: str = "none",
    encoder_depth: Literal[3, 4, 5] = 3,
    decoder_channels: int = 512,
    decoder_dropout: float = 0.2,
    size_multiple: int | None = None,
) -> Any:
    """Build PSPNet, by default on the first three stages of the encoder, hence at stride 8."""
    from .networks import build_network

    return build_network(
        "pspnet",
        in_channels,
        num_classes,
        encoder,
        encoder_weights,
        size_multiple,
        encoder_depth=encoder_depth,
        psp_out_channels=decoder_channels,
        psp_dropout=decoder_dropout,
        upsampling=2**encoder_depth,
    )


def build_deeplabv3(
    in_channels: int,
    num_classes: int,
    *,
    encoder: Encoder = "resnet18",
    encoder_weights: str = "none",
    encoder_depth: Literal[3, 4, 5] = 5,
    encoder_output_stride: Literal[8, 16] = 8,
    decoder_channels: int = 256,
    decoder_atrous_rates: tuple[int, int, int] = (12, 24, 36),
    decoder_dropout: float = 0.5,
    size_multiple: int | None = None,
) -> Any:
    """Build DeepLabV3."""
    from .networks import build_network

    return build_network(
        "deeplabv3",
        in_channels,
        num_classes,
        encoder,
        encoder_weights,
        size_multiple,
        encoder_depth=encoder_depth,
        encoder_output_stride=encoder_output_stride,
        decoder_channels=decoder_channels,
        decoder_atrous_rates=tuple(decoder_atrous_rates),
        decoder_aspp_dropout=decoder_dropout,
    )


def build_deeplabv3plus(
    in_channels: int,
    num_classes: int,
    *,
    encoder: Encoder = "resnet18",
    encoder_weights: str = "none",
    encoder_depth: Literal[3, 4, 5] = 5,
    encoder_output_stride: Literal[8, 16] = 16,
    decoder_channels: int = 256,
    decoder_atrous_rates: tuple[int, int, int] = (12, 24, 36),
    decoder_dropout: float = 0.5,
    size_multiple: int | None = None,
) -> Any:
    """Build DeepLabV3+."""
    from .networks import build_network

    return build_network(
        "deeplabv3plus",
        in_channels,
        num_classes,
        encoder,
        encoder_weights,
        size_multiple,
        encoder_depth=encoder_depth,
        encoder_output_stride=encoder_output_stride,
        decoder_channels=decoder_channels,
        decoder_atrous_rates=tuple(decoder_atrous_rates),
        decoder_aspp_dropout=decoder_dropout,
    )


def build_pan(
    in_channels: int,
    num_classes: int,
    *,
    encoder: Encoder = "resnet18",
    encoder_weights: str = "none",
    encoder_depth: Literal[3, 4, 5] = 5,
    encoder_output_stride: Literal[16, 32] = 16,
    decoder_channels: int = 32,
    size_multiple: int | None = None,
) -> Any:
    """Build the pyramid attention network."""
    from .networks import build_network

    return build_network(
        "pan",
        in_channels,
        num_classes,
        encoder,
        encoder_weights,
        size_multiple,
        encoder_depth=encoder_depth,
        encoder_output_stride=encoder_output_stride,
        decoder_channels=decoder_channels,
    )


def build_upernet(
    in_channels: int,
    num_classes: int,
    *,
    encoder: Encoder = "resnet18",
    encoder_weights: str = "none",
    encoder_depth: Literal[3, 4, 5] = 5,
    decoder_channels: int = 256,
    size_multiple: int | None = None,
) -> Any:
    """Build UPerNet."""
    from .networks import build_network

    return build_network(
        "upernet",
        in_channels,
        num_classes,
        encoder,
        encoder_weights,
        size_multiple,
        encoder_depth=encoder_depth,
        decoder_channels=decoder_channels,
    )


def build_segformer(
    in_channels: int,
    num_classes: int,
    *,
    encoder: Encoder = "resnet18",
    encoder_weights: str = "none",
    encoder_depth: Literal[3, 4, 5] = 5,
    decoder_segmentation_channels: int = 256,
    size_multiple: int | None = None,
) -> Any:
    """Build SegFormer's decoder on the encoder; the published SegFormer has one of `mit_b0` to `mit_b5`."""
    from .networks import build_network

    return build_network(
        "segformer",
        in_channels,
        num_classes,
        encoder,
        encoder_weights,
        size_multiple,
        encoder_depth=encoder_depth,
        decoder_segmentation_channels=decoder_segmentation_channels,
    )


def build_dpt(
    in_channels: int,
    num_classes: int,
    *,
    encoder: Encoder = "tu-vit_tiny_patch16_224",
    encoder_weights: str = "none",
    decoder_readout: Literal["ignore", "add", "cat"] = "cat",
    decoder_intermediate_channels: tuple[int, int, int, int] = (256, 512, 1024, 1024),
    decoder_fusion_channels: int = 256,
    size_multiple: int | None = None,
) -> Any:
    """Build the dense prediction transformer; the encoder is one of timm's ViTs (`tu-vit*`).

    - `decoder_readout`: how the class token enters the patches' features: not at all, added, or joined and projected
    - `decoder_intermediate_channels`: the channels of the four reassembled feature maps, finest first
    - `decoder_fusion_channels`: the channels of the features once these are fused
    """
    from .networks import build_network

    return build_network(
        "dpt",
        in_channels,
        num_classes,
        encoder,
        encoder_weights,
        size_multiple,
        decoder_readout=decoder_readout,
        decoder_intermediate_channels=tuple(decoder_intermediate_channels),
        decoder_fusion_channels=decoder_fusion_channels,
    )


def _or_none(value: str) -> str | None:
    return None if value == "none" else value
