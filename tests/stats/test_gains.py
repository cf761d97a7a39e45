from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, jaccard_score

from segbench.errors import StatisticsError
from segbench.stats.difference import difference
from segbench.stats.evidence import iou_evidence
from segbench.stats.gains import (
    LOWER_IS_BETTER,
    class_contribution,
    image_gains,
    image_miou,
    largest,
    over_seeds,
    part_contributions,
    rare_classes,
    score_differences,
    seed_scores,
    with_part_of,
)
from segbench.stats.scores import miou, scores
from segbench.stats.summary import summarize
from segbench.store.counts import Counts
from segbench.store.record import Scores

CLASSES = 3


RESAMPLES = 200


def confusions(truth, prediction, where):
    """Return the confusion counts of label maps (images, pixels), of the pixels in a mask."""
    labels = range(CLASSES)
    pairs = zip(truth, prediction, where, strict=True)
    return np.array([confusion_matrix(one[mask], two[mask], labels=labels) for one, two, mask in pairs], dtype=np.int64)


def counted(truth, prediction, band=None):
    """Return the counts of label maps (images, pixels), of which a mask is the boundary band and the small objects."""
    everything = np.ones(truth.shape, dtype=bool)
    inside = None if band is None else confusions(truth, prediction, band)
    ids = tuple(f"image {i}" for i in range(len(truth)))
    return Counts(ids, "test", confusions(truth, prediction, everything), band=inside, small=inside)


