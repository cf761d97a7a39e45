"""What holds for every discriminator of gan/."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import nn

from segbench import SegbenchError
from segbench.registry.options import read_signature
from segbench_gan import segbench_discriminators

COMPONENTS = {component.name: component for component in segbench_discriminators()}
CHANNELS, CLASSES = 5, 3

NORMED = ("patchgan", "multiscale", "pixel", "image", "largefov", "smallfov", "segan", "unet")

# Networks without batch normalisation, then with it.
INDEPENDENT = {
    "patchgan of 1 pixel": ("patchgan", {"receptive_field": 1, "norm": "none"}),
    "patchgan of 16 pixels": ("patchgan", {"receptive_field": 16, "norm": "none"}),
    "largefov of two branches": ("largefov", {"image_channels": 3}),
    "smallfov of two branches": ("smallfov", {"image_channels": 3}),
    "image of s4GAN": ("image", {"dropout": 0.5, "dropout_of": "channels"}),
    "mlp": ("mlp", {"widths": (8, 4)}),
    "mlp with spectral norm": ("mlp", {"widths": (8, 4), "spectral": True}),
    "multiscale of three scales": ("multiscale", {"scales": 3, "norm": "none"}),
    "unet without spectral norm": ("unet", {"spectral": False}),
    **{name: (name, {"norm": "none"}) for name in NORMED},
    **{f"{name} with instance norm": (name, {"norm": "instance"}) for name in NORMED},
    **{f"{name} with spectral norm": (name, {"norm": "none", "spectral": True}) for name in NORMED},
}
BATCH_NORMED = {f"{name} with batch norm": (name, {"norm": "batch"}) for name in NORMED}
VARIANTS = INDEPENDENT | BATCH_NORMED

PER_PIXEL = ("unet", "pixel")
PER_IMAGE = ("image", "mlp", "largefov", "smallfov", "segan")

every_variant = pytest.mark.parametrize("variant", VARIANTS)
every_independent_variant = pytest.mark.parametrize("variant", INDEPENDENT)


def build(variant, *, in_channels=CHANNELS, size=(16, 16)):
    torch.manual_seed(0)
    name, options = VARIANTS[variant]
    build = COMPONENTS[name].build
    if name != "mlp":
        options = {"width": 2, **options}
    vocabulary = {"in_channels": in_channels, "num_classes": CLASSES, "size": size}
    asked = build.__code__.co_varnames[: build.__code__.co_argcount]
    return build(**{word: vocabulary[word] for word in asked}, **options)


@cache
def built(variant):
    """The variant in training, built once; only the statistics of its norms may change."""
    return build(variant).train()


def maps_of(scores):
    return scores if isinstance(scores, list) else [scores]


def total(scores):
    return sum(one.float().square().sum() for one in maps_of(scores))


@every_variant
@pytest.mark.parametrize(("size", "in_channels"), [((16, 16), 23), ((17, 35), 4)])
def test_one_input_of_any_size_gives_scores_of_the_promised_shape(variant, size, in_channels):
    scores = build(variant, in_channels=in_channels, size=size).train()(torch.randn(1, in_channels, *size))
    name, _ = VARIANTS[variant]
    channels = CLASSES + 1 if name == "unet" else 1
    assert all(one.shape[:2] == (1, channels) for one in maps_of(scores))
    assert all(one.isfinite().all() for one in maps_of(scores))
    if name in PER_PIXEL:
        assert scores.shape[2:] == size
    if name in PER_IMAGE:
        assert scores.shape[2:] == (1, 1)


@every_variant
def test_scores_are_raw(variant):
    network = build(variant).double().eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(1000)  # a normalisation would undo the scale of the input alone
    scores = maps_of(network(1e6 * torch.randn(2, CHANNELS, 16, 16, dtype=torch.float64)))
    assert max(one.abs().max() for one in scores) > 100


@every_variant
def test_the_gradient_reaches_the_input_and_every_weight(variant):
    network = built(variant)
    x = torch.randn(2, CHANNELS, 16, 16, requires_grad=True)
    leaves = {"the input": x, **dict(network.named_parameters())}
    found = torch.autograd.grad(total(network(x)), list(leaves.values()), allow_unused=True)
    gradients = dict(zip(leaves, found, strict=True))
    unreached = [name for name, gradient in gradients.items() if gradient is None or not gradient.any()]
    assert not unreached
    assert all(gradient.isfinite().all() for gradient in gradients.values())


@every_independent_variant
def test_a_penalty_on_the_gradient_at_the_input_reaches_the_weights(variant):
    network = built(variant)
    x = torch.randn(2, CHANNELS, 16, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(total(network(x)), x, create_graph=True)
    found = torch.autograd.grad(gradient.square().sum(), list(network.parameters()), allow_unused=True)
    reached = [one for one in found if one is not None]
    assert all(one.isfinite().all() for one in reached)
    assert any(one.any() for one in reached)


@every_variant
def test_features_begin_with_the_batch_and_carry_gradients(variant):
    x = torch.randn(2, CHANNELS, 16, 16, requires_grad=True)
    features = built(variant).features(x)
    assert features
    assert all(len(feature) == 2 and feature.ndim >= 2 for feature in features)
    for feature in features:
        (gradient,) = torch.autograd.grad(feature.square().sum(), x, retain_graph=True)
        assert gradient.any()


@every_independent_variant
def test_without_batch_norm_each_input_has_its_own_score(variant):
    network = build(variant).double().eval()
    x = torch.randn(3, CHANNELS, 16, 16, dtype=torch.float64)
    together = maps_of(network(x))
    alone = [maps_of(network(one[None])) for one in x]
    for scale, scores in enumerate(together):
        torch.testing.assert_close(torch.cat([scores_of_one[scale] for scores_of_one in alone]), scores)


@every_variant
def test_the_layout_in_memory_does_not_matter(variant):
    network = build(variant).double().eval()
    x = torch.randn(2, CHANNELS, 16, 16, dtype=torch.float64)
    plain = maps_of(network(x))
    network = network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(maps_of(network(x.contiguous(memory_format=torch.channels_last))), plain)


@every_variant
def test_bf16_autocast_trains_and_agrees_with_fp32(variant):
    network = build(variant)
    x = torch.randn(2, CHANNELS, 16, 16)
    expected = maps_of(network.eval()(x))
    with torch.autocast("cpu", torch.bfloat16):
        scores = maps_of(network(x))
        total(network.train()(x)).backward()
    for one, in_fp32 in zip(scores, expected, strict=True):
        assert (one.float() - in_fp32).norm() < 0.1 * in_fp32.norm() + 1e-3
    assert all(weight.grad.isfinite().all() for weight in network.parameters())


@every_variant
def test_the_state_carries_the_whole_function(variant):
    network, other = build(variant), build(variant)
    x = torch.randn(2, CHANNELS, 16, 16)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(1.5)
        network.train()(x)  # moves the statistics of norms
    other.load_state_dict(network.state_dict())
    torch.testing.assert_close(maps_of(other.eval()(x)), maps_of(network.eval()(x)), rtol=0, atol=0)


@every_variant
def test_only_batch_norm_is_batch_norm(variant):
    found = any(isinstance(layer, nn.BatchNorm2d) for layer in built(variant).modules())
    assert found == (variant in BATCH_NORMED)


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_discriminator_may_be_normalised_and_needs_no_option(name):
    options = read_signature("discriminator", COMPONENTS[name].build).options
    assert {option.name for option in options} >= {"spectral"}
    assert not any(option.required for option in options)
    assert all("instance" in option.type for option in options if option.name == "norm")  # what `show` prints


def test_every_component_is_tested_here():
    assert {name for name, _ in VARIANTS.values()} == set(COMPONENTS)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("patchgan", {"width": 0}, "gan/patchgan: width is 0; allowed: 1 or more"),
        ("multiscale", {"scales": 0}, "gan/multiscale: scales is 0; allowed: 1 or more"),
        ("pixel", {"width": -1}, "gan/pixel: width is -1; allowed: 1 or more"),
        ("image", {"dropout": 1.0}, "gan/image: dropout is 1.0; allowed: from 0 to below 1"),
        ("mlp", {"widths": ()}, r"gan/mlp: widths is \[\]; allowed: one or more numbers"),
        ("mlp", {"widths": (8, 0)}, r"gan/mlp: widths is \[8, 0\]; allowed: one or more numbers, each 1 or more"),
        ("largefov", {"width": 1}, "gan/largefov: width is 1; allowed: 2 or more"),
        ("largefov", {"image_channels": 5}, "gan/largefov: image_channels is 5; allowed: 0 to 4, as the input has 5"),
        ("smallfov", {"image_channels": -1}, "gan/smallfov: image_channels is -1; allowed: 0 to 4"),
        ("segan", {"width": 0}, "gan/segan: width is 0; allowed: 1 or more"),
        ("unet", {"depth": 9}, "gan/unet: depth is 9; allowed: 1 to 8"),
    ],
)
def test_an_option_out_of_range_is_an_error(name, options, message):
    build = COMPONENTS[name].build
    vocabulary = {"in_channels": CHANNELS, "num_classes": CLASSES, "size": (16, 16)}
    asked = build.__code__.co_varnames[: build.__code__.co_argcount]
    with pytest.raises(SegbenchError, match=message):
        build(**{word: vocabulary[word] for word in asked}, **options)
