from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.neighbors import NearestNeighbors

from segbench.engine.generation.manifolds import precision_and_recall


def share_inside(points, manifold):
    """The share of points within the 3rd nearest neighbour's distance of any point of a manifold, by scikit-learn."""
    neighbours = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(manifold)
    radii = neighbours.kneighbors(manifold)[0][:, -1]
    found = [
        any(radii[index] >= distance for distance, index in zip(*pair, strict=True))
        for pair in zip(*neighbours.kneighbors(points, n_neighbors=len(manifold)), strict=True)
    ]
    return np.mean(found)


def gaussian(number, mean, seed, size=8):
    return torch.randn(number, size, generator=torch.Generator().manual_seed(seed)) + mean


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.5])
@pytest.mark.parametrize(("number", "other"), [(30, 50), (300, 270)])
def test_precision_and_recall_are_those_of_brute_force_by_scikit_learn(number, other, shift):
    real, fake = gaussian(number, 0.0, 0), 0.7 * gaussian(other, shift, 1)
    expected = share_inside(fake.numpy(), real.numpy()), share_inside(real.numpy(), fake.numpy())
    assert precision_and_recall(real, fake) == pytest.approx(expected)


def test_precision_and_recall_of_points_on_a_line_worked_by_hand():
    # The 3rd nearest of 0, 1, 2, 3 are 3, 2, 2, 3 away: the manifold reaches from -3 to 6.
    real = torch.tensor([0.0, 1.0, 2.0, 3.0])[:, None]
    # Those of 6, 7, 8, 9 likewise: from 3 to 12, so that of the real points 3 alone is in it.
    fake = torch.tensor([6.0, 7.0, 8.0, 9.0])[:, None]
    assert precision_and_recall(real, fake) == (0.25, 0.25)
    assert precision_and_recall(real, fake + 0.5) == (0.0, 0.0)


def two_modes_and_one():
    near, far, again = gaussian(40, 0.0, 0, 2), gaussian(40, 100.0, 1, 2), gaussian(40, 0.0, 2, 2)
    return torch.cat([near, far]), again


def test_a_generator_that_drops_a_mode_has_precision_and_half_the_recall():
    precision, recall = precision_and_recall(*two_modes_and_one())
    assert precision > 0.8
    assert 0.4 < recall <= 0.5


def test_a_generator_that_adds_a_mode_has_recall_and_half_the_precision():
    precision, recall = precision_and_recall(*reversed(two_modes_and_one()))
    assert 0.4 < precision <= 0.5
    assert recall > 0.8


@pytest.mark.parametrize(("number", "other"), [(3, 9), (9, 3), (1, 1)])
def test_sets_without_a_third_neighbour_have_none(number, other):
    assert precision_and_recall(gaussian(number, 0.0, 0), gaussian(other, 0.0, 1)) is None


# Few values, so that points coincide and lie on the borders of balls.
point_sets = arrays(np.float32, st.tuples(st.integers(4, 9), st.just(2)), elements=st.integers(0, 3)).map(
    torch.from_numpy
)


@given(point_sets)
def test_identical_sets_have_precision_and_recall_1(points):
    assert precision_and_recall(points, points.clone()) == (1.0, 1.0)


@given(point_sets, point_sets)
def test_precision_is_recall_with_the_roles_exchanged(real, fake):
    assert precision_and_recall(real, fake) == precision_and_recall(fake, real)[::-1]


@given(point_sets, point_sets, st.sampled_from([0.5, 2.0, 8.0]))
def test_the_unit_of_the_features_does_not_matter(real, fake, factor):
    assert precision_and_recall(factor * real, factor * fake) == precision_and_recall(real, fake)
