from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, jaccard_score
from torchmetrics.classification import MulticlassJaccardIndex

from segbench.stats.scores import (
    boundary_f1,
    boundary_f1_by_image,
    boundary_iou,
    brier,
    dice,
    expected_calibration_error,
    frequency_weighted_iou,
    image_miou,
    iou,
    mean,
    mean_accuracy,
    mean_dice,
    means,
    miou,
    negative_log_likelihood,
    numbers,
    per_class,
    per_image_miou,
    ratio,
    scores,
    surface_scores,
)
from segbench.store.counts import Counts

from .label_maps import IGNORE, K, count, label_maps


def counts_of(*confusions, **others):
    """The counts of images of which no more than confusion was counted, if nothing is said."""
    ids = tuple(map(str, range(len(confusions))))
    return Counts(ids=ids, split="test", confusion=np.stack(confusions), **others)


def of_pixels(found):
    """The scores of confusion summed over the split."""
    return found.model_dump(include={"miou", "pixel_accuracy", "mean_accuracy", "fwiou", "dice"})


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("average", "score"), [("macro", miou), ("weighted", frequency_weighted_iou)])
def test_miou_and_fwiou_are_those_of_torchmetrics(seed, average, score):
    truth, prediction = label_maps(seed)
    oracle = MulticlassJaccardIndex(K, average=average, ignore_index=IGNORE)
    expected = oracle(torch.from_numpy(prediction), torch.from_numpy(truth)).item()
    assert score(count(truth, prediction)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_class_iou_dice_and_accuracies_are_those_of_sklearn(seed):
    truth, prediction = label_maps(seed)
    confusion = count(truth, prediction)
    valid = truth != IGNORE
    truth, prediction = truth[valid], prediction[valid]
    there = [0, 1, 2, 3, 5]
    assert iou(confusion)[there] == pytest.approx(jaccard_score(truth, prediction, labels=there, average=None))
    assert dice(confusion)[there] == pytest.approx(f1_score(truth, prediction, labels=there, average=None))
    assert mean_dice(confusion) == pytest.approx(f1_score(truth, prediction, labels=there, average="macro"))
    assert scores(counts_of(confusion)).pixel_accuracy == pytest.approx(accuracy_score(truth, prediction))
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        assert mean_accuracy(confusion) == pytest.approx(balanced_accuracy_score(truth, prediction))


def test_scores_of_a_matrix_worked_by_hand():
    confusion = np.array([[6, 0], [2, 2]])
    found = scores(counts_of(confusion))
    assert found.miou == pytest.approx((6 / 8 + 2 / 4) / 2)
    assert found.pixel_accuracy == pytest.approx(8 / 10)
    assert found.mean_accuracy == pytest.approx((6 / 6 + 2 / 4) / 2)
    assert found.fwiou == pytest.approx(0.6 * 6 / 8 + 0.4 * 2 / 4)
    assert found.dice == pytest.approx((12 / 14 + 4 / 6) / 2)


def test_a_class_in_neither_truth_nor_prediction_is_undefined_and_not_in_the_mean():
    confusion = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    assert per_class(counts_of(confusion)).iou == [0.75, 0.8, None]
    assert miou(confusion) == pytest.approx(0.775)


def test_a_class_that_is_only_predicted_counts_as_zero_in_miou_and_not_in_mean_accuracy():
    confusion = np.array([[3, 1], [0, 0]])
    assert miou(confusion) == pytest.approx((3 / 4 + 0) / 2)
    assert mean_accuracy(confusion) == pytest.approx(3 / 4)


def test_scores_of_no_pixels_are_none():
    assert set(scores(counts_of(np.zeros((3, 3), np.int64))).model_dump().values()) == {None}
    assert per_class(counts_of(np.zeros((2, 2), np.int64))).iou == [None, None]


def test_counts_beyond_single_precision_stay_exact():
    huge = 2**40
    confusion = np.array([[huge, 1], [0, huge]])
    assert per_class(counts_of(confusion)).iou == [huge / (huge + 1), huge / (huge + 1)]


def test_a_matrix_of_another_form_is_refused():
    with pytest.raises(ValueError, match=r"\(K, K\) int64, not \(2, 3\)"):
        iou(np.zeros((2, 3), np.int64))
    with pytest.raises(ValueError, match=r"not .* float64"):
        iou(np.zeros((2, 2)))


confusions = arrays(np.int64, (4, 4), elements=st.integers(0, 10**6))


defined = confusions.filter(lambda confusion: confusion.any())


@given(confusions)
def test_dice_is_a_function_of_iou(confusion):
    assert dice(confusion) == pytest.approx(2 * iou(confusion) / (1 + iou(confusion)), nan_ok=True)


@given(defined, st.permutations(range(4)))
def test_the_order_of_the_classes_does_not_matter(confusion, order):
    permuted = confusion[np.ix_(order, order)]
    assert iou(permuted) == pytest.approx(iou(confusion)[list(order)], nan_ok=True)
    assert scores(counts_of(permuted)).model_dump() == pytest.approx(scores(counts_of(confusion)).model_dump())


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=5).filter(any))
def test_a_perfect_prediction_scores_one(pixels):
    found = scores(counts_of(np.diag(np.array(pixels, np.int64))))
    assert found.per_image_miou == 1
    assert of_pixels(found) == pytest.approx(
        {"miou": 1, "pixel_accuracy": 1, "mean_accuracy": 1, "fwiou": 1, "dice": 1}
    )


