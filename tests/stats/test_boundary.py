from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score

from segbench.stats.boundary import boundary_f1, boundary_f1_by_image, boundary_iou, surface_scores


def counts(intersection=0, truth=0, prediction=0, predicted_matched=0, predicted=0, true_matched=0, true=0):
    return [intersection, truth, prediction, predicted_matched, predicted, true_matched, true]


def test_boundary_iou_is_of_pixels_summed_over_the_split():
    boundary = np.array([[counts(1, 2, 2), counts()], [counts(5, 8, 7), counts(prediction=3)]])
    assert boundary_iou(boundary).tolist() == [6 / (10 + 9 - 6), 0]


def test_boundary_f1_is_a_mean_over_the_images_that_have_the_boundary():
    boundary = np.array(
        [
            [counts(predicted_matched=3, predicted=4, true_matched=1, true=2), counts()],
            [counts(predicted=4), counts()],  # predicted where there is none
            [counts(true=5), counts()],  # not found
            [counts(), counts()],
        ]
    )
    np.testing.assert_allclose(boundary_f1_by_image(boundary)[:, 0], [0.6, 0, 0, np.nan])
    assert boundary_f1(boundary)[0] == pytest.approx(0.2)
    assert np.isnan(boundary_f1(boundary)[1])
    assert np.isnan(boundary_iou(boundary)[1])


def test_without_tolerance_it_is_the_f1_score_of_sklearn():
    """If a boundary pixel matches only itself, precision and recall are those of the two masks."""
    generator = np.random.default_rng(0)
    true, predicted = generator.random((2, 200)) < 0.4
    both = (true & predicted).sum()
    boundary = np.array([[counts(0, 0, 0, both, predicted.sum(), both, true.sum())]])
    assert boundary_f1(boundary)[0] == pytest.approx(f1_score(true, predicted))


@st.composite
def boundaries(draw):
    """Counts of which no part exceeds its whole."""
    images, classes = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    pixels = arrays(np.int64, (images, classes), elements=st.integers(0, 50))
    truth, prediction, predicted, true = (draw(pixels) for _ in range(4))
    shared, matched, found = (draw(pixels) for _ in range(3))
    parts = np.minimum(shared, np.minimum(truth, prediction)), np.minimum(matched, predicted), np.minimum(found, true)
    return np.stack([parts[0], truth, prediction, parts[1], predicted, parts[2], true], axis=2)


@given(boundaries())
def test_scores_lie_between_0_and_1_and_images_may_come_in_any_order(boundary):
    for score in (boundary_iou, boundary_f1):
        found = score(boundary)
        assert ((found >= 0) & (found <= 1) | np.isnan(found)).all()
        np.testing.assert_allclose(score(boundary[::-1]), found)


@given(boundaries())
def test_boundary_iou_of_images_merged_is_that_of_their_sum(boundary):
    np.testing.assert_array_equal(boundary_iou(boundary.sum(axis=0, keepdims=True)), boundary_iou(boundary))


def test_surface_scores_are_means_over_images_where_they_are_defined():
    surface = np.array([[[2.0, 1.0], [np.nan, np.nan]], [[4.0, 0.5], [np.nan, np.nan]], [[np.nan] * 2] * 2])
    np.testing.assert_array_equal(surface_scores(surface), [[3, 0.75], [np.nan, np.nan]])
