from __future__ import annotations

import pytest
import torch
from torch import nn

from segbench.config.recipe import Penalty
from segbench.engine.adversarial.adversary import join_condition
from segbench.engine.adversarial.discriminator import build_discriminator, check_no_batch_norm
from segbench.engine.adversarial.pairing import make_pair
from segbench.engine.model.build import mapping_of
from segbench.errors import SpecError

from ..every_mapping import data_batch, first_convolution, parts  # noqa: TID252 - tests have no absolute name

CPU = torch.device("cpu")


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.LazyBatchNorm2d])
def test_a_gradient_penalty_refuses_every_batch_norm(norm):
    discriminator = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(norm() if norm is nn.LazyBatchNorm2d else norm(4)))
    with pytest.raises(SpecError, match=r"the penalty gan/r1 .* normalises over the batch, .* \(norm: none or"):
        check_no_batch_norm(discriminator, Penalty(use="gan/r1"))


@pytest.mark.parametrize("norm", [nn.InstanceNorm2d(4, affine=True), nn.GroupNorm(2, 4), nn.Identity()])
def test_a_gradient_penalty_takes_norms_of_single_samples(norm):
    check_no_batch_norm(nn.Sequential(nn.Conv2d(3, 4, 3), norm), Penalty(use="gan/r1"))


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
def test_a_discriminator_is_built_for_condition_and_field(planned, name, conditional, channels):
    cell, registry, data = parts(planned, name, conditional=conditional)
    discriminator = build_discriminator(cell, registry, data, (16, 20), CPU)
    assert first_convolution(discriminator).in_channels == channels
    batch, mapping = data_batch(4, 5), mapping_of(cell, data)
    pair = make_pair(mapping.maps, batch, torch.rand(2, mapping.output_channels(5), 16, 20), mapping.form)
    assert discriminator(join_condition(pair.condition, pair.fake)).shape[0] == 2


def test_a_discriminator_has_weights_of_the_cells_seed(planned):
    cell, registry, data = parts(planned, "critic")
    cells = [cell, cell, cell.model_copy(update={"seed": 1})]
    first, same, other = (
        first_convolution(build_discriminator(one, registry, data, (16, 20), CPU)).weight for one in cells
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_the_layout_of_the_protocol_is_that_of_the_discriminator(planned):
    cell, registry, data = parts(planned, "critic", "protocol.channels_last=true")
    discriminator = build_discriminator(cell, registry, data, (16, 20), CPU)
    assert first_convolution(discriminator).weight.is_contiguous(memory_format=torch.channels_last)
