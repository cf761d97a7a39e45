"""What holds for every first-party generator that builds on a library of networks, whatever its options."""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import segbench_hf
import segbench_smp
import segbench_timm
import segbench_tv
from segbench.engine.model.network import Segmenter

CHANNELS, CLASSES = 4, 5
SIZE = (33, 65)  # odd, oblong and a multiple of nothing that networks ask for

COMPONENTS = {
    f"{plugin.__name__.removeprefix('segbench_')}/{component.name}": component
    for plugin in (segbench_hf, segbench_smp, segbench_timm, segbench_tv)
    for component in plugin.segbench_generators()
}

SMALL_BEIT = {
    "hidden_size": 16,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 64,
    "out_indices": [1, 2, 3, 4],
    "auxiliary_channels": 8,
    "use_relative_position_bias": True,
}

# Networks as small as their components can build them; the large ones are slow tests.
VARIANTS = {name: (name, component.example_options) for name, component in COMPONENTS.items()} | {
    "smp/unet of a timm encoder": ("smp/unet", {"encoder": "tu-mobilenetv3_small_100"}),
    "smp/unet of depth 3": ("smp/unet", {"encoder_depth": 3}),
    "smp/pspnet of depth 4": ("smp/pspnet", {"encoder": "mobilenet_v2", "encoder_depth": 4}),
    "smp/segformer of a mix transformer": ("smp/segformer", {"encoder": "mit_b0"}),
    "hf/auto of BEiT": ("hf/auto", {"model": "beit", "config": SMALL_BEIT}),
    "hf/auto of MobileNetV2": ("hf/auto", {"model": "mobilenet_v2", "config": {"depth_multiplier": 0.35}}),
    **{
        f"timm/{decoder} of {backbone}": (f"timm/{decoder}", {"backbone": backbone, "width": 8})
        for decoder in ("fpn", "mlp")
        for backbone in ("test_vit", "test_efficientnet", "test_convnext")  # test_resnet is their example
    },
}

LARGE = {
    "smp/dpt by default": ("smp/dpt", {}),
    "tv/deeplabv3 of a ResNet": ("tv/deeplabv3", {}),
    "tv/fcn without auxiliary head": ("tv/fcn", {}),
}

AUXILIARY = {"tv/deeplabv3", "tv/fcn", "hf/upernet", "hf/dpt", "hf/auto of BEiT"}
FROZEN = {"hf/dpt", "hf/auto of BEiT", "hf/auto of MobileNetV2"}

# Weights that the architecture never uses, although the encoder brings them.
UNUSED = {
    "smp/pspnet": ("network.model.encoder.layer3.", "network.model.encoder.layer4."),
    "smp/pspnet of depth 4": tuple(f"network.model.encoder.features.{stage}." for stage in (14, 15, 16, 17, 18)),
    "smp/unet of depth 3": ("network.model.encoder.layer3.", "network.model.encoder.layer4."),
    "smp/dpt": ("network.model.encoder.model.norm.",),
}


class Trained(NamedTuple):
    """A network, its first state, and what became of one pass: forwards and backwards in training, then evaluation."""

    segmenter: Segmenter
    first_state: dict[str, Tensor]
    images: Tensor
    logits: Tensor
    auxiliary_loss: Tensor | None
    evaluated: Tensor


def build(variant):
    name, options = (VARIANTS | LARGE)[variant]
    torch.manual_seed(0)
    return Segmenter(COMPONENTS[name].build(CHANNELS, CLASSES, **options), CLASSES)


def marked(variant):
    if variant in LARGE:
        return pytest.param(variant, marks=pytest.mark.slow)
    missing = variant.startswith("hf/") and find_spec("transformers") is None
    return pytest.param(variant, marks=pytest.mark.skipif(missing, reason="needs segbench[hf]"))


@pytest.fixture(scope="module", params=map(marked, VARIANTS | LARGE))
def variant(request):
    return request.param


@pytest.fixture(scope="module")
def trained(variant):
    segmenter = build(variant)
    first_state = {name: tensor.clone() for name, tensor in segmenter.state_dict().items()}
    images, labels = torch.rand(2, CHANNELS, *SIZE) * 2 - 1, torch.randint(CLASSES, (2, *SIZE))
    logits, auxiliary_loss = segmenter.split(segmenter(images), labels, ignore_index=255)
    (functional.cross_entropy(logits, labels) + (auxiliary_loss or 0)).backward()
    with torch.inference_mode():
        evaluated = segmenter.eval()(images[:1])
    return Trained(segmenter, first_state, images, logits, auxiliary_loss, evaluated)


def test_images_of_an_odd_size_give_logits_of_that_size(trained):
    assert trained.logits.shape == (2, CLASSES, *SIZE)
    assert trained.evaluated.shape == (1, CLASSES, *SIZE)


def test_training_reaches_every_weight(variant, trained):
    weights = {name: weight for name, weight in trained.segmenter.named_parameters() if weight.requires_grad}
    unused = UNUSED.get(variant.removesuffix(" by default"), ())
    unreached = [name for name, weight in weights.items() if weight.grad is None]
    assert all(name.startswith(unused) for name in unreached), unreached
    assert all(any(name.startswith(prefix) for name in unreached) for prefix in unused)
    assert all(weight.grad.isfinite().all() for weight in weights.values() if weight.grad is not None)
    assert (len(weights) < len(list(trained.segmenter.parameters()))) == (variant in FROZEN)


def test_some_have_an_auxiliary_loss(variant, trained):
    assert (trained.auxiliary_loss is not None) == (variant in AUXILIARY)


@pytest.mark.parametrize("name", [marked(variant) for variant in sorted(AUXILIARY)])
def test_the_losses_of_a_method_can_train_every_auxiliary_output(name):
    segmenter, images = build(name).train(), torch.rand(2, CHANNELS, *SIZE)
    outputs = segmenter.outputs_of_one_size(segmenter(images), images)
    assert [output.shape for output in outputs] == [(2, CLASSES, *SIZE)] * 2


def test_the_seed_settles_the_first_weights_and_the_weights_carry_the_whole_function(variant, trained):
    other = build(variant)
    assert all(tensor.equal(trained.first_state[name]) for name, tensor in other.state_dict().items())
    other.load_state_dict(trained.segmenter.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(other.eval()(trained.images[:1]), trained.evaluated)
