"""What holds for every first-party generator that maps an image to labels."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

import segbench_basic
import segbench_smp
import segbench_tv
from segbench.engine.model.network import Segmenter

CHANNELS, CLASSES = 4, 5

COMPONENTS = {
    f"{plugin.__name__.removeprefix('segbench_')}/{component.name}": component
    for plugin in (segbench_basic, segbench_smp, segbench_tv)
    for component in plugin.segbench_generators()
}

# Networks as small as their components can build them; the large ones are slow tests.
VARIANTS = {name: (name, {}) for name in COMPONENTS if name != "tv/deeplabv3"} | {
    "smp/dpt": (
        "smp/dpt",
        {"decoder_intermediate_channels": (16, 32, 64, 64), "decoder_fusion_channels": 32},
    ),
    "smp/upernet": ("smp/upernet", {"decoder_channels": 64}),
    "smp/unet of a timm encoder": ("smp/unet", {"encoder": "tu-mobilenetv3_small_100"}),
    "smp/unet of depth 3": ("smp/unet", {"encoder_depth": 3}),
    "smp/pspnet of depth 4": ("smp/pspnet", {"encoder": "mobilenet_v2", "encoder_depth": 4}),
    "smp/segformer of a mix transformer": ("smp/segformer", {"encoder": "mit_b0"}),
    "tv/deeplabv3": ("tv/deeplabv3", {"backbone": "mobilenet_v3_large", "aux_loss": True}),
    "tv/fcn": ("tv/fcn", {"aux_loss": True}),
}

LARGE = {
    "smp/dpt by default": ("smp/dpt", {}),
    "tv/deeplabv3 of a ResNet": ("tv/deeplabv3", {}),
    "tv/fcn without auxiliary head": ("tv/fcn", {}),
}

# Weights that the architecture never uses, although the encoder brings them.
UNUSED = {
    "smp/pspnet": ("network.model.encoder.layer3.", "network.model.encoder.layer4."),
    "smp/pspnet of depth 4": tuple(f"network.model.encoder.features.{stage}." for stage in (14, 15, 16, 17, 18)),
    "smp/unet of depth 3": ("network.model.encoder.layer3.", "network.model.encoder.layer4."),
    "smp/dpt": ("network.model.encoder.model.norm.",),
}


def build(variant):
    name, options = (VARIANTS | LARGE)[variant]
    torch.manual_seed(0)
    return Segmenter(COMPONENTS[name].build(CHANNELS, CLASSES, **options), CLASSES)


@pytest.fixture(scope="module", params=[*VARIANTS, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)])
def variant(request):
    return request.param


@pytest.fixture(scope="module")
def segmenter(variant):
    return build(variant)


def test_the_seed_settles_the_first_weights_and_the_weights_carry_the_whole_function(variant, segmenter):
    other = build(variant)
    assert all(tensor.equal(segmenter.state_dict()[name]) for name, tensor in other.state_dict().items())
    images = torch.rand(1, CHANNELS, 64, 64) * 2 - 1
    with torch.inference_mode():
        segmenter.train()(images.expand(2, -1, -1, -1))  # moves the normalisation statistics
        other.load_state_dict(segmenter.state_dict())
        torch.testing.assert_close(other.eval()(images), segmenter.eval()(images))


def test_images_of_an_odd_size_give_logits_of_that_size(segmenter):
    with torch.inference_mode():
        assert segmenter.eval()(torch.rand(1, CHANNELS, 65, 97) * 2 - 1).shape == (1, CLASSES, 65, 97)


def test_training_reaches_every_weight(variant, segmenter):
    segmenter.train().zero_grad(set_to_none=True)
    images, labels = torch.rand(2, CHANNELS, 64, 64) * 2 - 1, torch.randint(CLASSES, (2, 64, 64))
    logits, auxiliary_loss = segmenter.split(segmenter(images), labels, ignore_index=255)
    loss = functional.cross_entropy(logits, labels)
    (loss if auxiliary_loss is None else loss + auxiliary_loss).backward()
    unused = UNUSED.get(variant.removesuffix(" by default"), ())
    unreached = [name for name, weight in segmenter.named_parameters() if weight.grad is None]
    assert all(name.startswith(unused) for name in unreached), unreached
    assert all(any(name.startswith(prefix) for name in unreached) for prefix in unused)
    assert all(weight.grad.isfinite().all() for weight in segmenter.parameters() if weight.grad is not None)


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_says_what_it_is_and_needs(name):
    component = COMPONENTS[name]
    assert component.maps == "image -> labels"
    assert component.summary
    assert "torch" in component.requires
