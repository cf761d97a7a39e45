from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from segbench.errors import StatisticsError
from segbench.stats.difference import difference
from segbench.stats.evidence import iou_evidence
from segbench.stats.score_differences import LOWER_IS_BETTER, over_seeds, score_differences
from segbench.stats.scores import scores
from segbench.stats.summary import summarize
from segbench.store.counts import Counts
from segbench.store.record import Scores

NAMES = ("boundary_iou", "boundary_f1", "per_image_miou", "pixel_accuracy", "ece", "nll", "brier")
IMAGES, PIXELS, CLASSES = 5, 50, 3


def cell(seed, complete=True):
    """Return counts of predictions that nobody made."""
    generator = np.random.default_rng(seed)
    confusion = generator.multinomial(PIXELS, np.full(CLASSES**2, CLASSES**-2), IMAGES).reshape(-1, CLASSES, CLASSES)
    ids = tuple(f"{i}" for i in range(IMAGES))
    if not complete:
        return Counts(ids, "test", confusion)
    boundary = generator.integers(5, 9, (IMAGES, CLASSES, 7))
    boundary[..., [0, 3, 5]] = generator.integers(5, size=(IMAGES, CLASSES, 3))
    calibration = np.zeros((IMAGES, 15, 3))
    calibration[:, 10] = np.stack([[PIXELS, 0.7 * PIXELS, right] for right in generator.integers(PIXELS, size=IMAGES)])
    likelihood = PIXELS * generator.random((IMAGES, 2)) * 3
    return Counts(ids, "test", confusion, boundary=boundary, calibration=calibration, likelihood=likelihood)


def cells(*seeds, complete=True):
    return {i: cell(seed, complete) for i, seed in enumerate(seeds)}


@pytest.fixture
def found():
    one, other = cells(1, 2, 3), cells(4, 5, 6)
    return {score.name: score for score in score_differences(NAMES, one, other, resamples=500)}


def test_each_score_has_the_difference_of_what_the_counts_give(found):
    assert tuple(found) == NAMES
    for name, score in found.items():
        apart = [
            getattr(scores(cell(mine)), name) - getattr(scores(cell(yours)), name)
            for mine, yours in [(1, 4), (2, 5), (3, 6)]
        ]
        assert score.difference.mean == pytest.approx(np.mean(apart)), name
        assert score.difference.sd == pytest.approx(np.std(apart, ddof=1)), name
        assert score.one.n == score.other.n == 3


def test_intervals_lie_around_the_difference(found):
    for name, score in found.items():
        low, high = score.interval
        assert (low + high) / 2 == pytest.approx(score.difference.mean, abs=1e-9), name


def test_only_calibration_error_is_no_mean_over_images(found):
    assert {name: score.over for name, score in found.items()} == {
        **dict.fromkeys(NAMES, "seeds and images"),
        "ece": "seeds",
    }


def test_the_interval_over_seeds_is_that_of_the_t_test():
    values = [0.1, 0.4, 0.2, 0.35]
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert over_seeds(summarize(values), 0.9) == pytest.approx(tuple(expected))


def test_pixel_accuracy_has_the_interval_of_one_class_of_all_pixels():
    """Where everything is of one class, IoU is the accuracy if nothing is predicted of it wrongly."""
    confusion = np.zeros((2, 4, 2, 2), dtype=np.int64)
    confusion[:, :, 0, 0] = [[9, 7, 8, 6], [5, 7, 9, 3]]
    confusion[:, :, 0, 1] = 10 - confusion[:, :, 0, 0]
    one, other = ({0: Counts(("a", "b", "c", "d"), "test", found)} for found in confusion)
    (accuracy,) = score_differences(["pixel_accuracy"], one, other, resamples=500)
    iou = difference(iou_evidence({"one": one, "other": other}, classes=[0]), "one", "other", resamples=500)
    assert accuracy.interval == pytest.approx(iou.interval())


def test_with_one_seed_the_interval_is_over_images_or_there_is_none():
    found = score_differences(["nll", "ece"], cells(1), cells(2), resamples=100)
    assert [(score.name, score.over, score.interval is None) for score in found] == [
        ("nll", "images", False),
        ("ece", "seeds", True),
    ]


def test_images_in_another_order_are_paired_by_their_ids():
    one, other, order = cell(1), cell(2), [4, 2, 0, 1, 3]
    shuffled = Counts(
        tuple(one.ids[i] for i in order),
        "test",
        one.confusion[order],
        boundary=one.boundary[order],
        calibration=one.calibration[order],
        likelihood=one.likelihood[order],
    )
    straight, mixed = (score_differences(NAMES, {0: mine}, {0: other}, resamples=100) for mine in (one, shuffled))
    for one_score, other_score in zip(straight, mixed, strict=True):
        assert one_score.difference == pytest.approx(other_score.difference, nan_ok=True)
        assert one_score.interval == pytest.approx(other_score.interval)


def test_what_was_not_counted_of_both_is_left_out():
    found = score_differences(NAMES, cells(1, 2), cells(3, 4, complete=False), resamples=100)
    assert [score.name for score in found] == ["per_image_miou", "pixel_accuracy"]


def test_no_common_seed_is_an_error():
    with pytest.raises(StatisticsError, match="no seed in common"):
        score_differences(NAMES, {0: cell(0)}, {1: cell(1)})


def test_scores_where_lower_is_better_exist():
    assert set(Scores.model_fields) >= LOWER_IS_BETTER
