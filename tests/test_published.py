"""The published results in results/reference: whole, and repeated in part."""

from __future__ import annotations

import csv
import json
import shutil
from collections import defaultdict
from pathlib import Path

import pytest

from segbench.report import load
from segbench.stats.summary import interval_of_repeat

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = ROOT / "results/reference"
MOST_BYTES = 15e6


def read_rows(site):
    with (site / "leaderboard.csv").open() as file:
        return {(row["group"], row["method"]): float(row["miou_mean"]) for row in csv.DictReader(file)}


def test_published_records_follow_from_their_counts_none_is_refused_and_the_leaderboard_shows_all(tmp_path, segbench):
    done = segbench(tmp_path, "leaderboard", str(PUBLISHED), "--output", "site")
    assert done.returncode == 0, done.stderr
    site = json.loads((tmp_path / "site/leaderboard.json").read_text())
    assert {one["name"] for one in site["benchmarks"]} == {folder.name for folder in PUBLISHED.iterdir()}
    assert read_rows(tmp_path / "site") == pytest.approx(read_rows(ROOT / "docs/leaderboard"))


def test_published_records_stay_small():
    assert sum(path.stat().st_size for path in PUBLISHED.rglob("*") if path.is_file()) < MOST_BYTES


def test_a_published_cell_comes_out_as_recorded(tmp_path, segbench):
    shutil.copytree(PUBLISHED / "quickstart", tmp_path / "quickstart")
    done = segbench(tmp_path, "verify", "quickstart", "--method", "plain", "--cells", "1", "--device", "cpu", "--json")
    (cell,) = json.loads(done.stdout)["cells"]
    mark = cell["mark"]
    assert mark is not None, (done.stdout, done.stderr)
    # Processors of one name may have other instructions, and round otherwise, which verify cannot know. Two other seeds
    # tell little of how far that may lead, so the spread is that of the seeds of all four methods.
    others = defaultdict(list)
    for record in load([PUBLISHED / "quickstart"]).records:
        if record.key != cell["key"]:
            others[record.method].append(record.scores.miou)
    interval = interval_of_repeat(mark["before"], others.values(), 0.95)
    assert interval.high - interval.low < 0.2
    assert mark["outcome"] == "same bits" or interval.low <= mark["after"] <= interval.high
