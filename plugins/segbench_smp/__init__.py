"""First-party components: smp/, the architectures of segmentation-models-pytorch with any of its encoders.

Every component takes these options beside its own:

- `encoder`: the name of one of SMP's own encoders (`resnet18`, `mit_b0`, ...) or `tu-` and the name of any timm model,
  with or without a pretrained tag (`tu-tf_efficientnet_lite0`, `tu-resnet50.a1_in1k`). Prefer `tu-` to SMP's
  deprecated `timm-` encoders: these pad otherwise than the networks whose weights they load.
- `encoder_weights`: `none`; `imagenet` (or another tag that SMP has for the encoder) from the Hugging Face hub; or the
  path of a .safetensors or .pth file that holds the weights of the plain classification network. With weights the
  images are converted to the mean and standard deviation that these were trained with.
- `size_multiple`: pad images to a multiple of so many pixels instead of what the network is known to need
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench import Component, hookimpl

from . import architectures

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUIRES = ("segmentation-models-pytorch", "timm", "torch", "torchvision")

COMPONENTS = (
    ("unet", architectures.build_unet, "U-Net (Ronneberger 2015): skips joined at every scale"),
    ("unetplusplus", architectures.build_unetplusplus, "U-Net++ (Zhou 2018): nested, dense skips"),
    ("manet", architectures.build_manet, "MA-Net (Fan 2020): U-Net with position and channel attention"),
    ("linknet", architectures.build_linknet, "LinkNet (Chaurasia 2017): skips added, few parameters"),
    ("fpn", architectures.build_fpn, "Feature pyramid network for segmentation (Kirillov 2019)"),
    ("pspnet", architectures.build_pspnet, "PSPNet (Zhao 2017): pyramid pooling"),
    ("deeplabv3", architectures.build_deeplabv3, "DeepLabV3 (Chen 2017): atrous spatial pyramid pooling"),
    ("deeplabv3plus", architectures.build_deeplabv3plus, "DeepLabV3+ (Chen 2018): DeepLabV3 with a decoder"),
    ("pan", architectures.build_pan, "Pyramid attention network (Li 2018)"),
    ("upernet", architectures.build_upernet, "UPerNet (Xiao 2018): pyramid pooling and feature pyramid"),
    ("segformer", architectures.build_segformer, "SegFormer's all-MLP decoder (Xie 2021)"),
    ("dpt", architectures.build_dpt, "Dense prediction transformer (Ranftl 2021): a ViT with convolutional fusion"),
)

# Options that make small decoders, for checks.
EXAMPLES: dict[str, dict[str, Any]] = {
    "dpt": {"decoder_intermediate_channels": (16, 32, 64, 64), "decoder_fusion_channels": 32},
    "pspnet": {"decoder_channels": 64},
    "upernet": {"decoder_channels": 64},
}

UNUSED: dict[str, str] = {
    "dpt": "timm's transformer ends with a normalisation that the decoder, which reads four blocks, has no use for",
    "pspnet": "SMP builds all stages of the encoder, and the decoder reads the first three; cost counts no others",
}


@hookimpl
def segbench_generators() -> Iterable[Component]:
    """Yield one generator an architecture."""
    for name, build, summary in COMPONENTS:
        yield Component(
            name,
            build,
            summary,
            requires=REQUIRES,
            example_options=EXAMPLES.get(name, {}),
            known_failures={"training_reaches_every_parameter": UNUSED[name]} if name in UNUSED else {},
        )
