from __future__ import annotations

import pytest
from torch import nn

from segbench.config.recipe import Penalty
from segbench.engine.adversarial.discriminator import check_no_batch_norm
from segbench.errors import SpecError


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.LazyBatchNorm2d])
def test_a_gradient_penalty_refuses_every_batch_norm(norm):
    critic = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(norm() if norm is nn.LazyBatchNorm2d else norm(4)))
    with pytest.raises(SpecError, match=r"the penalty gan/r1 .* normalises over the batch, .* \(norm: none or"):
        check_no_batch_norm(critic, Penalty(use="gan/r1"))


@pytest.mark.parametrize("norm", [nn.InstanceNorm2d(4, affine=True), nn.GroupNorm(2, 4), nn.Identity()])
def test_a_gradient_penalty_takes_norms_of_single_samples(norm):
    check_no_batch_norm(nn.Sequential(nn.Conv2d(3, 4, 3), norm), Penalty(use="gan/r1"))
