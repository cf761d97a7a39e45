from __future__ import annotations

import pytest
import torch
from torch import nn

from segbench.config.recipe import ComponentUse
from segbench.engine.adversarial.adversary import joined
from segbench.engine.adversarial.discriminator import build_critic
from segbench.engine.adversarial.pairing import pairing
from segbench.engine.data.batches import Batch
from segbench.engine.model.build import (
    SupervisedLoss,
    build_loss,
    build_losses,
    build_network,
    check_module,
    mapping_of,
)
from segbench.engine.model.network import Segmenter, Synthesizer
from segbench.errors import PluginError
from segbench.registry import load_registry

CPU = torch.device("cpu")

FILE = """
name: test
datasets: {shapes: {use: data/shapes, size: [24, 32], classes: 4, train: 6, val: 2, test: 3, channels: 5}}
protocol: {budget: {steps: 1}, batch_size: 2, crop: [16, 20]}
seeds: [0]
methods:
  base: {generator: {use: basic/fcn, width: 4}, losses: [{use: losses/cross_entropy, weight: 0.5}, losses/dice]}
  critic:
    extends: base
    discriminator: {use: gan/patchgan, receptive_field: 16, width: 4}
    adversarial: {use: gan/hinge, encoding: {use: smoothed, smoothing: 0.2}, conditional: CONDITIONAL}
  product: {extends: critic, adversarial: {encoding: product}}
  colours:
    extends: critic
    generator: {use: gan/conv_colours, width: 2}
    losses: [gan/l1]
    adversarial: {encoding: null}
  refiner: {extends: critic, generator: {use: refine/unet, width: 2, depth: 1}, refines: {method: base, folds: 2}}
  painter:
    generator: {use: gan/spade, width: 4, depth: 1}
    discriminator: {use: gan/patchgan, receptive_field: 16, width: 4}
    adversarial: {use: gan/hinge, conditional: CONDITIONAL}
    latent_channels: 7
  noise: {extends: painter, generator: {use: gan/dcgan, width: 4}}
  joint: {extends: painter, generator: {use: gan/joint, width: 4}}
"""


def parts(planned, name: str, conditional: bool = True):
    benchmark = planned(FILE.replace("CONDITIONAL", str(conditional).lower()))
    return benchmark.cells[name], benchmark.registry, benchmark.data(name)


def first_convolution(module: nn.Module) -> nn.Conv2d:
    return next(part for part in module.modules() if isinstance(part, nn.Conv2d))


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


def data_batch(num_classes: int, channels: int):
    labels = torch.randint(num_classes, (2, 16, 20))
    fields = torch.full((2, num_classes, 16, 20), 1 / num_classes)
    return Batch(torch.rand(2, channels, 16, 20), labels, (0, 1), fields)


@pytest.mark.parametrize(
    ("name", "conditional", "channels"),
    [
        ("critic", True, 5 + 4),
        ("critic", False, 4),
        ("product", True, 5 + 4 * 5),
        ("colours", True, 5 + 3),
        ("colours", False, 3),
        ("refiner", True, 5 + 4),
        ("painter", True, 4 + 5),
        ("painter", False, 5),
        ("noise", True, 5),
        ("joint", True, 5 + 4),
    ],
)
def test_a_critic_is_built_for_condition_and_field(planned, name, conditional, channels):
    cell, registry, data = parts(planned, name, conditional)
    critic = build_critic(cell, registry, data, (16, 20), CPU)
    assert first_convolution(critic).in_channels == channels
    batch, mapping = data_batch(4, 5), mapping_of(cell, data)
    pair = pairing(mapping.maps, batch, torch.rand(2, mapping.output_channels(5), 16, 20), mapping.form)
    assert critic(joined(pair.condition, pair.fake)).shape[0] == 2


def test_what_a_critic_sees_is_what_the_recipe_says(planned):
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


def test_a_critic_has_weights_of_the_cells_seed(planned):
    cell, registry, data = parts(planned, "critic")
    cells = [cell, cell, cell.model_copy(update={"seed": 1})]
    first, same, other = (first_convolution(build_critic(one, registry, data, (16, 20), CPU)).weight for one in cells)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_the_layout_of_the_protocol_is_that_of_both_networks(planned):
    cell, registry, data = parts(planned, "critic")
    protocol = cell.method.protocol.model_copy(update={"channels_last": True})
    cell = cell.model_copy(update={"method": cell.method.model_copy(update={"protocol": protocol})})
    for build in (build_network, build_critic):
        weight = first_convolution(build(cell, registry, data, (16, 20), CPU)).weight
        assert weight.is_contiguous(memory_format=torch.channels_last)


def test_losses_come_with_their_weights_and_know_the_dataset(planned):
    cell, registry, data = parts(planned, "base")
    (half, cross_entropy), (one, _) = build_losses(cell, registry, data, CPU)
    assert (half, one) == (0.5, 1)
    logits, labels = torch.rand(1, 4, 2, 2), torch.tensor([[[0, 255], [255, 255]]])
    expected = nn.functional.cross_entropy(logits[:, :, 0, 0], torch.tensor([0]))
    torch.testing.assert_close(cross_entropy(logits, labels), expected)


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
