from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from segbench.errors import StatisticsError
from segbench.stats.difference import difference
from segbench.stats.evidence import iou_evidence
from segbench.stats.gains import (
    class_contribution,
    image_gains,
    largest,
    part_contributions,
    rare_classes,
    seed_scores,
    with_part_of,
)
from segbench.stats.scores import miou
from segbench.store.counts import Counts

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


def test_what_the_only_part_adds_is_as_sure_as_the_whole_difference_under_cross_validation():
    folds, everything = (0, 0, 1, 1, 2, 2), np.ones((6, 40), dtype=bool)
    truth, *_ = drawn(0)
    pair = [
        {seed: replace(counted(truth, drawn(seed)[which], everything), folds=folds) for seed in range(3)}
        for which in (1, 2)
    ]
    inside, outside = part_contributions(*pair, "band", resamples=RESAMPLES)
    whole = difference(iou_evidence({"one": pair[0], "other": pair[1]}), "one", "other", resamples=RESAMPLES)
    assert inside.seed_variance == pytest.approx(whole.seed_variance)
    assert inside.networks == whole.networks == pytest.approx(3, rel=0.05)
    assert outside.seed_variance == 0


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
