from __future__ import annotations

import numpy as np
import pytest

from segbench.report import load
from segbench.report.ranking.groups import rank_records
from segbench.report.records import read_sources
from segbench.store.counts import COUNTS

SHARES = [0.5, 0.6, 0.7]


@pytest.fixture
def folder(trained, counted, results):
    return results(*(counted(trained("unet", seed), SHARES) for seed in range(2)))


def counts_of(folder, seed):
    (record,) = [one for one in read_sources([folder]).records if one.seed == seed]
    return folder / record.benchmark / record.key / COUNTS


def test_a_record_with_damaged_counts_is_ignored_and_listed(folder):
    counts_of(folder, 1).write_bytes(b"no parquet")
    report = load([folder])
    assert [row.seeds for group in report.groups for row in group.rows] == [(0,)]
    (problem,) = report.problems
    assert problem.path == counts_of(folder, 1).parent.with_suffix(".json")
    assert "ignored because of its counts: cannot read the counts" in str(problem)


def test_counts_that_do_not_add_up_set_their_record_aside(trained, counted, results):
    sizes, void = np.array([[40, 50]] * 3), np.array([0, 0, 7])
    folder = results(counted(trained("unet", 0), SHARES), counted(trained("unet", 1), SHARES, sizes=sizes, void=void))
    report = load([folder])
    assert [row.seeds for group in report.groups for row in group.rows] == [(0,)]
    assert "its confusion and ignored pixels do not add up to its size" in str(report.problems[0])


def test_counts_that_give_another_miou_than_the_record_set_it_aside(trained, counted, results):
    record, counts = counted(trained("unet", 0), SHARES)
    wrong = record.model_copy(update={"scores": record.scores.model_copy(update={"miou": 0.9})})
    report = load([results((wrong, counts), counted(trained("fpn"), SHARES))])
    assert [row.method for group in report.groups for row in group.rows] == ["fpn"]
    assert "mIoU 0.900000 in the record and 0.428571 in the counts" in str(report.problems[0])


def test_missing_counts_set_no_record_aside(trained, results):
    report = load([results(trained("unet", 0))])
    assert report.problems == ()
    assert [row.method for group in report.groups for row in group.rows] == ["unet"]


def test_nothing_is_changed_in_the_folder(folder):
    counts_of(folder, 1).write_bytes(b"no parquet")
    before = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    load([folder])
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == before


def test_rankings_alone_read_no_counts(folder):
    counts_of(folder, 1).write_bytes(b"no parquet")
    (group,) = rank_records(read_sources([folder]))
    assert group.rows[0].seeds == (0, 1)
    assert group.rows[0].statistics.interval is None
