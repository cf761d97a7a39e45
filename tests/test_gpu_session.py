"""The session of measurements on a GPU, on a CPU."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

HARNESS = Path(__file__).parents[1] / "benchmarks" / "harness"


@pytest.fixture
def script(monkeypatch):
    """Import a script of benchmarks/harness, which finds the others beside itself."""
    monkeypatch.syspath_prepend(str(HARNESS))
    return importlib.import_module


def block(session, folder, end, seconds=600.0):
    program = f"import signal, sys, pathlib; pathlib.Path({str(folder / 'figures.json')!r}).write_text('{{\"a\": 1}}')"
    return session.Block([sys.executable, "-c", f"{program}; print('said'); {end}"], seconds)


def test_a_block_that_fails_or_hangs_is_told_with_what_it_has_left_and_the_next_one_runs(script, tmp_path):
    session = script("gpu_session")
    blocks = {
        "facts": block(session, tmp_path, "sys.exit(1)"),
        "compile": block(session, tmp_path, "signal.pause()", seconds=0.5),
        "failures": block(session, tmp_path, "pass"),
    }
    found = session.run_blocks(tmp_path, blocks, float("inf"), os.environ)
    outcomes = [result["outcome"] for result in found.values()]
    assert outcomes == ["failed", "out of time", "done"]
    assert found["facts"]["figures"] == found["failures"]["figures"] == {"a": 1}
    assert found["facts"]["log"] == ["said"]
    assert json.loads((tmp_path / "session.json").read_text()) == found
    assert {path.name for path in tmp_path.iterdir()} == {"session.json", "session.md", "log.txt"}


def test_what_the_time_is_not_enough_for_is_told_too(script, tmp_path):
    session = script("gpu_session")
    found = session.run_blocks(tmp_path, {"facts": block(session, tmp_path, "pass")}, 0, os.environ)
    assert found == {"facts": {"outcome": "not reached", "seconds": 0, "figures": {}}}


def test_the_table_holds_figures_against_their_bars(script):
    session = script("gpu_session")
    rounds = {"segbench / limit, bf16 nhwc": {"median": 0.98, "rounds": [0.97, 0.98, 1.0]}}
    lines = session.to_markdown(
        {
            "training": {"outcome": "out of time", "seconds": 75, "figures": rounds},
            "adversarial": {"outcome": "done", "seconds": 30, "figures": {"segbench / two-pass": 0.9}},
        }
    ).splitlines()
    verdicts = [tuple(line.strip("| ").split(" | ")[1:]) for line in lines[2:7]]
    assert verdicts == [
        (">= 0.97", "0.98 (0.97 to 1)", "kept"),
        (">= 2", "-", "out of time"),
        ("<= 0.85", "0.9", "missed"),
        (">= 1.5", "-", "not reached"),
        (">= 3", "-", "not reached"),
    ]
    assert "| adversarial | segbench / two-pass | 0.9 |" in lines


@pytest.mark.slow
def test_a_dry_run_on_the_cpu_takes_every_block(tmp_path):
    command = [sys.executable, HARNESS / "gpu_session.py", tmp_path, "--device", "cpu", "--dry-run"]
    assert subprocess.run(command, check=False).returncode == 0, (tmp_path / "session.json").read_text()
    found = json.loads((tmp_path / "session.json").read_text())
    assert {name: result["outcome"] for name, result in found.items() if result["outcome"] != "done"} == {}
    assert found["tests"]["figures"]["tests"]["collected"] > 30
    assert found["failures"]["figures"]["run out of memory"].startswith("OutOfMemoryError")
    assert found["run"]["figures"]["seed 0"]["status"] == "ok"


def test_wheels_are_gathered_of_what_is_missing_or_too_old_and_of_what_that_needs(script):
    gathering = script("gather_wheels")
    there = {gathering.canonicalize_name(one.name): one.version for one in distributions()}
    for name in ("segbench", "pydantic", "pydantic-core", "choix"):
        del there[name]
    assert gathering.find_missing({**there, "timm": "0.1"}, "3.12", "x86_64") == [
        "choix",
        "pydantic",
        "pydantic-core",
        "timm",
    ]
    assert gathering.find_missing({**there, "timm": "", "pydantic": "", "choix": ""}, "3.12", "x86_64") == []
