"""Each check of terms on unlabelled images catches a wrong one that no other check catches; right ones pass all."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy, softplus

from segbench.testing.unlabelled import CHECKS


def entropies(logits):
    logarithms = logits.log_softmax(1)
    return -(logarithms.exp() * logarithms).sum(1)


def entropy(logits):
    return entropies(logits).mean()


def believed(scores):
    return softplus(-scores).mean()


class Module(torch.nn.Module):
    def forward(self, logits, scores):
        return entropy(logits) + believed(scores)


def asks_for_images(logits, images):
    return entropy(logits) + images.mean()


def a_value_a_pixel(logits):
    return entropies(logits)


def mean_of_nothing(logits, scores):
    trusted = scores[:, 0] > 0
    return cross_entropy(logits, logits.argmax(1), reduction="none")[trusted].mean()


def detached(logits):
    return entropy(logits.detach())


@pytest.mark.parametrize("right", [lambda: entropy, lambda: believed, lambda: Module()])
def test_a_right_term_passes_every_check(right, found_by):
    assert found_by(CHECKS, "loss", right, role="unlabelled") == []


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        (asks_for_images, "term_asks_for_what_there_is"),
        (a_value_a_pixel, "term_is_a_scalar"),
        (mean_of_nothing, "term_is_finite"),
        (detached, "gradients_reach_the_logits"),
    ],
)
def test_a_wrong_term_is_caught_by_one_check_alone(wrong, check, found_by):
    assert found_by(CHECKS, "loss", lambda: wrong, role="unlabelled") == [check]
