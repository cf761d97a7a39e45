"""Worker processes, from outside: how their ends are explained, and what they may use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from segbench.execute.forkserver import modules_to_preload
from segbench.execute.workers import Died, Finished, Limits, TimedOut, _environment, cause_of_death

from .conftest import is_alive

MEGABYTE = 10**6


def test_a_crash_in_native_code_is_named_and_its_stack_kept(outcome_of):
    outcome = outcome_of("segfaults")
    assert isinstance(outcome, Died)
    assert outcome.failure.cause == "killed by SIGSEGV (a crash in native code)"
    assert "in segfaults" in outcome.failure.traceback


def test_what_torch_compiles_is_kept_in_the_cache_for_all_cells_unless_the_user_says_where(tmp_path, monkeypatch):
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path))
    assert _environment()["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "compiled")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/elsewhere")
    assert _environment()["TORCHINDUCTOR_CACHE_DIR"] == "/elsewhere"


def test_a_kill_from_outside_is_named(outcome_of):
    outcome = outcome_of("kills_itself")
    assert isinstance(outcome, Died)
    assert outcome.failure.cause == "killed by SIGKILL (often the system's out-of-memory killer)"


def test_an_exit_without_an_answer_is_named(outcome_of):
    assert outcome_of("exits_at_once").failure.cause == "the worker process exited with code 3 before it answered"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="memory is limited only where /proc tells it")
@pytest.mark.parametrize("function", ["hogs", "child_hogs"])
def test_a_worker_is_killed_above_its_memory_limit_and_what_its_children_hold_counts(outcome_of, function):
    outcome = outcome_of(function, memory=400 * MEGABYTE)
    assert isinstance(outcome, Died)
    assert outcome.failure.cause.startswith("out of memory: used ")
    assert outcome.failure.cause.endswith(" of 400 MB allowed")


@pytest.mark.parametrize("function", ["hangs", "hangs_holding_the_interpreter"])
def test_a_worker_is_killed_when_its_time_is_up_and_where_it_was_is_known(outcome_of, function):
    outcome = outcome_of(function, seconds=0.5)
    assert isinstance(outcome, TimedOut)
    assert outcome.failure.cause == "timed out after 0.5 s"
    assert f"in {function}" in outcome.failure.traceback


def test_what_a_worker_has_started_ends_with_it(outcome_of, until):
    outcome = outcome_of("leaves_a_child")
    assert isinstance(outcome, Finished)
    until(lambda: not Path(f"/proc/{outcome.result}").exists())


@pytest.mark.parametrize("function", ["leaves_a_session", "leaves_an_orphan"])
def test_what_a_worker_has_started_ends_with_it_also_outside_of_its_group(outcome_of, until, function):
    child = outcome_of(function).result
    until(lambda: not is_alive(child))
    [(_, fields)] = outcome_of.events
    assert fields["message"].startswith(f"the cell left a process running, now killed: {sys.executable} -c import time")


@pytest.mark.parametrize("limit", [{}, {"seconds": 2}])
def test_what_a_worker_has_started_ends_with_it_also_when_it_crashes_or_is_killed(outcome_of, tmp_path, until, limit):
    function = "leaves_a_session_and_hangs" if limit else "crashes_and_leaves_a_session"
    assert not isinstance(outcome_of(function, **limit), Finished)
    until(lambda: not is_alive(int((tmp_path / "work" / "child").read_text())))


def test_processes_that_others_have_started_are_not_killed(workers, outcome_of, tmp_path, until):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as mine:
        beside = workers.start("worker_functions:leaves_a_session_and_hangs", None, tmp_path / "beside", Limits())
        file = tmp_path / "beside" / "child"
        its = int(until(lambda: file.exists() and file.read_text()))
        outcome_of("crashes_and_leaves_a_session")
        assert is_alive(mine.pid)
        assert is_alive(its)
        beside.end()
        until(lambda: not is_alive(its))
        assert is_alive(mine.pid)
        mine.communicate(b"\n")


def test_a_plugin_that_leaves_a_process_is_named(outcome_of, broken_plugin):
    outcome_of("leaves_a_process_of_a_plugin")
    [(name, fields)] = outcome_of.events
    assert name == "warning"
    assert fields["message"].startswith("plugin 'broken' left a process running, now killed: ")


def test_a_process_that_was_waited_for_is_not_warned_of(outcome_of):
    assert outcome_of("leaves_nothing") == Finished(None)
    assert outcome_of.events == []


@pytest.mark.parametrize(
    ("function", "limit"),
    [
        ("hangs_in_plugin", {"seconds": 1}),
        ("runs_out_of_memory_in_plugin", {"memory": 400 * MEGABYTE}),
        ("runs_out_of_memory_in_plugin", {}),
        ("plugin_error", {}),
    ],
)
def test_the_plugin_in_whose_code_a_worker_ended_is_named(outcome_of, broken_plugin, function, limit):
    assert outcome_of(function, job="error" if not limit else None, **limit).failure.plugin == "broken"


PROGRAM = """
import os, sys
from pathlib import Path
from multiprocessing.connection import wait
from segbench.execute.workers import Limits, Workers
if __name__ == "__main__":
    workers = Workers(sys.argv[3:])
    for number in range(2):
        worker = workers.start(f"worker_functions:{sys.argv[1]}", None, Path(sys.argv[2]), Limits(60))
        while worker.running:
            wait(worker.waitables, 0.1)
            worker.enforce_limits()
        list(worker.events())
        print(worker.outcome().result)
