from __future__ import annotations

import pytest
import torch

from segbench_refine.probabilities import log_probabilities


def test_the_softmax_of_the_logits_is_the_probabilities():
    probabilities = torch.randn(2, 5, 3, 4).softmax(dim=1)
    torch.testing.assert_close(log_probabilities(probabilities).softmax(dim=1), probabilities)


def test_an_impossible_class_has_a_finite_logit():
    logits = log_probabilities(torch.tensor([1.0, 0.0]).view(1, 2, 1, 1))
    assert logits.flatten().tolist() == pytest.approx([0.0, -9.2103], abs=1e-4)


def test_the_most_probable_of_very_many_classes_stays_that():
    probabilities = torch.full((1, 1000, 1, 1), 0.9989 / 999)
    probabilities[0, 700] = 0.0011
    assert log_probabilities(probabilities).argmax() == 700
