from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from segbench.errors import RecordError
from segbench.store.counts import Counts, join_counts, read_confusions, read_counts, write_counts


@pytest.fixture
def counts():
    confusion = np.random.default_rng(0).integers(0, 2**40, (5, 3, 3))
    return Counts(("a", "b c", "dé", "4", "x/y"), "test", confusion)


def test_counts_are_read_back_the_same(tmp_path, counts):
    write_counts(tmp_path, counts)
    found = read_counts(tmp_path)
    assert (found.ids, found.split) == (counts.ids, "test")
    assert found.confusion.dtype == np.int64
    assert np.array_equal(found.confusion, counts.confusion)


def test_another_program_reads_row_major_lists_of_truth_by_prediction(tmp_path):
    confusion = np.array([[[1, 2], [3, 4]]])
    write_counts(tmp_path, Counts(("a",), "val", confusion))
    table = pd.read_parquet(tmp_path / "counts.parquet")
    assert list(table.columns) == ["image", "split", "confusion"]
    assert table["confusion"][0].tolist() == [1, 2, 3, 4]
    assert table["confusion"][0].dtype == np.int64


def test_the_columns_have_the_types_that_are_promised(tmp_path, counts):
    from pyarrow import parquet

    write_counts(tmp_path, counts)
    types = {field.name: str(field.type) for field in parquet.read_schema(tmp_path / "counts.parquet")}
    assert types == {"image": "string", "split": "string", "confusion": "list<element: int64>"}


def counted_all(n=3, num_classes=2):
    """Return counts of 6x4 images, each with 2 ignored pixels, every array filled."""
    generator = np.random.default_rng(1)
    confusion = generator.multinomial(22, np.full(num_classes**2, num_classes**-2), n)
    confusion = confusion.reshape(n, num_classes, num_classes)
    calibration = np.zeros((n, 15, 3))
    calibration[:, 14] = [22, 21.5, 20]
    return Counts(
        ids=tuple(f"{i}" for i in range(n)),
        split="test",
        confusion=confusion,
        sizes=np.tile(np.array([6, 4]), (n, 1)),
        void=np.full(n, 2),
        clusters=("seq1", "seq1", "seq2"),
        boundary=generator.integers(0, 9, (n, num_classes, 7)),
        band=confusion // 2,
        small=confusion // 3,
        calibration=calibration,
        likelihood=generator.random((n, 2)),
        surface=np.full((n, num_classes, 2), np.nan),
    )


def test_every_array_is_read_back_the_same(tmp_path):
    counts = counted_all()
    write_counts(tmp_path, counts)
    found = read_counts(tmp_path)
    assert (found.ids, found.split, found.clusters) == (counts.ids, counts.split, counts.clusters)
    arrays = [name for name, value in vars(counts).items() if isinstance(value, np.ndarray)]
    assert len(arrays) == 9
    for name in arrays:
        assert getattr(found, name).dtype == getattr(counts, name).dtype, name
        assert np.array_equal(getattr(found, name), getattr(counts, name), equal_nan=name == "surface"), name


def test_the_confusion_alone_is_read_with_what_it_must_add_up_to(tmp_path):
    counts = counted_all()
    write_counts(tmp_path, counts)
    (found,) = read_confusions([tmp_path])
    read = ("ids", "split", "clusters", "confusion", "sizes", "void")
    assert all(np.array_equal(getattr(found, name), getattr(counts, name)) for name in read)
    assert {name for name, value in vars(found).items() if value is not None} == {*read}
    write_counts(tmp_path, replace(counts, void=np.array([2, 3, 2])))
    (error,) = read_confusions([tmp_path])
    assert "image '1': its confusion and ignored pixels" in str(error)


def test_many_confusions_are_read_as_each_alone_whatever_lies_among_them(tmp_path):
    counts = counted_all()
    kinds = {
        "usual": counts,
        "again": counts,
        "one class more": replace(counted_all(num_classes=3), clusters=None),
        "two images": replace(counted_all(n=2), clusters=("a", "b")),
        "other split": replace(counts, split="val"),
        "without sizes": replace(counts, sizes=None, void=None),
        "wrong": replace(counts, void=np.array([2, 3, 2])),
    }
    kinds = {**kinds, **{f"more {number}": counts for number in range(40)}}
    for name, written in kinds.items():
        (tmp_path / name).mkdir()
        write_counts(tmp_path / name, written)
    (tmp_path / "more 7" / "counts.parquet").write_bytes(b"nothing")
    for name, found in zip(kinds, read_confusions([tmp_path / name for name in kinds]), strict=True):
        (alone,) = read_confusions([tmp_path / name])
        assert type(found) is (RecordError if name in ("wrong", "more 7") else Counts), name
        if isinstance(found, RecordError):
            assert str(found) == str(alone)
        else:
            assert (found.ids, found.split, found.clusters) == (alone.ids, alone.split, alone.clusters)
            assert np.array_equal(found.confusion, kinds[name].confusion)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"void": np.array([2, 3, 2])}, "image '1': its confusion and ignored pixels do not add up to its size"),
        ({"calibration": np.zeros((3, 15, 3))}, "image '0': its calibration bins hold other pixels"),
        ({"band": np.full((3, 2, 2), 99)}, "image '0': band counts exceed those of the whole image"),
    ],
)
def test_counts_that_do_not_add_up_are_a_clear_error(tmp_path, changes, message):
    write_counts(tmp_path, replace(counted_all(), **changes))
    with pytest.raises(RecordError, match=message):
        read_counts(tmp_path)


