from __future__ import annotations

import math

import pytest
import torch

from segbench.engine.evaluation.finite import check_scores, find_nan_images
from segbench.engine.model.network import Segmenter
from segbench.errors import CellError


def test_images_with_a_nan_are_found_whatever_else_they_hold():
    scores = torch.zeros(4, 2, 3, 3)
    scores[1, 1, 2, 0] = math.nan
    scores[2, 0], scores[3, 1] = -math.inf, math.inf
    assert find_nan_images(scores).tolist() == [False, True, False, False]


def complaint(network):
    with pytest.raises(CellError) as caught:
        check_scores(torch.tensor([False, True, True]), ["a", "b", "c"], "test", network)
    return caught.value


def test_nan_in_evaluation_is_the_plugins_fault_if_its_weights_are_sound():
    network = Segmenter(torch.nn.BatchNorm2d(2), 2, "bad/network")
    error = complaint(network)
    expected = (
        "generator bad/network returned NaN in evaluation, for 2 of 3 images of test, first 'b', though its weights"
    )
    assert str(error).startswith(expected)
    assert error.plugin == "bad"
    network.network.running_var[0] = math.inf
    assert "and its weights or running statistics are not finite either" in str(complaint(network))
    assert complaint(network).plugin is None


def test_no_nan_is_no_complaint():
    check_scores(torch.tensor([False, False]), ["a", "b"], "test", torch.nn.Identity())