def drawn(seed, images=6, pixels=40):
    """Return truth, two predictions that are right more often than not, and a mask: label maps (images, pixels)."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(CLASSES, size=(images, pixels))
    predictions = [
        np.where(generator.random(truth.shape) < share, truth, generator.integers(CLASSES, size=truth.shape))
        for share in (0.8, 0.5)
    ]
    return truth, *predictions, generator.random(truth.shape) < 0.3


def gain(one, other):
    found = iou_evidence({"one": one, "other": other})
    return difference(found, "one", "other", resamples=RESAMPLES).estimate


@pytest.mark.parametrize(
    ("pixels", "rare"),
    [
        ([800, 60, 40, 100, 0], (1, 2, 4)),
        ([90, 10], (1,)),
        ([89, 11], ()),
        ([90, 5, 5, 5], (1, 2)),
        ([50, 50], ()),
    ],
)
def test_the_rarest_classes_that_together_hold_a_tenth_are_rare(pixels, rare):
    assert rare_classes(pixels) == rare


def test_counts_of_a_prediction_put_together_are_those_of_its_label_map():
    truth, one, other, band = drawn(0)
    together = with_part_of(counted(truth, other, band), counted(truth, one, band), "band")
    expected = counted(truth, np.where(band, one, other))
    assert np.array_equal(together.confusion, expected.confusion)


def test_images_in_another_order_are_put_together_by_their_ids():
    truth, one, other, band = drawn(0)
    donor, order = counted(truth, one, band), [3, 1, 5, 0, 2, 4]
    shuffled = Counts(tuple(donor.ids[i] for i in order), "test", donor.confusion[order], band=donor.band[order])
    host = counted(truth, other, band)
    assert np.array_equal(with_part_of(host, shuffled, "band").confusion, with_part_of(host, donor, "band").confusion)


def test_a_gain_in_the_band_alone_is_all_explained_by_the_band():
    truth, one, other, band = drawn(1)
    only_there = np.where(band, one, other)
    pair = {0: counted(truth, only_there, band)}, {0: counted(truth, other, band)}
    inside, outside = part_contributions(*pair, "band", resamples=RESAMPLES)
    assert inside.estimate == pytest.approx(gain(*pair))
    assert inside.estimate > 0
    assert outside.estimate == 0
    assert outside.interval() == (0, 0)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)  # each draws and counts images of its own
def test_what_the_parts_add_is_the_whole_difference(seed):
    truth, one, other, band = drawn(seed)
    pair = {0: counted(truth, one, band)}, {0: counted(truth, other, band)}
    inside, outside = part_contributions(*pair, "small", resamples=10)
    assert inside.estimate + outside.estimate == pytest.approx(gain(*pair))


def test_what_a_part_adds_is_the_mean_of_both_orders_of_exchange():
    truth, one, other, band = drawn(2)
    m = {
        (inner, outer): miou(counted(truth, np.where(band, pick[inner], pick[outer])).confusion.sum(axis=0))
        for pick in [{"one": one, "other": other}]
        for inner in ("one", "other")
        for outer in ("one", "other")
    }
    expected = (m["one", "other"] - m["other", "other"] + m["one", "one"] - m["other", "one"]) / 2
    pair = {0: counted(truth, one, band)}, {0: counted(truth, other, band)}
    inside, _ = part_contributions(*pair, "band", resamples=RESAMPLES)
    assert inside.estimate == pytest.approx(expected)


def test_a_part_that_was_not_counted_is_an_error():
    truth, one, other, _ = drawn(0)
    with pytest.raises(StatisticsError, match="part 'band' was not counted"):
        part_contributions({0: counted(truth, one)}, {0: counted(truth, other)}, "band", resamples=RESAMPLES)


def test_a_part_of_other_pixels_is_an_error():
    truth, one, other, band = drawn(0)
    pair = {0: counted(truth, one, band)}, {0: counted(truth, other, ~band)}
    with pytest.raises(StatisticsError, match="does not hold the same pixels"):
        part_contributions(*pair, "band", resamples=RESAMPLES)


def test_what_groups_of_classes_add_is_the_whole_difference():
    truth, one, other, _ = drawn(3)
    pair = {0: counted(truth, one)}, {0: counted(truth, other)}
    parts = [class_contribution(*pair, classes, resamples=RESAMPLES).estimate for classes in ([1], [0, 2])]
    assert sum(parts) == pytest.approx(gain(*pair))


def test_a_class_that_one_method_alone_finds_adds_its_share_of_the_mean():
    truth = np.array([[0, 0, 0, 0, 1, 1, 1, 1, 2, 2]] * 2)
    missed = np.where(truth == 2, 1, truth)
    found = {0: counted(truth, truth)}, {0: counted(truth, missed)}
    # IoU 1, 1, 1 against 1, 4/6, 0: class 2 adds a third of 1, class 1 a third of a third
    assert class_contribution(*found, [2], resamples=RESAMPLES).estimate == pytest.approx(1 / 3)
    assert class_contribution(*found, [1], resamples=RESAMPLES).estimate == pytest.approx(1 / 9)


def test_classes_that_one_method_alone_predicts_leave_the_sum_whole():
    truth = np.array([[0, 0, 0, 0, 1, 1, 1, 1]] * 2)
    invented = truth.copy()
    invented[:, 0] = 2  # IoU 3/4, 1 and 0: a mean of 7/12 over three classes, against 1 over two
    pair = {0: counted(truth, truth)}, {0: counted(truth, invented)}
    parts = [class_contribution(*pair, classes, resamples=RESAMPLES).estimate for classes in ([0], [1], [2])]
    assert parts == pytest.approx([1 / 2 - 1 / 4, 1 / 2 - 1 / 3, 0])
    assert sum(parts) == pytest.approx(1 - 7 / 12)


def test_per_image_miou_is_that_of_sklearn_over_the_classes_in_each_image():
    truth, one, _, _ = drawn(4, images=8, pixels=5)
    found = image_miou(counted(truth, one).confusion)
    expected = [
        np.mean(jaccard_score(true, guess, labels=np.union1d(true, guess), average=None))
        for true, guess in zip(truth, one, strict=True)
    ]
    assert found == pytest.approx(expected)


def test_a_gain_in_one_image_is_found_there_with_its_size():
    truth = np.array([[0, 0, 1, 1]] * 3)
    worse = truth.copy()
    worse[1, 0] = 1  # IoU 1/2 and 2/3 in that image
    gains = image_gains({0: counted(truth, truth)}, {0: counted(truth, worse)})
    assert [(one.image, one.difference.mean) for one in gains] == [
        ("image 1", pytest.approx(1 - 7 / 12)),
        ("image 0", 0),
        ("image 2", 0),
    ]
    assert gains[0].difference.sd is None
    assert largest(gains, 5) == ([gains[0]], [])


def test_gains_are_means_over_the_common_seeds_with_their_spread():
    truth = np.array([[0, 0, 1, 1]] * 2)
    worse = truth.copy()
    worse[0, 0] = 1
    one = {0: counted(truth, truth), 1: counted(truth, truth), 7: counted(truth, worse)}
    other = {0: counted(truth, worse), 1: counted(truth, truth), 8: counted(truth, truth)}
    first = image_gains(one, other)[0]
    assert first.image == "image 0"
    assert first.difference == pytest.approx((5 / 24, 5 / 12 / 2**0.5, 2))


def test_images_of_ignored_pixels_alone_are_left_out():
    nothing = np.zeros((1, CLASSES, CLASSES), dtype=np.int64)
    truth, one, other, _ = drawn(5, images=2)
    found = [counted(truth, prediction) for prediction in (one, other)]
    ours, theirs = (Counts((*cell.ids, "void"), "test", np.concatenate([cell.confusion, nothing])) for cell in found)
    assert sorted(gain.image for gain in image_gains({0: ours}, {0: theirs})) == ["image 0", "image 1"]


def test_losses_are_named_from_the_largest():
    truth = np.array([[0, 0, 1, 1]] * 3)
    worse = truth.copy()
    worse[1, 0], worse[2, :2] = 1, 1
    gains = image_gains({0: counted(truth, worse)}, {0: counted(truth, truth)})
    assert [one.image for one in largest(gains, 1)[1]] == ["image 2"]


def test_the_score_of_each_seed_is_the_miou_of_its_counts():
    truth, one, other, _ = drawn(6)
    counts = {0: counted(truth, one), 1: counted(truth, other)}
    expected = {seed: miou(cell.confusion.sum(axis=0)) for seed, cell in counts.items()}
    assert seed_scores(iou_evidence({"one": counts}), "one") == pytest.approx(expected)


NAMES = ("boundary_iou", "boundary_f1", "per_image_miou", "pixel_accuracy", "ece", "nll", "brier")


IMAGES, PIXELS, CLASSES_OF_SCORE_DIFFERENCES = 5, 50, 3


def cell(seed, complete=True):
    """Return counts of predictions that nobody made."""
    generator = np.random.default_rng(seed)
    confusion = generator.multinomial(
        PIXELS, np.full(CLASSES_OF_SCORE_DIFFERENCES**2, CLASSES_OF_SCORE_DIFFERENCES**-2), IMAGES
    ).reshape(-1, CLASSES_OF_SCORE_DIFFERENCES, CLASSES_OF_SCORE_DIFFERENCES)
    ids = tuple(f"{i}" for i in range(IMAGES))
    if not complete:
        return Counts(ids, "test", confusion)
    boundary = generator.integers(5, 9, (IMAGES, CLASSES_OF_SCORE_DIFFERENCES, 7))
    boundary[..., [0, 3, 5]] = generator.integers(5, size=(IMAGES, CLASSES_OF_SCORE_DIFFERENCES, 3))
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