def test_an_array_of_another_form_is_never_written(tmp_path):
    with pytest.raises(ValueError, match=r"small counts are \(3, 2, 2\), not \(3, 3, 3\)"):
        write_counts(tmp_path, replace(counted_all(), small=np.zeros((3, 3, 3), dtype=np.int64)))
    with pytest.raises(ValueError, match="likelihood counts are float64, not int64"):
        write_counts(tmp_path, replace(counted_all(), likelihood=np.zeros((3, 2), dtype=np.int64)))


def test_the_cells_folder_is_made_and_holds_nothing_else(tmp_path, counts):
    write_counts(tmp_path / "new", counts)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["counts.parquet"]


def test_missing_counts_are_a_clear_error(tmp_path):
    with pytest.raises(RecordError, match=r"no counts at .*counts\.parquet; delete the record"):
        read_counts(tmp_path)


def test_damaged_counts_are_a_clear_error(tmp_path, counts):
    write_counts(tmp_path, counts)
    path = tmp_path / "counts.parquet"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(RecordError, match=r"cannot read the counts in .*counts\.parquet"):
        read_counts(tmp_path)


@pytest.mark.parametrize("seed", range(40))
def test_one_flipped_bit_anywhere_is_a_clear_error(tmp_path, counts, flip_bit, seed):
    write_counts(tmp_path, counts)
    flip_bit(tmp_path / "counts.parquet", seed)
    with pytest.raises(RecordError, match=r"cannot read the counts in .*counts\.parquet"):
        read_counts(tmp_path)


@pytest.mark.parametrize(
    "columns",
    [
        {"image": ["a"], "split": ["test"]},
        {"image": ["a"], "split": ["test"], "confusion": [[1, 2, 3]]},
        {"image": ["a", "b"], "split": ["test", "test"], "confusion": [[1], [1, 2, 3, 4]]},
        {"image": ["a", "b"], "split": ["test", "val"], "confusion": [[1], [1]]},
        {"image": ["a"], "split": ["test"], "confusion": [[-1]]},
        {"image": ["a"], "split": ["test"], "confusion": [[0.5]]},
        {"image": ["a"], "split": ["test"], "confusion": [None]},
        {"image": ["a"], "split": ["test"], "confusion": [[None]]},
        {"image": [], "split": [], "confusion": []},
        {"image": ["a"], "split": ["test"], "confusion": [4]},
    ],
)
def test_counts_of_another_form_are_a_clear_error(tmp_path, columns):
    pd.DataFrame(columns).to_parquet(tmp_path / "counts.parquet")
    with pytest.raises(RecordError, match="cannot read the counts"):
        read_counts(tmp_path)


def test_counts_that_do_not_fit_their_ids_are_never_written(tmp_path, counts):
    with pytest.raises(ValueError, match="do not fit"):
        write_counts(tmp_path, Counts(("a",), "test", counts.confusion))
    with pytest.raises(ValueError, match="int64"):
        write_counts(tmp_path, Counts(counts.ids, "test", counts.confusion.astype(float)))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_half_file(mount):
    folder = mount() / "cell"
    confusion = np.random.default_rng(0).integers(0, 2**62, (20, 40, 40))
    with pytest.raises(RecordError, match="the disk or quota is full"):
        write_counts(folder, Counts(tuple(map(str, range(20))), "test", confusion))
    assert list(folder.iterdir()) == []


def test_counts_are_read_back_from_a_folder_whose_name_is_not_utf_8(tmp_path, counts):
    folder = tmp_path / os.fsdecode(b"results\xff")
    write_counts(folder, counts)
    assert np.array_equal(read_counts(folder).confusion, counts.confusion)


def test_counts_of_several_cells_are_joined_image_by_image():
    one, other = counted_all(n=2), counted_all(n=3)
    one, other = replace(one, ids=("a", "b"), clusters=("x", "x")), replace(other, ids=("c", "d", "e"))
    joined = join_counts([one, replace(other, clusters=("y", "y", "z"), likelihood=None)])
    assert joined.ids == ("a", "b", "c", "d", "e")
    assert joined.clusters == ("x", "x", "y", "y", "z")
    assert joined.folds == (0, 0, 1, 1, 1)
    assert np.array_equal(joined.boundary, np.concatenate([one.boundary, other.boundary]))
    assert joined.likelihood is None  # one of them did not count it


@pytest.mark.parametrize("change", [{"ids": ("a", "c")}, {"split": "val"}])
def test_counts_of_one_image_twice_or_of_other_splits_are_not_joined(change):
    one = replace(counted_all(n=2), ids=("a", "b"), clusters=None)
    with pytest.raises(RecordError, match="cannot be joined"):
        join_counts([one, replace(one, **{"ids": ("c", "d"), **change})])
