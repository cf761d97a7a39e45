from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from segbench_gan.discriminators.padding import crop, pad


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12), st.integers(1, 12))
def test_cropping_undoes_padding_with_zeros(height, width, least_height, least_width):
    x = torch.arange(1.0, height * width + 1).view(1, 1, height, width)
    padded = pad(x, least_height, least_width)
    assert padded.shape[2:] == (max(height, least_height), max(width, least_width))
    assert padded.sum() == x.sum()
    assert crop(padded, height, width).equal(x)


def test_what_is_large_enough_is_not_copied():
    x = torch.ones(1, 1, 4, 4)
    assert pad(x, 3, 4) is x
