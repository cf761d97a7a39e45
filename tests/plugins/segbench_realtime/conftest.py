"""Measures that tests of every network share."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode


def shapes(*tensors):
    """Channels, height and width of each."""
    return [tuple(tensor.shape[1:]) for tensor in tensors]


@pytest.fixture
def multiply_adds():
    """Multiply-adds of convolutions, counted on tensors that hold no values."""

    def count(build, height, width):
        with torch.device("meta"):
            network, images = build().eval(), torch.empty(1, 3, height, width)
        with FlopCounterMode(display=False) as counter:
            network(images)
        return counter.get_total_flops() // 2

    return count