@given(defined)
def test_every_score_is_between_zero_and_one(confusion):
    found = scores(counts_of(confusion)).model_dump(exclude_none=True)
    assert all(0 <= value <= 1 + 1e-12 for value in found.values())


@given(st.integers(0, 2**32 - 1), st.integers(1, 59))
def test_the_matrix_of_a_whole_is_the_sum_of_its_parts(seed, cut):
    truth, prediction = label_maps(seed)
    truth, prediction = truth.reshape(-1, 30), prediction.reshape(-1, 30)
    parts = [count(truth[rows], prediction[rows]) for rows in (slice(cut), slice(cut, None))]
    merged, whole = scores(counts_of(*parts)), scores(counts_of(count(truth, prediction)))
    assert of_pixels(merged) == of_pixels(whole)
    assert scores(counts_of(sum(parts))) == whole


@given(st.integers(0, 2**32 - 1))
def test_what_is_predicted_at_ignored_pixels_changes_nothing(seed):
    truth, prediction = label_maps(seed)
    other = np.where(truth == IGNORE, 0, prediction)
    assert scores(counts_of(count(truth, other))) == scores(counts_of(count(truth, prediction)))


def test_the_mean_over_images_is_taken_of_each_images_own_miou():
    """Image 0: IoU 3/4 and 0; image 1: only class 0, all right; image 2: nothing labelled."""
    confusions = [np.array([[3, 0], [1, 0]]), np.array([[5, 0], [0, 0]]), np.zeros((2, 2), np.int64)]
    assert scores(counts_of(*confusions)).per_image_miou == pytest.approx((3 / 8 + 1) / 2)
    assert scores(counts_of(*confusions)).miou == pytest.approx((8 / 9 + 0) / 2)


@given(st.lists(confusions, min_size=1, max_size=4))
def test_the_mean_over_images_is_the_mean_of_each_alone(images):
    alone = [score for image in images if (score := miou(image)) is not None]
    assert per_image_miou(np.stack(images)) == (pytest.approx(np.mean(alone)) if alone else None)


def test_the_miou_of_each_image_is_that_of_sklearn_over_the_classes_in_it():
    truth, prediction = label_maps(4)
    prediction[truth == IGNORE] = IGNORE
    expected = [
        jaccard_score(true, guess, labels=np.setdiff1d([*true, *guess], IGNORE), average="macro")
        for true, guess in zip(truth.reshape(3, -1), prediction.reshape(3, -1), strict=True)
    ]
    found = image_miou(np.stack([count(*pair) for pair in zip(truth, prediction, strict=True)]))
    assert found == pytest.approx(expected)


