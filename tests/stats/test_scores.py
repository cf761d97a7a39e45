from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score, jaccard_score
from torchmetrics.classification import MulticlassJaccardIndex

from segbench.stats.scores import dice, frequency_weighted_iou, iou, mean_accuracy, mean_dice, miou, per_class, scores

IGNORE = 255
K = 6


def label_maps(seed):
    """Truth with an ignored stripe and without class 4, and a prediction that is right in most pixels."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 4, (3, 20, 30))
    prediction = np.where(generator.random(truth.shape) < 0.7, truth, generator.integers(0, 4, truth.shape))
    prediction[0, 0, :5] = 5  # class 5 is predicted and never right
    truth[:, 10:12] = IGNORE
    return truth, prediction


def count(truth, prediction, num_classes=K):
    valid = truth != IGNORE
    return confusion_matrix(truth[valid], prediction[valid], labels=range(num_classes)).astype(np.int64)


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
    assert scores(confusion).pixel_accuracy == pytest.approx(accuracy_score(truth, prediction))
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        assert mean_accuracy(confusion) == pytest.approx(balanced_accuracy_score(truth, prediction))


def test_scores_of_a_matrix_worked_by_hand():
    confusion = np.array([[6, 0], [2, 2]])
    found = scores(confusion)
    assert found.miou == pytest.approx((6 / 8 + 2 / 4) / 2)
    assert found.pixel_accuracy == pytest.approx(8 / 10)
    assert found.mean_accuracy == pytest.approx((6 / 6 + 2 / 4) / 2)
    assert found.fwiou == pytest.approx(0.6 * 6 / 8 + 0.4 * 2 / 4)
    assert found.dice == pytest.approx((12 / 14 + 4 / 6) / 2)


def test_a_class_in_neither_truth_nor_prediction_is_undefined_and_not_in_the_mean():
    confusion = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    assert per_class(confusion).iou == [0.75, 0.8, None]
    assert miou(confusion) == pytest.approx(0.775)


def test_a_class_that_is_only_predicted_counts_as_zero_in_miou_and_not_in_mean_accuracy():
    confusion = np.array([[3, 1], [0, 0]])
    assert miou(confusion) == pytest.approx((3 / 4 + 0) / 2)
    assert mean_accuracy(confusion) == pytest.approx(3 / 4)


def test_scores_of_no_pixels_are_none():
    assert set(scores(np.zeros((3, 3), np.int64)).model_dump().values()) == {None}
    assert per_class(np.zeros((2, 2), np.int64)).iou == [None, None]


def test_counts_beyond_single_precision_stay_exact():
    huge = 2**40
    confusion = np.array([[huge, 1], [0, huge]])
    assert per_class(confusion).iou == [huge / (huge + 1), huge / (huge + 1)]


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
    assert scores(permuted).model_dump() == pytest.approx(scores(confusion).model_dump())


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=5).filter(any))
def test_a_perfect_prediction_scores_one(pixels):
    assert scores(np.diag(np.array(pixels, np.int64))).model_dump() == pytest.approx(
        {"miou": 1, "pixel_accuracy": 1, "mean_accuracy": 1, "fwiou": 1, "dice": 1}
    )


@given(defined)
def test_every_score_is_between_zero_and_one(confusion):
    assert all(0 <= value <= 1 + 1e-12 for value in scores(confusion).model_dump().values())


@given(st.integers(0, 2**32 - 1), st.integers(1, 59))
def test_the_matrix_of_a_whole_is_the_sum_of_its_parts(seed, cut):
    truth, prediction = label_maps(seed)
    truth, prediction = truth.reshape(-1, 30), prediction.reshape(-1, 30)
    parts = count(truth[:cut], prediction[:cut]) + count(truth[cut:], prediction[cut:])
    assert scores(parts) == scores(count(truth, prediction))


@given(st.integers(0, 2**32 - 1))
def test_what_is_predicted_at_ignored_pixels_changes_nothing(seed):
    truth, prediction = label_maps(seed)
    other = np.where(truth == IGNORE, 0, prediction)
    assert scores(count(truth, other)) == scores(count(truth, prediction))
