from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segbench.engine.generation.pixel_statistics import PixelStatistics, pixel_statistics_distance


def test_statistics_of_an_image_worked_by_hand():
    # One column of -1 and one of 0.6: differences of 1.6 to the right and none downwards.
    images = torch.tensor([-1.0, 0.6]).expand(1, 1, 2, 2)
    expected = [-0.2, 0.8, 1.6, 0.0, *(0.5, 0, 0, 0, 0, 0, 0.5, 0)]
    assert PixelStatistics()(images)[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_statistics_are_those_of_numpy_channel_by_channel():
    images = torch.rand(3, 2, 7, 5, generator=torch.Generator().manual_seed(0)) * 2 - 1
    given = PixelStatistics()(images).numpy()
    assert given.shape == (3, 24)
    for image, statistics in zip(images.numpy(), given, strict=True):
        for channel, field in enumerate(image):
            down, right = np.diff(field, axis=0)[:, :-1], np.diff(field, axis=1)[:-1]
            gradient = np.sqrt(down**2 + right**2)
            shares = np.histogram(field, bins=8, range=(-1, 1))[0] / field.size
            expected = [field.mean(), field.std(), gradient.mean(), gradient.std(), *shares]
            np.testing.assert_allclose(statistics[channel::2], expected, atol=1e-6)


def test_white_belongs_to_the_last_bin_and_black_to_the_first():
    extremes = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1).expand(-1, -1, 2, 2)
    histograms = PixelStatistics()(extremes)[:, 4:]
    assert histograms[0, 0] == histograms[1, -1] == 1


def test_the_distance_of_two_statistics_worked_by_hand():
    real = torch.tensor([[0.0, 5.0], [2.0, 5.0]])  # means 1 and 5, deviations 1 and 0
    fake = torch.tensor([[4.0, 5.0], [4.0, 5.0]])  # means 4 and 5, no deviation
    first = (3**2 + 1**2) / ((1 + 0) / 2 + 3**2 / 4)
    assert pixel_statistics_distance(real, fake) == pytest.approx((first + 0) / 2)


def test_sets_that_share_no_value_of_any_statistic_are_4_apart():
    assert pixel_statistics_distance(torch.zeros(3, 2), torch.ones(5, 2)) == pytest.approx(4)


def test_two_draws_of_n_images_are_about_three_nths_apart():
    generator = torch.Generator().manual_seed(0)
    draws = [torch.randn(2, 50, 40, generator=generator) for _ in range(20)]
    assert np.mean([pixel_statistics_distance(*pair) for pair in draws]) == pytest.approx(3 / 50, rel=0.15)


statistics = arrays(np.float32, st.tuples(st.integers(1, 6), st.just(3)), elements=st.floats(-2, 2, width=32)).map(
    torch.from_numpy
)


@given(statistics)
def test_a_set_has_no_distance_from_itself_repeated(values):
    assert pixel_statistics_distance(values, torch.cat([values, values])) == pytest.approx(0, abs=1e-9)


@given(statistics, statistics)
def test_the_distance_is_symmetric_and_between_0_and_4(real, fake):
    distance = pixel_statistics_distance(real, fake)
    assert distance == pytest.approx(pixel_statistics_distance(fake, real))
    assert 0 <= distance <= 4 + 1e-9
