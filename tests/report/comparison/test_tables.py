from __future__ import annotations

import numpy as np
import pytest

from segbench.report.comparison import tables
from segbench.stats.scores import miou

from .conftest import SEEDS, counted


@pytest.fixture
def found(two_methods, compared):
    """The comparison of unet+critic with unet."""
    return compared()


def test_each_seed_has_a_line_and_the_mean_is_last(found):
    ours = [100 * miou(counted(76, seed=seed + 3).confusion.sum(axis=0)) for seed in SEEDS]
    theirs = [100 * miou(counted(70, seed=seed).confusion.sum(axis=0)) for seed in SEEDS]
    *lines, last = tables.by_seed(found).rows
    assert lines == [
        [f"seed {seed}", f"{one:.2f}", f"{other:.2f}", f"{one - other:+.2f}"]
        for seed, one, other in zip(SEEDS, ours, theirs, strict=True)
    ]
    apart = np.subtract(ours, theirs)
    assert last[0] == "mean ± sd"
    assert last[1] == f"{np.mean(ours):.2f} ± {np.std(ours, ddof=1):.2f}"
    assert last[3] == f"{np.mean(apart):+.2f} ± {np.std(apart, ddof=1):.2f}"


def test_classes_have_their_share_of_the_pixels(found):
    assert [row[:2] for row in tables.classes(found).rows] == [["sky", "50.00"], ["road", "45.00"], ["pole", "5.00"]]


def test_parts_name_the_score_that_is_taken_in_them(found):
    rows = {row[0]: row for row in tables.parts(found).rows}
    assert rows["boundary bands"][1:3] == ["20.0", "mIoU"]  # 40 of 200 pixels
    assert rows["rare classes"][1:3] == ["5.0", "mIoU"]


def test_costs_are_given_with_the_ratio(found):
    assert tables.costs(found).rows == [
        ["training [s]", "1219", "812", "×1.50"],
        ["parameters [M]", "14.3", "14.3", "×1.00"],
    ]


def test_the_family_names_a_and_b_by_their_letters(found):
    (row,) = tables.family(found).rows
    assert (row[0], row[1], row[-1]) == ("A - B (equal steps)", "3", "better")


def test_images_are_counted_in_the_title(found):
    table = tables.images(found)
    assert table.title == "Per-image mIoU: A is better on 12 of 12 images, worse on 0"
    assert [row[1] for row in table.rows] == ["gain"] * 5
