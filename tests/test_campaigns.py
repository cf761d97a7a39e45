"""The campaigns against segbench, with few trials; benchmarks/campaigns/README.md has all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGNS = Path(__file__).parents[1] / "benchmarks" / "campaigns" / "run.py"


def run(*arguments):
    command = [sys.executable, str(CAMPAIGNS), *arguments, "--processes", "1"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_kind_without_a_long_form_is_refused_by_name():
    done = run("--long", "rot")
    assert done.returncode == 2
    assert "rot has no long form; kills, stops have one" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kills", "stops"])
def test_runs_of_many_cells_that_are_killed_or_halted_lose_nothing(kind):
    done = run("--long", kind, "--count", "1")
    assert done.returncode == 0, done.stdout
    assert "24 cells" in done.stdout
    for fault in ("lost", "corrupt", "mixed", "different", "overwritten", "counted twice"):
        assert f" 0 {fault}" in done.stdout
