from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segbench_gan.losses.unlabelled import SelfTraining, SemiAdversarial


def logits_of(*images):
    """Logits (N, K, 1, P) of N images from the class probabilities of their P pixels."""
    return torch.tensor(images, dtype=torch.float64).log().permute(0, 2, 1).unsqueeze(2)


def scores_of(*images):
    """Scores (N, 1, 1, P) from the probabilities of being real."""
    return torch.tensor(images, dtype=torch.float64).logit()[:, None, None]


def batch():
    source = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 2, 5, generator=source, dtype=torch.float64)
    return logits, torch.randn(3, 1, 2, 5, generator=source, dtype=torch.float64)


either_loss = pytest.mark.parametrize("loss", [SemiAdversarial(0.5, 2.0, 0.4), SelfTraining(0.5)])


@either_loss
def test_the_gradients_are_those_of_the_values(loss):
    torch.autograd.gradcheck(loss, tuple(tensor.requires_grad_() for tensor in batch()))


@either_loss
@settings(deadline=None, max_examples=10)
@given(st.permutations(range(3)))
def test_the_order_of_images_does_not_matter(loss, order):
    logits, scores = batch()
    torch.testing.assert_close(loss(logits[order], scores[order]), loss(logits, scores))


@either_loss
def test_no_trust_no_self_training(loss):
    logits, scores = batch()
    logits.requires_grad_()
    value = loss(logits, torch.full_like(scores, -100.0))
    (gradient,) = torch.autograd.grad(value, logits)
    assert gradient.abs().max() == 0
    assert value.item() == pytest.approx(100 * getattr(loss, "adversarial", 0))


def test_semi_adversarial_by_hand():
    logits = logits_of([(0.6, 0.4), (0.3, 0.7), (0.2, 0.8)])
    scores = scores_of([0.9, 0.1, 0.5])
    fooling = -(math.log(0.9) + math.log(0.1) + math.log(0.5)) / 3
    trusted = -(math.log(0.6) + math.log(0.8)) / 2  # all but the second pixel
    assert SemiAdversarial(1.0, 0.0, 0.2)(logits, scores).item() == pytest.approx(fooling)
    assert SemiAdversarial(0.0, 1.0, 0.2)(logits, scores).item() == pytest.approx(trusted)
    value = SemiAdversarial(0.001, 0.1, 0.2)(logits, scores)
    assert value.item() == pytest.approx(0.001 * fooling + 0.1 * trusted)


def test_semi_adversarial_raises_scores_and_the_predicted_class():
    logits, scores = logits_of([(0.6, 0.4)]).requires_grad_(), scores_of([0.5]).requires_grad_()
    of_logits, of_scores = torch.autograd.grad(SemiAdversarial(1.0, 1.0, 0.2)(logits, scores), (logits, scores))
    assert of_logits.flatten().tolist() == pytest.approx([-0.4, 0.4])
    assert of_scores.item() == pytest.approx(-0.5)


def test_self_training_by_hand():
    logits = logits_of([(0.6, 0.4), (0.3, 0.7)], [(0.9, 0.1), (0.5, 0.5)])
    scores = scores_of([0.7, 0.7], [0.5, 0.5])
    first = -(math.log(0.6) + math.log(0.7)) / 2
    second = -(math.log(0.9) + math.log(0.5)) / 2
    assert SelfTraining(0.6)(logits, scores).item() == pytest.approx(first)
    assert SelfTraining(0.4)(logits, scores).item() == pytest.approx((first + second) / 2)


def test_self_training_trusts_whole_images_by_their_mean_score():
    logits = logits_of([(0.6, 0.4), (0.3, 0.7)])
    scores = torch.tensor([3.0, -1.0], dtype=torch.float64).view(1, 1, 1, 2)  # mean 1, sigmoid .731
    assert SelfTraining(0.73)(logits, scores) > 0
    assert SelfTraining(0.74)(logits, scores) == 0


def test_self_training_gives_the_critics_scores_no_gradient():
    logits, scores = (tensor.requires_grad_() for tensor in batch())
    value = SelfTraining(0.0)(logits, scores)
    of_logits, of_scores = torch.autograd.grad(value, (logits, scores), allow_unused=True)
    assert of_logits.abs().min() > 0
    assert of_scores is None
