from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench import DataError
from segbench.engine.data.cache import PackedIndex, PackedSplit
from segbench.engine.data.subset import Places, interleave, split_places
from segbench.plan.cell import Subset

IGNORED = 255

label_rows = st.lists(st.lists(st.sampled_from([0, 1, 2, 3, IGNORED]), min_size=1, max_size=4), min_size=1, max_size=30)
fractions = st.floats(0.001, 1)


def split_of(rows, ids=None, classes=4):
    """Make a split of images of one row of labels each."""
    counted = [value for row in rows for value in row if value != IGNORED]
    index = PackedIndex(
        split="train",
        ids=ids or tuple(f"image {place}" for place in range(len(rows))),
        sizes=tuple((1, len(row)) for row in rows),
        channels=1,
        image_dtype="uint8",
        label_dtype="uint8",
        num_classes=classes,
        ignore_index=IGNORED,
        class_pixels=tuple(np.bincount(counted, minlength=classes).tolist()) if counted else (0,) * classes,
    )
    labels = np.array([value for row in rows for value in row], np.uint8)
    return PackedSplit(index, np.zeros_like(labels), labels)


def test_without_a_fraction_or_fold_all_images_are_labelled():
    assert split_places(split_of([[0], [1], [2]]), Subset()) == Places((0, 1, 2), (), ())


def test_the_pixels_of_each_image_are_counted_by_class():
    pixels = split_of([[0, 3, 3], [IGNORED], [1, IGNORED]]).image_class_pixels
    assert pixels.tolist() == [[1, 0, 0, 2], [0] * 4, [0, 1, 0, 0]]


@given(rows=label_rows, fraction=fractions, folds=st.integers(2, 6), data=st.data())
def test_labelled_unlabelled_and_held_out_are_disjoint_and_all(rows, fraction, folds, data):
    fold = data.draw(st.integers(1, folds))
    if max(1, int(fraction * len(rows) + 0.5)) < folds:
        return
    places = split_places(split_of(rows), Subset(fraction, fold, folds))
    assert sorted(sum(places, ())) == list(range(len(rows)))
    assert all(list(part) == sorted(part) for part in places)
    assert places.labelled
    assert places.held_out


@given(rows=label_rows, pair=st.tuples(fractions, fractions))
def test_smaller_fractions_lie_within_larger_ones(rows, pair):
    split = split_of(rows)
    smaller, larger = (set(split_places(split, Subset(fraction)).labelled) for fraction in sorted(pair))
    assert smaller <= larger


@pytest.mark.parametrize(("fraction", "count"), [(1 / 16, 1), (0.124, 1), (0.25, 2), (0.5, 4), (0.82, 7), (0.99, 8)])
def test_a_fraction_is_the_nearest_whole_number_of_images_and_at_least_one(fraction, count):
    places = split_places(split_of([[0]] * 8), Subset(fraction))
    assert (len(places.labelled), len(places.unlabelled)) == (count, 8 - count)


def test_images_of_one_stratum_are_taken_in_the_order_of_the_hashes_of_their_ids():
    split = split_of([[0]] * 10)
    by_hash = sorted(range(10), key=lambda place: hashlib.sha256(split.ids[place].encode()).hexdigest())
    assert split_places(split, Subset(0.3)).labelled == tuple(sorted(by_hash[:3]))


@given(rows=label_rows, fraction=fractions, data=st.data())
def test_the_order_of_the_images_in_the_split_changes_nothing(rows, fraction, data):
    ids = [f"image {place}" for place in range(len(rows))]
    order = data.draw(st.permutations(range(len(rows))))
    split = split_of(rows, tuple(ids))
    shuffled = split_of([rows[place] for place in order], tuple(ids[place] for place in order))
    for subset in (Subset(fraction), Subset(1, 1, 2)):
        if subset.is_fold and len(rows) < 2:
            continue
        expected, found = split_places(split, subset), split_places(shuffled, subset)
        for part, same in zip(expected, found, strict=True):
            assert {split.ids[place] for place in part} == {shuffled.ids[place] for place in same}


def test_an_image_counts_for_the_rarest_class_in_it():
    # Classes 0 and 1 have 40 and 8 pixels: eight images are of stratum 0, four of stratum 1.
    split = split_of([[0] * 4] * 8 + [[0, 0, 1, 1]] * 4)
    labelled = split_places(split, Subset(0.25)).labelled
    assert sorted(place >= 8 for place in labelled) == [False, False, True]


def test_images_without_a_label_are_a_stratum_of_their_own():
    split = split_of([[IGNORED]] * 4 + [[0]] * 4)
    labelled = split_places(split, Subset(0.5)).labelled
    assert sum(place < 4 for place in labelled) == 2


@given(st.lists(st.integers(1, 12), min_size=1, max_size=8))
def test_every_beginning_holds_the_share_of_each_stratum_to_within_one_image(sizes):
    starts = np.cumsum([0, *sizes])
    order = interleave([list(range(start, start + size)) for start, size in zip(starts, sizes, strict=False)])
    assert sorted(order) == list(range(sum(sizes)))
    stratum = np.repeat(np.arange(len(sizes)), sizes)[order]
    taken = (stratum[:, None] == np.arange(len(sizes))).cumsum(axis=0)
    claimed = np.arange(1, len(order) + 1)[:, None] * np.array(sizes) / len(order)
    assert np.abs(taken - claimed).max() < 1


@given(rows=label_rows, fraction=fractions, folds=st.integers(2, 6))
def test_folds_are_disjoint_cover_the_labelled_images_and_are_of_one_size(rows, fraction, folds):
    split = split_of(rows)
    labelled = split_places(split, Subset(fraction)).labelled
    if len(labelled) < folds:
        return
    all_places = [split_places(split, subset) for subset in Subset(fraction).without_each(folds)]
    assert sorted(place for places in all_places for place in places.held_out) == list(labelled)
    sizes = [len(places.held_out) for places in all_places]
    assert max(sizes) - min(sizes) <= 1
    assert all(set(places.labelled) == set(labelled) - set(places.held_out) for places in all_places)


@given(st.lists(st.integers(0, 3), min_size=5, max_size=40))
def test_folds_hold_equally_many_images_of_each_stratum(classes):
    split = split_of([[value] for value in classes])
    folds = [split_places(split, subset).held_out for subset in Subset().without_each(5)]
    for value in range(4):
        counts = [sum(classes[place] == value for place in fold) for fold in folds]
        assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    ("subset", "message"),
    [
        (
            Subset(1.0, 1, 5),
            "split 'train' has 4 labelled images, which cannot be divided into 5 folds; "
            "set refines.folds to at most 4, or use more images",
        ),
        (
            Subset(0.25, 2, 5),
            "split 'train' has 1 labelled image at the fraction 0.25 of its 4, which cannot be divided into 5 folds; "
            "use more images or a larger labels.fraction",
        ),
    ],
)
def test_more_folds_than_images_are_an_error(subset, message):
    with pytest.raises(DataError) as error:
        split_places(split_of([[0]] * 4), subset)
    assert str(error.value) == message
