"""The published results in results/reference: whole, and repeated in part."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

PUBLISHED = Path(__file__).resolve().parents[1] / "results/reference"
MOST_BYTES = 15e6


def test_published_records_follow_from_their_counts_and_none_is_refused(tmp_path, segbench):
    done = segbench(tmp_path, "leaderboard", str(PUBLISHED), "--output", "site")
    assert done.returncode == 0, done.stderr
    site = json.loads((tmp_path / "site/leaderboard.json").read_text())
    assert {one["name"] for one in site["benchmarks"]} == {folder.name for folder in PUBLISHED.iterdir()}


def test_published_records_stay_small():
    assert sum(path.stat().st_size for path in PUBLISHED.rglob("*") if path.is_file()) < MOST_BYTES


def test_a_published_cell_comes_out_as_recorded(tmp_path, segbench):
    # Equal bits on the processor it was recorded on, elsewhere as near as seeds lie to each other.
    shutil.copytree(PUBLISHED / "quickstart", tmp_path / "quickstart")
    done = segbench(tmp_path, "verify", "quickstart", "--method", "plain", "--cells", "1", "--device", "cpu", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    assert cell["outcome"] in ("same bits", "within seeds")
