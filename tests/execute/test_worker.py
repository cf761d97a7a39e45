"""A worker process, from inside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from segbench.errors import DataError, SegbenchError
from segbench.execute.worker import STOP, cause_of
from segbench.execute.workers import Failed, Finished, Limits
from segbench.store.folder import ResultsFolder
from segbench.store.leases import acquire

from .conftest import is_alive


def test_a_result_comes_back(outcome_of):
    assert outcome_of("echo", {"a": [1, 2]}) == Finished({"a": [1, 2]})


def test_a_worker_has_its_own_folder_and_temporary_folder_and_the_environment_of_now(outcome_of, tmp_path, monkeypatch):
    outcome_of("echo")  # the server runs from here on
    monkeypatch.setenv("SEGBENCH_TEST", "set later")
    found = outcome_of("where").result
    assert found["folder"] == str(tmp_path / "work")
    assert Path(found["temporary"]).parent.name.startswith("tmp-")
    assert Path(found["temporary"]).parents[1] == tmp_path / "work"
    assert found["variable"] == "set later"
    assert not list((tmp_path / "work").glob("tmp*"))


def test_a_relative_cache_folder_stays_where_it_is(outcome_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGBENCH_CACHE", "cache")
    assert outcome_of("cache") == Finished(tmp_path / "cache")


def test_events_reach_the_parent_and_the_file_with_null_for_what_is_not_finite(outcome_of, tmp_path):
    outcome_of("reports")
    assert outcome_of.events == [
        ("step", {"step": 1, "steps": 2, "loss": None}),
        ("validation", {"step": 1, "miou": 0.25}),
    ]
    lines = [json.loads(line) for line in (tmp_path / "work" / "events.jsonl").read_text().splitlines()]
    assert [line.pop("time") > 1e9 for line in lines] == [True, True]
    assert lines == [{"event": name, **fields} for name, fields in outcome_of.events]


def test_whatever_a_plugin_prints_goes_into_the_log(outcome_of, tmp_path, capfd):
    outcome_of("prints")
    lines = (tmp_path / "work" / "worker.log").read_text().splitlines()
    assert sorted(lines) == ["from a child", "from native code", "to stderr", "to stdout"]
    assert capfd.readouterr() == ("", "")


def test_a_worker_leads_a_process_group_of_its_own(outcome_of):
    assert outcome_of("leaves_group") == Finished(True)


def test_a_worker_stops_when_asked(workers, tmp_path, until):
    worker = workers.start("worker_functions:waits_for_stop", None, tmp_path, Limits())
    until(lambda: list(worker.events()))
    worker.send(STOP)
    until(lambda: not worker.running)
    list(worker.events())
    assert worker.outcome() == Finished("stopped")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_batch_job_is_left_to_the_parent(workers, tmp_path, until, number):
    worker = workers.start("worker_functions:waits_for_stop", None, tmp_path, Limits())
    until(lambda: list(worker.events()))
    os.kill(worker.pid, number)
    worker.send(STOP)
    until(lambda: not worker.running)
    list(worker.events())
    assert worker.outcome() == Finished("stopped")


def test_an_error_of_segbench_keeps_its_type_and_its_message_is_the_cause(outcome_of):
    outcome = outcome_of("data_error")
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, DataError)
    assert str(outcome.error) == outcome.failure.cause == "the split is empty"


def test_another_error_has_its_type_in_the_cause_and_no_error_to_raise(outcome_of):
    outcome = outcome_of("raises")
    assert outcome.error is None
    assert outcome.failure.cause == "ValueError: no such thing"
    assert "in raises" in outcome.failure.traceback
    assert outcome.failure.traceback.endswith("The worker's last output:\nlast words")


def test_a_message_of_several_lines_becomes_one_line():
    assert cause_of(SegbenchError("first,\n  second")) == "first, second"


@pytest.mark.parametrize("function", ["exits", "unpicklable"])
def test_leaving_and_an_answer_that_cannot_travel_are_failures(outcome_of, function):
    assert outcome_of(function).failure.cause.startswith({"exits": "SystemExit: 3"}.get(function, ""))
    assert isinstance(outcome_of(function), Failed)


def test_a_thread_left_behind_does_not_keep_the_worker(outcome_of):
    assert outcome_of("leaves_a_thread") == Finished("done")


PARENT = """
import sys, time
from pathlib import Path
from segbench.execute.workers import Limits, Workers
if __name__ == "__main__":
    worker = Workers().start("worker_functions:leaves_a_child_and_hangs", None, Path(sys.argv[1]), Limits())
    print(worker.pid, flush=True)
    time.sleep(600)
"""


def test_a_worker_and_its_children_die_with_a_killed_parent(tmp_path, until):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    path = os.pathsep.join(sys.path)
    with subprocess.Popen(
        [sys.executable, script, tmp_path / "work"], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    ) as parent:
        try:
            worker = int(parent.stdout.readline())
            child = int(until(lambda: _content(tmp_path / "work" / "child")))
            assert is_alive(worker)
            assert is_alive(child)
        finally:
            parent.kill()
    until(lambda: not is_alive(worker) and not is_alive(child))


def test_a_worker_ends_with_the_lease_of_its_cell_also_while_its_parent_is_stopped(workers, tmp_path, until):
    lease = acquire(ResultsFolder(tmp_path, "bench"), "0123456789abcdef")
    lease.release()
    worker = workers.start("worker_functions:hangs", None, tmp_path / "work", Limits(), lease)
    until(lambda: not worker.running)
    assert "SIGKILL" in worker.outcome().failure.cause


def _content(file):
    return file.read_text() if file.exists() else ""


@pytest.mark.parametrize("name", ["worker.log", "events.jsonl", "tmp", "."])
def test_a_link_in_the_folder_of_a_cell_is_not_followed(outcome_of, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("of somebody else")
    if name != ".":
        (tmp_path / "work").mkdir()
    (tmp_path / "work" / name).symlink_to(elsewhere / ("kept" if "." in name[1:] else "."))
    assert outcome_of("reports") == Finished(None)
    assert [path.name for path in elsewhere.iterdir()] == ["kept"]
    assert (elsewhere / "kept").read_text() == "of somebody else"


def test_pipes_in_the_folder_of_a_cell_are_not_waited_for(outcome_of, tmp_path):
    (tmp_path / "work").mkdir()
    for name in ("worker.log", "events.jsonl"):
        os.mkfifo(tmp_path / "work" / name)
    assert outcome_of("reports") == Finished(None)
    assert (tmp_path / "work" / "events.jsonl").is_file()
