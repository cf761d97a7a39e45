from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from segbench.report import load
from segbench.report.formats.long import CELL_COLUMNS, IMAGE_COLUMNS, read_images, to_long_csv, to_parquet
from segbench.store.counts import Counts
from segbench.store.record import Evaluated


@pytest.fixture
def frame(results, trained, counted):
    """Two seeds of a method on two images of 1000 pixels of each class, with 90 % and 50 % of them right."""
    cells = [counted(trained("=unet", seed), [0.9, 0.5]) for seed in (0, 1)]
    named = Evaluated(split="test", images=2, classes=["sky", "road"])
    return read_images(
        load([results(*[(record.model_copy(update={"evaluated": named}), one) for record, one in cells])])
    )


def test_each_image_and_class_of_each_seed_has_a_line(frame):
    assert frame.problems == ()
    found = frame.frame
    assert list(found) == [*CELL_COLUMNS, *IMAGE_COLUMNS]
    assert len(found) == 2 * 2 * 2
    first = found[found.seed == 0]
    assert first[["image", "class"]].values.tolist() == [
        ["image 000", "sky"],
        ["image 000", "road"],
        ["image 001", "sky"],
        ["image 001", "road"],
    ]
    # of 1000 pixels of a class k are right, and 1000 - k of the other class are taken for it
    assert first.intersection.tolist() == [900, 900, 500, 500]
    assert first.union.tolist() == [1100, 1100, 1500, 1500]
    assert first.iou.tolist() == pytest.approx([9 / 11, 9 / 11, 1 / 3, 1 / 3])


def test_the_sums_of_a_cell_give_the_iou_of_its_record(frame):
    sums = frame.frame.groupby(["seed", "class"], observed=True)[["intersection", "union"]].sum()
    assert (sums.intersection / sums.union).tolist() == pytest.approx([1400 / 2600] * 4)


def test_csv_and_parquet_hold_the_same_and_no_formula(frame):
    text = to_long_csv(frame.frame)
    read = pd.read_csv(io.StringIO(text))
    assert set(read.method) == {"'=unet"}
    stored = pd.read_parquet(io.BytesIO(to_parquet(frame.frame)))
    assert set(stored.method) == {"=unet"}
    numbers = ["seed", "intersection", "union", "iou"]
    assert read[numbers].equals(stored[numbers])
    assert read.fold.isna().all()


def test_a_class_that_is_nowhere_in_an_image_has_no_iou(results, trained, counted):
    record, _ = counted(trained(), [1.0])
    counts = Counts(("a",), "test", np.array([[[7, 0], [0, 0]]]))
    found = read_images(load([results((record, counts))])).frame
    assert found["class"].tolist() == ["0", "1"]
    assert found.union.tolist() == [7, 0]
    assert found.iou.isna().tolist() == [False, True]
    assert to_long_csv(found).splitlines()[-1].endswith(",1,0,0,")


def test_cells_without_counts_are_named_and_the_others_are_there(results, trained, counted):
    folder = results(trained("fpn"), counted(trained("unet"), [0.9]))
    found = read_images(load([folder]))
    assert set(found.frame.method) == {"unet"}
    (problem,) = found.problems
    assert "no counts at" in problem


def test_without_counts_there_are_columns_and_no_lines(results, trained):
    found = read_images(load([results(trained())]))
    assert to_long_csv(found.frame) == ",".join([*CELL_COLUMNS, *IMAGE_COLUMNS]) + "\n"
    assert pd.read_parquet(io.BytesIO(to_parquet(found.frame))).empty