"""


def run_program(folder, function, *preload):
    """Return the results of two workers in a row, from a process of its own since it has one fork server."""
    (folder / "program.py").write_text(PROGRAM)
    (folder / "preloaded_fine.py").write_text("")
    (folder / "preloaded_broken.py").write_text("raise RuntimeError('no such operator')")
    (folder / "preloaded_fatal.py").write_text("import os; os._exit(1)")
    done = subprocess.run(
        [sys.executable, folder / "program.py", function, folder / "work", *preload],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    return done.stdout.split("\n")[:2]


def test_workers_find_preloaded_modules_imported_and_a_broken_one_harms_no_other(tmp_path):
    found = run_program(tmp_path, "modules", "preloaded_broken", "preloaded_missing", "preloaded_fine")
    assert found == ["['preloaded_fine']"] * 2


def test_a_module_that_kills_the_server_only_ends_the_preloading(tmp_path):
    assert run_program(tmp_path, "modules", "preloaded_fine", "preloaded_fatal") == ["[]"] * 2


def test_a_worker_does_not_run_its_parent_s_script_again(tmp_path):
    program = tmp_path / "script.py"
    program.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from segbench.execute.workers import Limits, Workers\n"
        "print('begun', flush=True)\n"
        "worker = Workers().start('os.path:exists', None, Path(sys.argv[1]), Limits(60))\n"
        "worker._process.join(60)\n"
        "list(worker.events())\n"
        "print(worker.outcome().failure.cause)\n"
    )
    done = subprocess.run(
        [sys.executable, program, tmp_path / "work"], capture_output=True, text=True, check=True, timeout=240
    )
    begun, cause = done.stdout.splitlines()
    assert begun == "begun"
    assert "TypeError" in cause  # the function of this worker takes no job


@pytest.mark.slow
def test_workers_compute_with_all_libraries_preloaded(tmp_path):
    preload = modules_to_preload(["segmentation-models-pytorch", "timm", "torchvision"])
    first, second = run_program(tmp_path, "computes", *preload)
    assert first == second
    assert "512.0" in first


@pytest.mark.parametrize(
    ("exit_code", "cause"),
    [
        (0, "the worker process exited with code 0 before it answered"),
        (-signal.SIGTERM, "killed by SIGTERM"),
        (-signal.SIGABRT, "killed by SIGABRT (native code gave up)"),
        (-250, "killed by signal 250"),
    ],
)
def test_an_exit_code_is_put_into_words(exit_code, cause):
    assert cause_of_death(exit_code) == cause


PROGRAM_OF_ONE_WORKER = """
import multiprocessing, sys, tempfile
from pathlib import Path
from segbench.execute import temporary, workers
if __name__ == "__main__":
    temporary._SHORT_FOLDERS = tuple(sys.argv[2:])
    worker = workers.Workers().start("posixpath:exists", None, Path(sys.argv[1]), workers.Limits())
    worker._process.join(60)
    list(worker.events())
    print(multiprocessing.current_process()._config["tempdir"], tempfile.gettempdir(), worker.outcome().failure.cause)
"""


def start_one_worker(tmp_path, temporary, *short_folders):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM_OF_ONE_WORKER)
    return subprocess.run(
        [sys.executable, str(program), str(tmp_path / "work"), *short_folders],
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("length", [40, 41, 120, 220])
def test_workers_start_however_long_the_path_of_the_temporary_folder_is(tmp_path, length):
    with tempfile.TemporaryDirectory(dir="/tmp") as base:
        temporary = Path(base) / ("t" * (length - len(base) - 1))
        temporary.mkdir()
        done = start_one_worker(tmp_path, temporary, "/tmp")
        sockets, kept, *cause = done.stdout.split()
        assert Path(sockets).parent == (temporary if length == 40 else Path("/tmp"))
        assert kept == str(temporary)
        assert cause[:2] == ["TypeError:", "exists()"]  # so far that the function was called
        assert not Path(sockets).exists()


def test_what_processes_that_were_killed_left_in_the_temporary_folder_is_removed(tmp_path):
    child = subprocess.run(
        [sys.executable, "-c", "from segbench.execute.temporary import *; print(make_temporary_folder(Path('.')))"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    left = tmp_path / child.stdout.strip()
    assert left.is_dir()
    start_one_worker(tmp_path, tmp_path, "/tmp")
    assert not left.exists()


def test_a_long_temporary_folder_and_no_short_one_is_an_error_that_names_tmpdir(tmp_path):
    temporary = tmp_path / ("t" * 100)
    temporary.mkdir()
    done = start_one_worker(tmp_path, temporary, "/no-such-folder")
    assert done.stderr.rstrip().endswith("set TMPDIR to a folder of at most 40 bytes")
