from __future__ import annotations

import hashlib
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from segbench import Dataset, Sample
from segbench.config.folds import Folds
from segbench.config.protocol import TrainingProtocol
from segbench.config.recipe import ComponentUse, DatasetUse, Method
from segbench.engine.data.cache import PackedIndex, PackedSplit
from segbench.engine.data.contents import SplitContents
from segbench.engine.data.folds import Pool, fold_dataset, join_groups
from segbench.errors import DataError
from segbench.plan.cell import Cell
from segbench.store.counts import read_counts

IGNORED = 255


def split_of(labels, name="train", dtype="uint8"):
    """Make a split of images of one row of labels each, by their ids, all of other pixels."""
    pixels = {one: hashlib.sha256(f"{name} {one}".encode()).digest()[: len(row)] for one, row in labels.items()}
    counted = [value for row in labels.values() for value in row if value != IGNORED]
    index = PackedIndex(
        split=name,
        ids=tuple(labels),
        sizes=tuple((1, len(row)) for row in labels.values()),
        channels=1,
        image_dtype=dtype,
        label_dtype="uint8",
        num_classes=3,
        ignore_index=IGNORED,
        class_pixels=tuple(np.bincount(np.array(counted, int), minlength=3).tolist()),
        contents=SplitContents(lowest=0, highest=255, digests=tuple(f"{name} {one}" for one in labels)),
    )
    flat = np.frombuffer(b"".join(pixels.values()), np.uint8).astype(dtype)
    return PackedSplit(index, flat, np.array([value for row in labels.values() for value in row], np.uint8))


def pool_of(*splits, cluster=None):
    samples = {split.split: [Sample(split.image(0), split.labels(0), "")] * len(split) for split in splits}
    return Pool(Dataset("abc", [(0, 0, 0), (1, 1, 1), (2, 2, 2)], samples, channels=1, cluster=cluster), splits)


def ids_by_fold(pool, count):
    return [sorted(pool.ids[place] for place in fold) for fold in pool.divide(count)]


row_lists = st.lists(st.lists(st.sampled_from([0, 1, 2, IGNORED]), min_size=1, max_size=4), min_size=1, max_size=40)


