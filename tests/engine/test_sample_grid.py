from __future__ import annotations

import numpy as np
import pytest
import torch

from segbench.engine.sample_grid import sample_grid

WHITE = [255, 255, 255]


def pixels(images):
    return np.asarray(sample_grid(images)).tolist()


def test_five_images_fill_a_square_row_by_row_and_leave_the_rest_white():
    levels = torch.tensor([0, 51, 102, 153, 204]) / 127.5 - 1
    picture = np.asarray(sample_grid(levels.view(5, 1, 1, 1).expand(-1, 3, 4, 6)))
    assert picture.shape == (4 + 2 + 4, 3 * 6 + 2 * 2, 3)
    corners = [picture[top, left].tolist() for top in (0, 6) for left in (0, 8, 16)]
    assert corners == [[0] * 3, [51] * 3, [102] * 3, [153] * 3, [204] * 3, WHITE]
    assert (picture[4:6] == 255).all()
    assert (picture[:, 6:8] == 255).all()


@pytest.mark.parametrize(
    ("channels", "shown"), [(1, [0, 0, 0]), (2, [0, 64, 64]), (3, [0, 64, 128]), (5, [0, 64, 128])]
)
def test_images_of_any_number_of_channels_can_be_shown(channels, shown):
    values = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])[:channels]
    assert pixels(values.view(1, channels, 1, 1)) == [[shown]]


def test_values_outside_of_the_range_are_clipped_and_what_is_not_finite_is_shown():
    images = torch.tensor([-7.0, 7.0, torch.nan, torch.inf]).view(1, 1, 1, 4)
    assert pixels(images) == [[[0] * 3, WHITE, [128] * 3, WHITE]]


def test_generated_images_may_carry_a_gradient_and_half_precision():
    images = torch.zeros(4, 3, 2, 2, dtype=torch.bfloat16, requires_grad=True)
    assert sample_grid(images).size == (6, 6)
