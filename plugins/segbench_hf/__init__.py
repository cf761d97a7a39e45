"""First-party components: hf/, networks of transformers and datasets of the Hugging Face hub.

Every generator takes `config`: entries that replace those of the transformers configuration, by their names there
(`{depths: [2, 2, 2, 2]}`). hf/auto takes beside it:

- `model`: a network with its pretrained weights: a local folder as `save_pretrained` leaves it, written as a path
  (`./my-segformer`, `~/models/x`), or the name of a repository of the hub
  (`nvidia/segformer-b0-finetuned-ade-512-512`); or one of transformers' model types (`segformer`, `upernet`, `dpt`,
  `beit`, `mobilevit`, ...), whose weights are then drawn at random
- `revision`: the branch, tag or commit of the repository

Weights are read from .safetensors files alone and code from a repository is never run. The classifier is drawn anew
where the number of classes differs, and with it whatever the folder lacks beside the backbone. For another number of
channels than the weights were made for, those of the first convolution are repeated and scaled so that their sum
stays, or summed for one channel. With pretrained weights images are converted to the mean and standard deviation of
preprocessor_config.json, ImageNet's if there is none. Auxiliary heads run in training only, and their loss has the
weight that the configuration states.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench import Component, hookimpl

from . import dataset

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUIRES = ("transformers", "torch")
EXTRA = "hf"

# Configurations of a few ten thousand weights.
SMALL_SEGFORMER = {
    "hidden_sizes": [8, 16, 24, 32],
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 1, 2, 2],
    "decoder_hidden_size": 32,
}
SMALL_UPERNET = {
    "hidden_size": 16,
    "auxiliary_channels": 8,
    "backbone_config": {
        "model_type": "convnext",
        "hidden_sizes": [8, 16, 24, 32],
        "depths": [1, 1, 1, 1],
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
    },
}
SMALL_DPT = {
    "hidden_size": 16,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 64,
    "backbone_out_indices": [0, 1, 2, 3],
    "neck_hidden_sizes": [8, 8, 16, 16],
    "fusion_hidden_size": 16,
}


def build_auto(
    in_channels: int, num_classes: int, *, model: str, revision: str = "main", config: dict[str, Any] | None = None
) -> Any:
    """Build a network of transformers' AutoModelForSemanticSegmentation."""
    from .networks import build_network

    return build_network(in_channels, num_classes, model, revision, config or {})


def build_segformer(in_channels: int, num_classes: int, *, config: dict[str, Any] | None = None) -> Any:
    """Build SegFormer with random weights; transformers' own configuration is that of B0."""
    return build_auto(in_channels, num_classes, model="segformer", config=config)


def build_upernet(in_channels: int, num_classes: int, *, config: dict[str, Any] | None = None) -> Any:
    """Build UPerNet with random weights; transformers' own backbone is ResNet-50."""
    return build_auto(in_channels, num_classes, model="upernet", config=config)


def build_dpt(in_channels: int, num_classes: int, *, config: dict[str, Any] | None = None) -> Any:
    """Build DPT with random weights; transformers' own configuration is that of ViT-B/16 at 384x384."""
    return build_auto(in_channels, num_classes, model="dpt", config=config)


@hookimpl
def segbench_generators() -> Iterable[Component]:
    """Yield one generator for pretrained networks, and one for each of three architectures from scratch."""
    for name, build, summary, example in (
        (
            "auto",
            build_auto,
            "Any network of transformers' AutoModelForSemanticSegmentation, from a folder or the hub",
            {"model": "segformer", "config": SMALL_SEGFORMER},
        ),
        ("segformer", build_segformer, "SegFormer (Xie 2021) of transformers", {"config": SMALL_SEGFORMER}),
        ("upernet", build_upernet, "UPerNet (Xiao 2018) of transformers, any backbone", {"config": SMALL_UPERNET}),
        ("dpt", build_dpt, "Dense prediction transformer (Ranftl 2021) of transformers", {"config": SMALL_DPT}),
    ):
        yield Component(name, build, summary, requires=REQUIRES, extra=EXTRA, example_options=example)


@hookimpl
def segbench_datasets() -> Iterable[Component]:
    """Yield the dataset; what is prepared once is read without the libraries of the extra."""
    yield Component(
        "dataset",
        dataset.build,
        "Any segmentation dataset of the Hugging Face hub, such as ADE20K, streamed into a folder",
        download=dataset.download,
        example_options={"repo": "./example", "classes": ["background", "nucleus"]},
    )
