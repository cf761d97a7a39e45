"""`segbench run`, as a user calls it."""

from __future__ import annotations

import json
import re
import signal

import pytest

from segbench.cli import main
from segbench.execute import capacity

from ..conftest import SEGBENCH, ended, records  # noqa: TID252 - tests have no absolute name

BENCHMARK = """
# Does it run?
name: tiny
datasets: {{shapes: {{use: data/shapes, classes: 3, size: [24, 32], train: 8, val: 2, test: 2}}}}
protocol:
  budget: {{steps: {steps}}}
  batch_size: 2
  threads: 1
  timing: {{iterations: 2, seconds: 0.01, max_seconds: 0.1, sweep: 1}}
seeds: [0]
methods:
  plain: {{generator: {{use: basic/fcn, width: 2}}, losses: [losses/cross_entropy]}}
  diverges: {{extends: plain, losses: [{{use: losses/cross_entropy, weight: 1.0e+39}}]}}
"""


@pytest.fixture
def benchmark(tmp_path):
    """Write the benchmark with so many steps a cell; returns its path."""

    def benchmark(steps=3):
        file = tmp_path / "tiny.yaml"
        file.write_text(BENCHMARK.format(steps=steps))
        return file

    return benchmark


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-benchmark"], "there is no packaged benchmark 'no-such-benchmark'"),
        (["missing.yaml"], "there is no benchmark file missing.yaml"),
        (["shapes-smoke", "--seeds", "0,x"], "--seeds 0,x: write whole numbers"),
        (["shapes-smoke", "--folds", "1"], "--folds 1: there is no such test fold; no dataset here is cross-validated"),
        (["shapes-smoke", "--only", "nothing"], "nothing"),
        (["shapes-smoke", "--set", "protocol.speed=3"], "speed"),
    ],
)
def test_a_wrong_argument_is_an_error_with_exit_code_2(arguments, message, capsys):
    assert main(["run", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err


def test_a_results_folder_that_cannot_be_is_an_error_with_exit_code_2(tmp_path, benchmark, capsys):
    (tmp_path / "results").touch()
    assert main(["run", str(benchmark()), "--results", str(tmp_path / "results")]) == 2
    assert "cannot write to the results folder" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--jobs=0", "--timeout=0", "--memory-limit=0"])
def test_limits_below_sense_are_refused(option, benchmark, capsys):
    assert main(["run", str(benchmark()), option]) == 2
    assert option.split("=")[0] in capsys.readouterr().err


def test_a_run_prints_the_table_and_the_failures_and_a_second_run_trains_only_what_failed(
    tmp_path, benchmark, segbench
):
    command = ["run", str(benchmark()), "--results", str(tmp_path / "results"), "--device", "cpu"]
    first = segbench(tmp_path, *command)
    assert first.returncode == 1
    assert "plain" in first.stdout
    assert "mIoU" in first.stdout
    assert "the loss became" in first.stdout
    page = tmp_path / "results" / "tiny" / "report.html"
    assert first.stdout.splitlines()[-1] == f"Page: {page}"
    assert "<h1>Does it run?</h1>" in page.read_text()
    lines = first.stderr.splitlines()
    assert "2 cells to run, 0 already recorded" in lines
    assert "shapes / plain / seed 0: started" in lines
    assert [line for line in lines if line.startswith("shapes / diverges / seed 0: failed")]
    found = records(tmp_path)
    assert (found["plain"]["status"], found["diverges"]["status"]) == ("ok", "failed")
    assert found["plain"]["environment"]["jobs"] == 1
    assert len(found["plain"]["inference"]) == 6  # three stages at two batch sizes

    second = segbench(tmp_path, *command, "--only", "plain")
    assert second.returncode == 0
    assert "0 cells to run, 1 already recorded" in second.stderr


def test_as_many_cells_run_at_once_as_were_measured_to_fit(tmp_path, benchmark, segbench, monkeypatch):
    monkeypatch.setattr(capacity, "usable_cores", lambda: 2)
    options = ["--device", "cpu", "--only", "plain", "--seeds", "0,1,2", "--set", "protocol.timing=none"]
    done = segbench(tmp_path, "run", str(benchmark()), *options, "--jobs-per-device", "auto")
    assert done.returncode == 0
    told = r"plain \(shapes\) on cpu: [0-9.]+ [MG]B of [0-9.]+ GB and 1 of 2 cores alone, so 2 at once"
    assert len([line for line in done.stderr.splitlines() if re.fullmatch(told, line)]) == 1
    files = (tmp_path / "results" / "tiny").glob("*.json")
    found = [json.loads(file.read_text()) for file in files]
    jobs = {record["seed"]: record["environment"]["jobs"] for record in found if "seed" in record}
    assert jobs == {0: 1, 1: 2, 2: 2}


def steps_reported(folder):
    """Return the steps that the cells have reported, in order."""
    entries = [json.loads(line) for file in folder.rglob("events.jsonl") for line in file.read_text().splitlines()]
    return [entry["step"] for entry in entries if entry["event"] == "step"]


@pytest.mark.slow
def test_a_run_that_was_stopped_and_then_killed_ends_with_the_scores_of_one_that_was_not(
    tmp_path, benchmark, start, until
):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    command = [*SEGBENCH, "run", benchmark(steps=800), "--only", "plain", "--device", "cpu"]
    for folder in (whole, parts):
        folder.mkdir()
    code, *_ = ended(start(*command, cwd=whole))
    assert code == 0

    process = start(*command, cwd=parts)
    until(lambda: steps_reported(parts))
    process.send_signal(signal.SIGINT)
    code, out, err = ended(process)
    assert (code, out) == (130, "")
    assert "stopping: running cells save a checkpoint first" in err
    assert "stopped; the same command resumes where it was" in err
    assert records(parts)["plain"]["status"] == "interrupted"

    before = len(steps_reported(parts))
    process = start(*command, cwd=parts)
    until(lambda: len(steps_reported(parts)) > before)
    process.kill()
    ended(process)
    code, *_ = ended(start(*command, cwd=parts))
    assert code == 0
    one, other = (records(folder)["plain"] for folder in (whole, parts))
    assert other["scores"] == one["scores"]
    assert other["train"]["steps"] == one["train"]["steps"] == 800
    events = parts / "results" / "tiny" / one["key"] / other["attempt"] / "events.jsonl"
    assert '"resumed"' in events.read_text()
