"""What holds for every generator of gan/, whatever it maps."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from segbench.engine.model.network import Segmenter
from segbench.registry.options import read_signature
from segbench_gan.generators import components

COMPONENTS = {component.name: component for component in components()}
CHANNELS, CLASSES, COLOURS, NOISE = 4, 5, 3, 6
SIZES = [(32, 32), (37, 50), (16, 41)]

# Networks as small as their components can build them.
SMALL = {
    "pix2pix_unet": {"width": 4, "depth": 3},
    "pix2pix_unet_colours": {"width": 4, "depth": 3},
    "resnet": {"width": 4, "blocks": 1},
    "resnet_colours": {"width": 4, "blocks": 1},
    "conv": {"width": 4},
    "conv_colours": {"width": 4},
    "mlp": {"hidden": (8, 8)},
    "dcgan": {"width": 4},
    "spade": {"width": 4, "depth": 2},
    "joint": {"width": 4},
}
VARIANTS = {name: (name, options) for name, options in SMALL.items()} | {
    "pix2pix_unet of instance norm": ("pix2pix_unet", {"width": 4, "depth": 3, "norm": "instance"}),
    "pix2pix_unet of dropout at test": ("pix2pix_unet", {"width": 4, "depth": 6, "dropout_at_test": True}),
    "resnet of batch norm": ("resnet", {"width": 4, "blocks": 1, "norm": "batch"}),
    "spade of instance norm": ("spade", {"width": 4, "depth": 2, "norm": "instance"}),
}


def maps(variant):
    return COMPONENTS[VARIANTS[variant][0]].maps


def build(variant, size=(32, 32)):
    """Build the variant as the engine does: with what it asks for, and padded where it takes images."""
    name, options = VARIANTS[variant]
    component = COMPONENTS[name]
    vocabulary = {
        "in_channels": CLASSES if component.maps == "labels -> image" else CHANNELS,
        "num_classes": CLASSES,
        "image_channels": COLOURS if component.maps == "image -> image" else CHANNELS,
        "noise_channels": NOISE,
        "size": size,
    }
    asked = read_signature("generator", component.build).asked
    torch.manual_seed(0)
    network = component.build(**{word: vocabulary[word] for word in asked}, **options)
    if component.maps == "image -> labels":
        return Segmenter(network, CLASSES)
    return Segmenter(network, COLOURS) if component.maps == "image -> image" else network


def inputs(variant, count, size=(32, 32)):
    """Return what a generator is called with, drawn from seed 1."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(count, NOISE, generator=generator)
    if maps(variant).startswith("noise"):
        return (noise,)
    if maps(variant).startswith("labels"):
        labels = torch.randint(CLASSES, (count, *size), generator=generator)
        return torch.nn.functional.one_hot(labels, CLASSES).movedim(-1, 1).float(), noise
    return (torch.rand(count, CHANNELS, *size, generator=generator) * 2 - 1,)


def named_outputs(variant, output):
    """Return the outputs by what they are: logits, colours or image."""
    if maps(variant) == "noise -> image, labels":
        return dict(zip(("image", "logits"), output, strict=True))
    names = {"image -> labels": "logits", "image -> image": "colours"}
    return {names.get(maps(variant), "image"): output}


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request):
    return request.param


@pytest.mark.parametrize("size", SIZES)
def test_outputs_have_the_size_of_the_inputs_or_that_asked_for(variant, size):
    network = build(variant, size)
    channels = {"logits": CLASSES, "colours": COLOURS, "image": CHANNELS}
    for training, count in product((True, False), (1, 2)):
        output = network.train(training)(*inputs(variant, count, size))
        for name, tensor in named_outputs(variant, output).items():
            assert tensor.shape == (count, channels[name], *size)
            assert tensor.isfinite().all()


def test_images_and_colours_lie_within_1_and_logits_are_free(variant):
    network = build(variant).train()
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(100)
        for name, tensor in named_outputs(variant, network(*inputs(variant, 2))).items():
            assert (tensor.abs().max() > 1) == (name == "logits")


CANCELLED = (".first.bias", ".second.bias")


def test_training_reaches_every_weight(variant):
    network = build(variant).train()
    loss = sum(
        (tensor * torch.randn_like(tensor)).sum()
        for tensor in named_outputs(variant, network(*inputs(variant, 2))).values()
    )
    loss.backward()
    # What cancels in a normalisation leaves rounding only, as SPADE's published biases before one do.
    weights = {name: weight for name, weight in network.named_parameters() if not name.endswith(CANCELLED)}
    largest = {name: weight.grad.abs().max().item() for name, weight in weights.items()}
    assert min(largest.values()) > 1e-4 * max(largest.values()), largest


def test_the_seed_settles_the_first_weights_and_the_weights_carry_the_whole_function(variant):
    network, other = build(variant), build(variant)
    assert all(tensor.equal(network.state_dict()[name]) for name, tensor in other.state_dict().items())
    given = inputs(variant, 2)
    with torch.no_grad():
        network.train()(*given)  # moves the normalisation statistics
        other.load_state_dict(network.state_dict())
        torch.manual_seed(2)
        expected = named_outputs(variant, network.eval()(*given))
        torch.manual_seed(2)
        for name, tensor in named_outputs(variant, other.eval()(*given)).items():
            assert tensor.equal(expected[name])


@pytest.mark.parametrize("size", [(32, 32), (37, 50)])
def test_bf16_and_channels_last_come_near_float32(variant, size):
    network, given = build(variant, size), inputs(variant, 2, size)
    with torch.no_grad():
        network.train()(*given)
        torch.manual_seed(2)
        expected = named_outputs(variant, network.eval()(*given))
        network.to(memory_format=torch.channels_last)
        given = [
            tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor for tensor in given
        ]
        torch.manual_seed(2)
        with torch.autocast("cpu", torch.bfloat16):
            found = named_outputs(variant, network(*given))
    for name, tensor in found.items():
        error = (tensor.float() - expected[name]).square().mean().sqrt()
        assert error < 0.05 * expected[name].square().mean().sqrt()


def test_training_works_under_bf16_and_channels_last(variant):
    network = build(variant).train().to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        output = named_outputs(variant, network(*inputs(variant, 2)))
    sum(tensor.float().square().mean() for tensor in output.values()).backward()
    for weight in network.parameters():
        assert weight.grad.dtype == torch.float32
        assert weight.grad.isfinite().all()


@pytest.mark.parametrize("name", [name for name in SMALL if "noise" in COMPONENTS[name].maps or name == "spade"])
@pytest.mark.parametrize("training", [True, False])
def test_other_noise_gives_another_output(name, training):
    network, given = build(name).train(training), list(inputs(name, 2))
    given[-1] = given[-1][[0, 0, 1]]
    given[:-1] = [tensor[[0, 0, 0]] for tensor in given[:-1]]
    with torch.no_grad():
        for tensor in named_outputs(name, network(*given)).values():
            torch.testing.assert_close(tensor[0], tensor[1])
            assert (tensor[0] - tensor[2]).abs().mean() > 0.01 * tensor[0].abs().mean()


def test_every_component_is_tested_here():
    assert set(SMALL) == set(COMPONENTS)