@given(rows=row_lists, count=st.integers(2, 6))
def test_without_groups_folds_and_their_shares_of_each_stratum_differ_by_one_image_at_most(rows, count):
    if len(rows) < count:
        return
    pool = pool_of(split_of({str(place): row for place, row in enumerate(rows)}))
    folds = pool.divide(count)
    assert sorted(place for fold in folds for place in fold) == list(range(len(rows)))
    sizes = [len(fold) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    pixels = Counter(value for row in rows for value in row)
    rarest = [min({*row} - {IGNORED}, key=lambda value: (pixels[value], value), default=3) for row in rows]
    for stratum in range(4):
        shares = [sum(rarest[place] == stratum for place in fold) for fold in folds]
        assert max(shares) - min(shares) <= 1


@given(rows=row_lists, count=st.integers(2, 5), groups=st.integers(2, 8))
def test_a_cluster_lies_in_one_fold_and_no_fold_is_empty(rows, count, groups):
    names = [str(place % groups) for place in range(len(rows))]
    if len(set(names)) < count:
        return
    pool = pool_of(
        split_of({f"{name}-{place}": rows[place] for place, name in enumerate(names)}),
        cluster=lambda one: one.partition("-")[0],
    )
    folds = ids_by_fold(pool, count)
    assert all(folds)
    of_cluster = [{one.partition("-")[0] for one in fold} for fold in folds]
    assert sum(map(len, of_cluster)) == len(set(names))


def test_large_clusters_are_spread_first():
    sizes = {"a": 5, "b": 4, "c": 3, "d": 3, "e": 2, "f": 1}
    labels = {f"{name}{number}": [0] for name, size in sizes.items() for number in range(size)}
    folds = pool_of(split_of(labels), cluster=lambda one: one[0]).divide(3)
    assert [len(fold) for fold in folds] == [6, 6, 6]


@given(st.permutations(range(12)), st.integers(1, 11))
def test_neither_the_order_of_the_images_nor_their_splits_count(order, first):
    rows = {f"image {place}": [place % 3, 0] for place in range(12)}
    mixed = [f"image {place}" for place in order]
    parts = [
        split_of({one: rows[one] for one in part}, name)
        for part, name in ((mixed[:first], "train"), (mixed[first:], "test"))
    ]
    assert ids_by_fold(pool_of(*parts), 4) == ids_by_fold(pool_of(split_of(rows)), 4)


def test_an_id_that_stands_in_two_splits_is_written_with_its_split_and_so_are_all_others():
    train, test = split_of({"1": [0], "2": [1]}), split_of({"1": [0], "3": [1]}, "test")
    assert pool_of(train, split_of({"3": [0]}, "test")).ids == ["1", "2", "3"]
    assert pool_of(train, test).ids == ["train/1", "train/2", "test/1", "test/3"]


def test_a_cluster_is_found_by_the_id_that_the_dataset_knows():
    pool = pool_of(
        split_of({"a1": [0], "b1": [0]}), split_of({"a1": [0], "a2": [0]}, "test"), cluster=lambda one: one[0]
    )
    assert [pool.cluster(one) for one in (*pool.ids, "c1")] == ["a", "b", "a", "a", "c"]
    assert sorted(map(len, pool.divide(2))) == [1, 3]


def test_copies_of_an_image_lie_in_one_fold():
    train, test = split_of({"1": [0], "2": [0]}), split_of({"3": [0], "4": [0]}, "test")
    twice = test.index.contents.model_copy(update={"digests": (train.contents.digests[0], "test 4")})
    copied = PackedSplit(test.index.model_copy(update={"contents": twice}), test.pixels, test.label_pixels)
    folds = ids_by_fold(pool_of(train, copied), 3)
    assert ["1", "3"] in folds


def test_more_folds_than_images_or_groups_are_refused_with_their_numbers():
    split = split_of({"a1": [0], "a2": [0], "b1": [0]})
    with pytest.raises(
        DataError, match=r"^the 3 images of train cannot be divided into 4 folds; set folds to at most 3$"
    ):
        pool_of(split).divide(4)
    with pytest.raises(
        DataError, match=r"^the 3 images of train are 2 groups that must stay together \(clusters, copie"
    ):
        pool_of(split, cluster=lambda one: one[0]).divide(3)


def test_images_of_two_depths_are_not_pooled():
    with pytest.raises(DataError, match="the splits train uint8, test uint16 cannot be pooled for folds"):
        pool_of(split_of({"1": [0]}), split_of({"2": [0]}, "test", "uint16"))


@pytest.mark.parametrize("most", [0, 2**30])
def test_chosen_images_have_the_pixels_labels_and_counts_that_they_had(monkeypatch, most):
    monkeypatch.setattr("segbench.engine.data.folds.MOST_BYTES_COPIED", most)
    train, test = split_of({"1": [0, 1], "2": [1, 1, 1]}), split_of({"3": [2], "4": [0, IGNORED]}, "test")
    chosen = pool_of(train, test).choose("val", [3, 1])
    assert (chosen.split, chosen.ids, chosen.index.sizes) == ("val", ("4", "2"), ((1, 2), (1, 3)))
    for place, (split, origin) in enumerate([(test, 1), (train, 1)]):
        assert np.array_equal(chosen.image(place), split.image(origin))
        assert np.array_equal(chosen.labels(place), split.labels(origin))
    assert chosen.class_pixels().tolist() == [1, 3, 0]
    assert chosen.image_digests == [("4", "test 4"), ("2", "train 2")]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20))
def test_groups_are_what_is_linked(pairs):
    groups = join_groups(len(pairs), [[str(one) for one, _ in pairs], [str(other) for _, other in pairs]])
    links = [[one == third or other == fourth for third, fourth in pairs] for one, other in pairs]
    labels = connected_components(np.array(links))[1]
    assert groups == [np.flatnonzero(labels == label).tolist() for label in dict.fromkeys(labels.tolist())]


