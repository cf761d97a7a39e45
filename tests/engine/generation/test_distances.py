from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist

from segbench.engine.generation.distances import diversity, nearest


def images(number, seed=0, size=(3, 5, 4)):
    return torch.rand(number, *size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def rows(fields):
    """Images as vectors, whose Euclidean distances are root mean squares of the images' differences."""
    return fields.flatten(1).double().numpy() / np.sqrt(fields[0].numel())


@pytest.mark.parametrize("number", [2, 7, 64, 150])
def test_diversity_is_the_mean_over_all_pairs(number):
    assert diversity(images(number)).item() == pytest.approx(pdist(rows(images(number))).mean(), rel=1e-5)


@pytest.mark.parametrize(("number", "training"), [(1, 1), (3, 150), (150, 3), (70, 70)])
def test_nearest_is_the_mean_over_images_of_the_least_distance(number, training):
    generated, seen = images(number), images(training, seed=1)
    expected = cdist(rows(generated), rows(seen)).min(axis=1).mean()
    assert nearest(generated, seen).item() == pytest.approx(expected, rel=1e-5)


def test_black_and_white_images_are_two_apart():
    black_and_white = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1).expand(-1, 3, 8, 8)
    assert diversity(black_and_white).item() == pytest.approx(2)
    assert nearest(black_and_white[:1], black_and_white[1:]).item() == pytest.approx(2)


def test_images_that_are_all_the_same_have_no_diversity():
    assert diversity(images(1).expand(100, -1, -1, -1)).item() < 1e-6


def test_one_image_alone_has_an_undefined_diversity():
    assert diversity(images(1)).isnan()


def test_images_that_hardly_differ_are_not_lost_in_rounding():
    bright = 0.9 + 1e-4 * images(80, size=(3, 32, 32))
    assert diversity(bright).item() == pytest.approx(pdist(rows(bright)).mean(), rel=1e-2)


def test_images_learnt_by_heart_are_at_no_distance():
    seen = images(150)
    assert nearest(seen.flip(0)[:80], seen).item() == 0


@given(st.permutations(range(6)))
def test_the_order_of_the_images_does_not_matter(order):
    generated, seen = images(6), images(6, seed=1)
    assert diversity(generated[order]).item() == pytest.approx(diversity(generated).item(), rel=1e-5)
    assert nearest(generated, seen[order]).item() == pytest.approx(nearest(generated, seen).item(), rel=1e-5)


@given(st.floats(0.01, 1), st.floats(-0.5, 0.5))
def test_distances_scale_with_contrast_and_ignore_what_all_images_share(contrast, brightness):
    generated, seen = images(5), images(6, seed=1)
    changed = [contrast * fields + brightness for fields in (generated, seen)]
    assert diversity(changed[0]).item() == pytest.approx(contrast * diversity(generated).item(), rel=1e-3)
    assert nearest(*changed).item() == pytest.approx(contrast * nearest(generated, seen).item(), rel=1e-3)


@given(st.integers(1, 5))
def test_more_training_images_never_lie_further(number):
    generated, seen = images(4), images(6, seed=1)
    assert nearest(generated, seen[: number + 1]) <= nearest(generated, seen[:number])