@given(st.lists(confusions, min_size=1, max_size=4), st.randoms())
def test_the_order_of_the_images_does_not_matter(images, random):
    shuffled = random.sample(images, len(images))
    assert scores(counts_of(*shuffled)).model_dump() == pytest.approx(scores(counts_of(*images)).model_dump())


def test_what_was_not_counted_has_no_score():
    found = scores(counts_of(np.eye(2, dtype=np.int64)))
    assert {name for name, score in found if score is None} == {
        *("boundary_iou", "boundary_f1", "ece", "nll", "brier", "hd95", "surface_dice"),
    }
    classes = per_class(counts_of(np.eye(2, dtype=np.int64)))
    assert (classes.boundary_iou, classes.boundary_f1) == (None, None)


def test_all_that_was_counted_has_a_score():
    """Two classes in one image; class 1 has neither boundary nor surface."""
    counts = counts_of(
        np.diag([4, 0]),
        boundary=np.array([[[2, 4, 4, 3, 4, 2, 4], [0] * 7]]),
        calibration=np.pad([[[4.0, 3.0, 4.0]]], ((0, 0), (0, 14), (0, 0))),
        likelihood=np.array([[2.0, 1.0]]),
        surface=np.array([[[7.0, 0.5], [np.nan, np.nan]]]),
    )
    found = scores(counts)
    assert found.boundary_iou == 2 / 6
    assert found.boundary_f1 == pytest.approx(2 * 0.75 * 0.5 / 1.25)
    assert (found.ece, found.nll, found.brier) == (0.25, 0.5, 0.25)
    assert (found.hd95, found.surface_dice) == (7, 0.5)
    assert per_class(counts).boundary_iou == [2 / 6, None]
    assert per_class(counts).boundary_f1 == [pytest.approx(0.6), None]


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


def test_boundary_f1_without_tolerance_is_the_f1_score_of_sklearn():
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


def bins(*filled):
    """Bins of one image, of which the first are filled with (pixels, sum of top probability, right)."""
    return np.array([*filled, *[(0.0, 0.0, 0.0)] * (15 - len(filled))])[None]


def test_bins_weigh_by_their_pixels():
    """|0.9 - 1| of 1 pixel and |0.6 - 1/3| of 3."""
    assert expected_calibration_error(bins((1, 0.9, 1), (3, 1.8, 1))) == pytest.approx(
        0.25 * 0.1 + 0.75 * (0.6 - 1 / 3)
    )


def test_bins_are_summed_over_images_before_they_are_compared():
    """One image is too sure and one not sure enough; together they are right on average."""
    both = np.concatenate([bins((1, 0.5, 1)), bins((1, 0.5, 0))])
    assert expected_calibration_error(both) == 0
    assert expected_calibration_error(both[:1]) == 0.5


def test_likelihoods_are_means_over_pixels():
    likelihood = np.array([[3.0, 1.0], [5.0, 0.0]])
    assert negative_log_likelihood(likelihood, 4) == 2
    assert brier(likelihood, 4) == 0.25


def test_scores_of_no_pixels_are_none_of_calibration():
    assert expected_calibration_error(bins()) is None
    assert negative_log_likelihood(np.zeros((1, 2)), 0) is None
    assert brier(np.zeros((1, 2)), 0) is None


@given(st.lists(st.tuples(st.integers(1, 100), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=15))
def test_the_calibration_error_lies_between_0_and_1(filled):
    error = expected_calibration_error(bins(*((n, n * top, round(n * right)) for n, top, right in filled)))
    assert 0 <= error <= 1


def test_what_is_not_defined_is_left_out_without_a_warning():
    values = np.array([[1.0, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(means(values, axis=0), [1, np.nan])
    np.testing.assert_array_equal(means(values, axis=1), [1, np.nan])
    assert mean(values) == 1
    assert mean(values[1]) is None
    assert numbers(values[0]) == [1.0, None]


def test_a_ratio_with_an_empty_whole_is_nan():
    np.testing.assert_array_equal(ratio(np.array([1, 0]), np.array([4, 0])), [0.25, np.nan])
    assert ratio(3, 4) == 0.75
    assert np.isnan(ratio(np.int64(0), np.int64(0)))
