"""What holds for every first-party generator that maps an image to labels."""

from __future__ import annotations

import pytest
import segbench_basic
import segbench_smp
import segbench_tv
import torch
from torch.nn import functional

from segbench.engine.network import Segmenter

CHANNELS, CLASSES = 4, 5

COMPONENTS = {
    f"{plugin.__name__.removeprefix('segbench_')}/{component.name}": component
    for plugin in (segbench_basic, segbench_smp, segbench_tv)
    for component in plugin.segbench_generators()
}

VARIANTS = {name: (name, {}) for name in COMPONENTS} | {
    "tv/deeplabv3 mobilenet with auxiliary head": (
        "tv/deeplabv3",
        {"backbone": "mobilenet_v3_large", "aux_loss": True},
    ),
    "tv/fcn with auxiliary head": ("tv/fcn", {"aux_loss": True}),
    "smp/unet of a timm encoder": ("smp/unet", {"encoder": "tu-mobilenetv3_small_100"}),
    "smp/unet of depth 3": ("smp/unet", {"encoder_depth": 3}),
    "smp/pspnet of depth 4": ("smp/pspnet", {"encoder": "mobilenet_v2", "encoder_depth": 4}),
    "smp/segformer of a mix transformer": ("smp/segformer", {"encoder": "mit_b0"}),
}

# Weights that the architecture never uses, although the encoder brings them.
UNUSED = {
    "smp/pspnet": ("network.model.encoder.layer3.", "network.model.encoder.layer4."),
    "smp/pspnet of depth 4": tuple(f"network.model.encoder.features.{stage}." for stage in (14, 15, 16, 17, 18)),
    "smp/unet of depth 3": ("network.model.encoder.layer3.", "network.model.encoder.layer4."),
    "smp/dpt": ("network.model.encoder.model.norm.",),
}


def build(variant, seed):
    name, options = VARIANTS[variant]
    torch.manual_seed(seed)
    return Segmenter(COMPONENTS[name].build(CHANNELS, CLASSES, **options), CLASSES)


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request):
    return request.param


@pytest.fixture(scope="module")
def segmenter(variant):
    return build(variant, seed=0)


def test_images_of_an_odd_size_give_logits_of_that_size(segmenter):
    with torch.inference_mode():
        assert segmenter.eval()(torch.rand(1, CHANNELS, 65, 97) * 2 - 1).shape == (1, CLASSES, 65, 97)


def test_training_reaches_every_weight(variant, segmenter):
    segmenter.train().zero_grad(set_to_none=True)
    images, labels = torch.rand(2, CHANNELS, 64, 64) * 2 - 1, torch.randint(CLASSES, (2, 64, 64))
    logits, auxiliary_loss = segmenter.split(segmenter(images), labels, ignore_index=255)
    loss = functional.cross_entropy(logits, labels)
    (loss if auxiliary_loss is None else loss + auxiliary_loss).backward()
    unreached = [name for name, weight in segmenter.named_parameters() if weight.grad is None]
    assert all(name.startswith(UNUSED.get(variant, "-")) for name in unreached), unreached
    assert all(any(name.startswith(unused) for name in unreached) for unused in UNUSED.get(variant, ()))
    assert all(weight.grad.isfinite().all() for weight in segmenter.parameters() if weight.grad is not None)


def test_weights_carry_the_whole_function(variant, segmenter):
    other = build(variant, seed=1)
    other.load_state_dict(segmenter.state_dict())
    images = torch.rand(1, CHANNELS, 64, 64) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(other.eval()(images), segmenter.eval()(images))


def test_the_seed_settles_the_first_weights(variant):
    first, again = build(variant, seed=2).state_dict(), build(variant, seed=2).state_dict()
    assert all(tensor.equal(again[name]) for name, tensor in first.items())


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_says_what_it_is_and_needs(name):
    component = COMPONENTS[name]
    assert component.maps == "image -> labels"
    assert component.summary
    assert "torch" in component.requires
