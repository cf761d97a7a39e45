from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Categorical

from segbench_gan.losses.entropy import LabelledEntropy, mean_entropy

CLASSES = 4
IGNORED = 255


def batch():
    source = torch.Generator().manual_seed(0)
    output = torch.randn(2, CLASSES, 3, 4, generator=source, dtype=torch.float64)
    target = torch.randint(CLASSES, (2, 3, 4), generator=source)
    target[0, 1:, 2:] = IGNORED
    return output, target


def test_entropy_is_torchs_own():
    output, target = batch()
    expected = Categorical(logits=output.movedim(1, -1)).entropy()
    torch.testing.assert_close(mean_entropy(output), expected.mean())
    torch.testing.assert_close(LabelledEntropy(IGNORED)(output, target), expected[target != IGNORED].mean())


def test_entropy_of_equal_logits_is_the_log_of_the_number_of_classes():
    output, target = torch.zeros(1, CLASSES, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64)
    assert mean_entropy(output).item() == pytest.approx(math.log(CLASSES))
    assert LabelledEntropy(IGNORED)(output, target).item() == pytest.approx(math.log(CLASSES))


def test_the_gradients_are_those_of_the_values():
    output, target = batch()
    torch.autograd.gradcheck(mean_entropy, output.requires_grad_())
    torch.autograd.gradcheck(lambda logits: LabelledEntropy(IGNORED)(logits, target), output)


def test_certain_predictions_have_no_entropy_and_a_finite_gradient():
    output = torch.zeros(1, CLASSES, 2, 2)
    output[:, 0] = 1e4
    output.requires_grad_()
    value = mean_entropy(output)
    value.backward()
    assert value == 0
    assert output.grad.isfinite().all()


def test_sharper_predictions_have_less_entropy():
    output, target = batch()
    values = [LabelledEntropy(IGNORED)(sharpness * output, target).item() for sharpness in (0.5, 1, 2, 10)]
    assert values == sorted(values, reverse=True)


def test_a_step_down_the_gradient_sharpens_what_is_predicted_and_not_what_is_true():
    output = torch.tensor([2.0, 1.0, 0.0, 0.0], dtype=torch.float64).view(1, CLASSES, 1, 1).requires_grad_()
    target = torch.full((1, 1, 1), 1)
    (gradient,) = torch.autograd.grad(LabelledEntropy(IGNORED)(output, target), output)
    sharpened = (output - 0.1 * gradient).softmax(1) - output.softmax(1)
    assert sharpened[0, 0] > 0 > sharpened[0, 1]


def test_ignored_pixels_have_no_effect_and_no_gradient():
    output, target = batch()
    changed = output.clone()
    changed.movedim(1, -1)[target == IGNORED] = 100 * torch.eye(CLASSES, dtype=torch.float64)
    changed.requires_grad_()
    value = LabelledEntropy(IGNORED)(changed, target)
    (gradient,) = torch.autograd.grad(value, changed)
    assert value == LabelledEntropy(IGNORED)(output, target)
    assert gradient.movedim(1, -1)[target == IGNORED].abs().max() == 0


def test_ignored_pixels_alone_give_0():
    output, target = batch()
    assert LabelledEntropy(IGNORED)(output, torch.full_like(target, IGNORED)) == 0
