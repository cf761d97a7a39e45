from __future__ import annotations

import pytest
import torch

from segbench import SegbenchError
from segbench_gan.losses.images import l1


def images():
    source = torch.Generator().manual_seed(0)
    return (2 * torch.rand(2, 2, 3, 4, 5, generator=source, dtype=torch.float64) - 1).unbind()


def test_l1_by_hand():
    output = torch.tensor([0.5, -1.0, 0.0]).view(1, 3, 1, 1)
    target = torch.tensor([1.0, 1.0, 0.0]).view(1, 3, 1, 1)
    assert l1(output, target).item() == pytest.approx((0.5 + 2 + 0) / 3)


def test_l1_is_torchs_own():
    output, target = images()
    torch.testing.assert_close(l1(output, target), torch.nn.functional.l1_loss(output, target))


def test_the_gradient_is_that_of_the_value():
    output, target = images()
    target[0, :, 1:] = float("nan")
    torch.autograd.gradcheck(lambda output: l1(output, target), output.requires_grad_())


def test_unknown_pixels_have_no_effect_and_no_gradient():
    output, target = images()
    target[0, :, 1:3, 2:] = float("nan")
    unknown = target.isnan()
    expected = (output - target)[~unknown].abs().mean()
    output[unknown] = 100.0
    output.requires_grad_()
    value = l1(output, target)
    value.backward()
    torch.testing.assert_close(value, expected)
    assert (output.grad[unknown] == 0).all()
    assert (output.grad[~unknown] != 0).all()


def test_unknown_pixels_alone_give_0_and_no_gradient():
    output, target = images()
    output.requires_grad_()
    value = l1(output, torch.full_like(target, float("nan")))
    value.backward()
    assert value == 0
    assert (output.grad == 0).all()


def test_l1_is_symmetric_and_does_not_depend_on_the_order_of_images():
    output, target = images()
    torch.testing.assert_close(l1(target, output), l1(output, target))
    torch.testing.assert_close(l1(output.flip(0), target.flip(0)), l1(output, target))


def test_label_maps_are_refused():
    with pytest.raises(
        SegbenchError, match=r"output is \(1, 2, 4, 4\) and the target \(1, 4, 4\); .* losses/cross_entropy"
    ):
        l1(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4))