FOLDED = """
name: folded
datasets: {data: {use: data/shapes, train: 6, val: 3, test: 3, size: [24, 24], classes: 3, folds: 3}}
protocol: {budget: {steps: 1}, batch_size: 2, timing: none, keep: {samples: 1}}
seeds: [0]
methods: {net: {generator: {use: basic/fcn, width: 4}, losses: [losses/cross_entropy]}}
"""


def splits_of(planned, number, *changes):
    data = planned(FOLDED, *changes).data(f"net test fold {number}/3")
    return {name: set(data.packed(name).ids) for name in data.dataset.splits}


def test_every_image_of_the_pool_is_tested_once_and_never_trained_on_then(planned):
    made = planned(FOLDED).run()
    tested = [read_counts(made.record_path(name).with_suffix("")).ids for name in made.cells]
    assert [len(ids) for ids in tested] == [4, 4, 4]
    assert len({one for ids in tested for one in ids}) == 12
    for name, ids in zip(made.cells, tested, strict=True):
        data = made.data(name)
        assert set(data.packed("train").ids).isdisjoint(ids)
        assert len(data.packed("train")) == 8
        record = made.records[name]
        assert (record.evaluated.split, record.evaluated.images, record.evaluated.also_in_train) == ("test", 4, 0)


def test_samples_that_are_decoded_again_are_those_of_the_fold(planned):
    data = planned(FOLDED).data("net test fold 2/3")
    packed, samples = data.packed("test"), data.dataset.splits["test"]
    assert tuple(sample.id for sample in samples) == packed.ids
    assert all(np.array_equal(sample.labels, packed.labels(place)) for place, sample in enumerate(samples))


def test_splits_outside_the_pool_are_not_touched_and_its_own_val_is_kept(planned):
    pool = "datasets.data.folds={count: 3, pool: [train, test]}"
    folds = [splits_of(planned, number, pool) for number in (1, 2, 3)]
    assert all(fold["val"] == {f"val_0000{place}" for place in range(3)} for fold in folds)
    assert {one[:4] for fold in folds for one in fold["test"] | fold["train"]} == {"trai", "test"}
    no_test = splits_of(planned, 1, "datasets.data.folds={count: 3, pool: [train]}")
    assert {one[:5] for one in no_test["test"] | no_test["train"]} == {"train"}


def test_the_next_fold_is_val_where_the_protocol_looks_at_val(planned):
    assert "val" not in splits_of(planned, 1)
    folds = [splits_of(planned, number, "protocol.validations=1") for number in (1, 2, 3)]
    for one, following in pairwise([*folds, folds[0]]):
        assert one["val"] == following["test"]
        assert one["train"].isdisjoint(one["val"] | one["test"])
        assert len(one["train"]) == 4


def test_a_class_that_the_training_images_of_a_fold_lack_is_named():
    pool = pool_of(split_of({"1": [0, 1, 2], "2": [0, 1], "3": [1, 0]}))
    [alone] = [number for number, ids in enumerate(ids_by_fold(pool, 3), 1) if ids == ["1"]]
    with pytest.raises(DataError) as caught:
        fold(pool, 1)
    assert str(caught.value) == (
        f"class 'c' never occurs in the labels of the training images of test fold {alone}/3 (images: 2); remove what "
        "is absent from the dataset, or set `absent_classes: allow` in the protocol"
    )
    assert fold(pool, alone, absent_classes="allow").packed["test"].ids == ("1",)


def fold(pool, number, **protocol):
    """Return what a cell has of a pool of one split with three folds."""
    settings = TrainingProtocol(budget={"steps": 1}, **protocol)
    method = Method(name="net", generator=ComponentUse(use="toy/net"), protocol=settings)
    use, subset = DatasetUse(use="toy/data"), f"test fold {number}/3"
    cell = Cell(benchmark="b", dataset_name="d", dataset=use, subset=subset, method=method, seed=0)
    [split] = dict(pool.origins)
    return fold_dataset(pool.dataset, Folds(count=3), cell, {"train": split}.__getitem__)
