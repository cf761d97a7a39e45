from __future__ import annotations

import pytest
import torch
from torch import nn

from segbench.config.recipe import ComponentUse
from segbench.engine.model.build import (
    SupervisedLoss,
    as_segmenter,
    build_loss,
    build_losses,
    build_network,
    check_module,
    mapping_of,
)
from segbench.engine.model.mapping import FieldForm, GeneratorMapping
from segbench.engine.model.network import Refined, Segmenter, Synthesizer
from segbench.errors import PluginError
from segbench.registry import load_registry

from ..every_mapping import data_batch, first_convolution, parts  # noqa: TID252 - tests have no absolute name

CPU = torch.device("cpu")
FORM = FieldForm(2, 255, ((0, 0, 0), (9, 9, 9)))


@pytest.mark.parametrize(
    ("name", "maps", "kind", "channels"),
    [
        ("base", "image -> labels", Segmenter, 4),
        ("colours", "image -> image", Segmenter, 3),
        ("refiner", "image, labels -> labels", Segmenter, 4),
        ("painter", "labels -> image", Segmenter, 5),
        ("noise", "noise -> image", Synthesizer, 5),
        ("joint", "noise -> image, labels", Synthesizer, 9),
    ],
)
def test_a_generator_is_built_for_the_channels_of_what_it_maps(planned, name, maps, kind, channels):
    cell, registry, data = parts(planned, name)
    network, mapping = build_network(cell, registry, data, (16, 20), CPU), mapping_of(cell, data)
    assert mapping.maps == maps
    assert type(network) is kind
    assert network.channels == channels
    batch = data_batch(4, 5)
    output = network(*mapping.inputs(batch, 0, 0))
    assert output.shape == (2, channels, 16, 20)


@pytest.mark.parametrize("maps", ["image -> labels", "labels -> image", "noise -> image", "noise -> image, labels"])
def test_what_takes_its_input_alone_stays_as_it_is(maps):
    network = nn.Conv2d(3, 2, 1)
    assert as_segmenter(network, GeneratorMapping(maps, FORM, 1), None) is network


def test_a_refiner_is_given_the_image_and_the_probabilities_of_its_base():
    class Refiner(nn.Module):
        def forward(self, images, probabilities):
            self.seen = images, probabilities
            return 2 * probabilities

    base, refiner = nn.Conv2d(3, 2, 1), Refiner()
    refined = as_segmenter(refiner, GeneratorMapping("image, labels -> labels", FORM, 1), base)
    assert isinstance(refined, Refined)
    images = torch.rand(1, 3, 4, 4)
    logits = refined(images)
    assert refiner.seen[0] is images
    torch.testing.assert_close(refiner.seen[1], base(images).softmax(1))
    torch.testing.assert_close(logits, 2 * base(images).softmax(1))
    assert not any(parameter.requires_grad for parameter in base.parameters())


def test_what_a_discriminator_sees_is_what_the_recipe_says(planned):
    cell, _, data = parts(planned, "critic", conditional=False)
    form = mapping_of(cell, data).form
    assert (form.encoding.use, form.encoding.smoothing, form.conditional) == ("smoothed", 0.2, False)
    assert (form.num_classes, form.ignore_index, form.palette) == (4, 255, data.dataset.palette)


def test_a_method_and_its_twin_start_from_the_same_weights(planned):
    states = []
    for name in ("base", "critic"):
        cell, registry, data = parts(planned, name)
        torch.manual_seed(len(states))  # what was drawn before does not matter
        states.append(build_network(cell, registry, data, (16, 20), CPU).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_layout_of_the_protocol_is_that_of_the_network(planned):
    cell, registry, data = parts(planned, "base", "protocol.channels_last=true")
    network = build_network(cell, registry, data, (16, 20), CPU)
    assert first_convolution(network).weight.is_contiguous(memory_format=torch.channels_last)


def test_losses_come_with_their_weights_and_know_the_dataset(planned):
    cell, registry, data = parts(planned, "base")
    (half, cross_entropy), (one, _) = build_losses(cell, registry, data, CPU, {})
    assert (half, one) == (0.5, 1)
    logits, labels = torch.rand(1, 4, 2, 2), torch.tensor([[[0, 255], [255, 255]]])
    expected = nn.functional.cross_entropy(logits[:, :, 0, 0], torch.tensor([0]))
    torch.testing.assert_close(cross_entropy(logits, labels), expected)


def test_class_weights_by_name_are_those_that_were_made(planned):
    loss = "methods.base.losses=[{use: losses/cross_entropy, class_weights: median_frequency}]"
    cell, registry, data = parts(planned, "base", loss)
    made = [0.5, 1.0, 2.0, 0.0]
    ((_, weighed),) = build_losses(cell, registry, data, CPU, {"median_frequency": made})
    logits, labels = torch.randn(2, 4, 3, 5), torch.randint(3, (2, 3, 5))
    expected = nn.functional.cross_entropy(logits, labels, weight=torch.tensor(made))
    torch.testing.assert_close(weighed(logits, labels), expected)


def test_a_loss_that_is_no_scalar_is_its_plugins_fault():
    class Offered:
        full_name, plugin = "bad/vector", "bad"

    each = SupervisedLoss(Offered(), lambda output, target: output.mean(dim=(1, 2, 3)))
    with pytest.raises(PluginError, match=r"loss bad/vector returned a tensor \(2,\) for an output") as caught:
        each(torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.int64))
    assert caught.value.plugin == "bad"


@pytest.mark.parametrize("built", [None, lambda images: images])
def test_what_is_no_network_is_its_plugins_fault(built):
    offer = load_registry().find("generator", "basic/fcn")
    check_module(nn.Identity(), offer)
    with pytest.raises(PluginError, match=r"generator basic/fcn built a \w+; expected a torch.nn.Module") as caught:
        check_module(built, offer)
    assert caught.value.plugin == "basic"


def test_options_of_a_component_reach_it(planned):
    _, registry, data = parts(planned, "base")
    loss = build_loss(ComponentUse(use="gan/feature_matching", options={"adversarial": 0.25}), registry, data, CPU)
    assert loss.adversarial == 0.25
