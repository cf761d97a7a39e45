"""Whole runs: real worker processes, real signals, cells that do what their method's name says."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from dataclasses import replace
from multiprocessing import forkserver

import numpy as np
import pytest
from run_functions import FUNCTIONS, make_cell, make_cells, ran, run_all, statuses

from segbench.config.protocol import Budget
from segbench.errors import CellError, DataError, RecordError, SpecError
from segbench.execute import capacity, schedule
from segbench.execute import run as runs
from segbench.execute.jobs import RunOptions
from segbench.execute.progress import NoProgress
from segbench.execute.run import run
from segbench.store.counts import COUNTS, Counts, write_counts
from segbench.store.folder import CHECKPOINT, ResultsFolder, files_of
from segbench.store.json_file import sealed_json
from segbench.store.sharing import note_jobs, read_jobs

from .conftest import is_alive


def test_every_cell_leaves_a_record_with_what_its_worker_measured(tmp_path, workers):
    summary = run_all(make_cells(["plain"], seeds=2), tmp_path, workers=workers, jobs=2)
    assert [(record.seed, record.status) for record in summary.records] == [(0, "ok"), (1, "ok")]
    record = ResultsFolder(tmp_path, "bench").read(summary.records[0].key)
    assert record.scores.miou == 0.5
    assert record.train.steps == 1
    assert record.environment["machine"] == "here"


def test_a_record_holds_the_cell_without_the_place_of_its_data(tmp_path, workers):
    (record,) = run_all(make_cells(["plain"]), tmp_path, workers=workers).records
    expected = make_cell("plain").model_dump(mode="json")
    assert expected["dataset"].pop("root") == "/secret"
    assert record.spec == expected


def test_a_recorded_cell_never_runs_again(tmp_path, workers):
    run_all(make_cells(["plain"]), tmp_path, workers=workers)
    summary = run_all(make_cells(["plain", "other"]), tmp_path, workers=workers)
    assert statuses(summary) == {"plain": "ok", "other": "ok"}
    assert len(ran(tmp_path)) == 2


def test_a_run_with_nothing_to_do_starts_no_worker(tmp_path, workers):
    run_all(make_cells(["plain"]), tmp_path, workers=workers)
    assert statuses(run_all(make_cells(["plain"]), tmp_path, workers=None)) == {"plain": "ok"}


def test_a_cell_that_fails_is_recorded_with_its_cause_and_the_others_go_on(tmp_path, workers):
    summary = run_all(make_cells(["raise", "segfault", "plain"]), tmp_path, workers=workers)
    assert statuses(summary) == {"raise": "failed", "segfault": "failed", "plain": "ok"}
    causes = [record.error.cause for record in summary.unfinished]
    assert causes == ["ValueError: no such thing", "killed by SIGSEGV (a crash in native code)"]
    assert summary.records[0].environment["device"] == "cpu"


def test_a_cell_that_takes_too_long_is_recorded_as_timed_out(tmp_path, workers):
    summary = run_all(make_cells(["stubborn"]), tmp_path, workers=workers, timeout=1)
    assert summary.records[0].error.cause == "timed out after 1 s"


def test_a_method_that_hangs_in_preflight_has_a_limit_of_its_own(tmp_path, workers, monkeypatch):
    monkeypatch.setattr(runs, "PREFLIGHT_SECONDS", 0.5)
    functions = replace(FUNCTIONS, preflight="worker_functions:hangs")
    (record,) = run_all(make_cells(["plain"]), tmp_path, workers=workers, functions=functions).records
    expected = "timed out after 0.5 s of being built and stepped once (--timeout SECONDS allows another time)"
    assert (record.status, record.error.cause) == ("failed", expected)
    assert ran(tmp_path) == []


def test_a_failed_cell_is_tried_again_by_the_next_run(tmp_path, workers):
    assert statuses(run_all(make_cells(["fails-once"]), tmp_path, workers=workers)) == {"fails-once": "failed"}
    assert statuses(run_all(make_cells(["fails-once"]), tmp_path, workers=workers)) == {"fails-once": "ok"}


def test_a_users_mistake_ends_the_run_before_anything_trains(tmp_path, workers):
    with pytest.raises(DataError, match="method 'mistake' on 'data': the split has fewer images than a batch"):
        run_all(make_cells(["plain", "mistake"]), tmp_path, workers=workers)
    assert ran(tmp_path) == []


def test_a_method_that_breaks_in_preflight_fails_and_the_others_go_on(tmp_path, workers):
    summary = run_all(make_cells(["plugin", "crash", "plain"], seeds=2), tmp_path, workers=workers)
    assert statuses(summary) == {"plugin": "failed", "crash": "failed", "plain": "ok"}
    assert summary.records[0].error.cause == "the network returns 2 channels for 3 classes"
    assert len(ran(tmp_path)) == 2


def test_a_method_whose_device_fails_late_is_tried_again_with_each_kernel_waited_for(tmp_path, workers):
    summary = run_all(make_cells(["asserts", "plain"]), tmp_path, workers=workers)
    assert statuses(summary) == {"asserts": "failed", "plain": "ok"}
    assert summary.records[0].error.cause == "a label out of range"


class ServerKiller(NoProgress):
    """Kills the server of all workers once something of an activity is reported, if one is given."""

    def __init__(self, activity):
        self.activity, self.notices = activity, []

    def reported(self, activity, cell, event):
        if activity == self.activity:
            self.activity = None
            os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)

    def notice(self, message):
        self.notices.append(message)


def test_a_method_whose_trial_is_killed_is_tried_once_more(tmp_path, workers):
    listener = ServerKiller(None)
    assert statuses(run_all(make_cells(["killed-once"]), tmp_path, workers=workers, listener=listener)) == {
        "killed-once": "ok"
    }
    killed = "killed by SIGKILL (often the system's out-of-memory killer)"
    assert listener.notices == [f"trying data / killed-once / seed 0: {killed}; it is tried once more"]


def test_a_device_is_looked_at_once_more_where_the_worker_is_killed(tmp_path, workers):
    functions, device = replace(FUNCTIONS, probe="worker_functions:probe_killed_once"), str(tmp_path / "mark")
    summary = run_all(make_cells(["plain"]), tmp_path, workers=workers, functions=functions, device=device)
    assert statuses(summary) == {"plain": "ok"}


def test_a_cell_whose_server_of_workers_is_killed_goes_on_once_more(tmp_path, workers, until):
    killer = ServerKiller("cell")
    summary = run_all(make_cells(["stubborn", "plain"]), tmp_path, workers=workers, listener=killer)
    assert statuses(summary) == {"stubborn": "ok", "plain": "ok"}
    cause = "the process that starts workers was killed; it is tried once more"
    assert killer.notices == [f"data / stubborn / seed 0: {cause}"]
    first = int((tmp_path / "bench" / "ran").read_text().split()[1])
    until(lambda: not is_alive(first))


def test_methods_whose_server_of_workers_is_killed_while_they_are_timed_are_timed_once_more(tmp_path, workers):
    killer = ServerKiller("timing")
    summary = run_all(make_cells(["plain", "unhurried"]), tmp_path, workers=workers, listener=killer)
    assert summary.untimed == {}
    assert killer.notices == ["timing: the process that starts workers was killed; it is tried once more"]
    rivals = [record.timing.rivals for record in ResultsFolder(tmp_path, "bench").records()]
    assert rivals == [["plain", "unhurried"]] * 2


def test_a_method_is_tried_once_and_only_if_it_has_work_to_do(tmp_path, workers):
    functions = replace(FUNCTIONS, preflight="worker_functions:accept")
    run_all(make_cells(["plain"]), tmp_path, workers=workers, functions=functions)
    run_all(make_cells(["plain", "other"], seeds=3), tmp_path, workers=workers, functions=functions, jobs=2)
    run_all(make_cells(["plain", "third"], seeds=3), tmp_path, workers=workers, functions=functions)
    assert sorted((tmp_path / "bench" / "preflights").read_text().split()) == ["other", "plain", "plain", "third"]


def test_a_device_that_is_not_there_ends_the_run(tmp_path, workers):
    functions = replace(FUNCTIONS, probe="worker_functions:data_error")
    with pytest.raises(DataError, match="empty"):
        run_all(make_cells(["plain"]), tmp_path, workers=workers, functions=functions)


def test_an_installation_in_which_no_worker_runs_is_an_error_with_its_cause(tmp_path, workers):
    functions = replace(FUNCTIONS, probe="no_such_module:probe")
    with pytest.raises(CellError, match="No module named 'no_such_module'"):
        run_all(make_cells(["plain"]), tmp_path, workers=workers, functions=functions)


def test_a_results_folder_that_is_a_file_is_an_error_at_once(tmp_path, workers):
    (tmp_path / "bench").touch()
    with pytest.raises(RecordError, match="is a file"):
        run_all(make_cells(["plain"]), tmp_path, workers=workers)


def test_a_record_that_cannot_be_written_ends_the_run_and_leaves_no_lease(tmp_path, workers, monkeypatch):
    def no_space(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    class Saboteur(NoProgress):
        def started(self, activity, cell):
            if activity == "cell":
                monkeypatch.setattr(os, "fsync", no_space)

    with pytest.raises(RecordError, match=r"cannot write to the results folder .*: the disk or quota is full"):
        run_all(make_cells(["plain", "patient"]), tmp_path, workers=workers, jobs=2, listener=Saboteur())
    assert list((tmp_path / "bench" / "claims").glob("*.json")) == []


@pytest.fixture
def run_vandalised(tmp_path, workers, monkeypatch):
    """Run a short cell and one during which something is done to the results folder; its notices are in `notices`."""
    monkeypatch.setattr(schedule, "RENEW_SECONDS", 0.0)

    class Vandal(NoProgress):
        def reported(self, activity, cell, event):
            if cell.method.name == "waiting" and event.name == "stage" and activity == "cell" and self.ruin:
                self.ruin.pop()(tmp_path / "bench")
                (tmp_path / "go on").touch()

        def notice(self, message):
            run_vandalised.notices.append(message)

    def run_vandalised(ruin):
        vandal = Vandal()
        vandal.ruin = [ruin]
        return run_all(make_cells(["plain", "waiting"]), tmp_path, workers=workers, listener=vandal)

    run_vandalised.notices = []
    return run_vandalised


def test_a_results_folder_that_is_removed_is_named_and_what_can_still_be_recorded_is(run_vandalised, tmp_path):
    with pytest.raises(RecordError, match=f"1 of the 2 records of this run are no longer in {tmp_path}/bench"):
        run_vandalised(shutil.rmtree)
    told = sorted(run_vandalised.notices)
    assert told[0].startswith("data / waiting / seed 0 begins anew, as its lease ")
    assert told[1].startswith(f"the results folder {tmp_path}/bench was removed while this run goes on")
    assert [record.method for record in ResultsFolder(tmp_path, "bench").records()] == ["waiting"]


def test_a_results_folder_that_is_replaced_by_a_file_ends_the_run_in_a_line_that_names_it(run_vandalised, tmp_path):
    with pytest.raises(RecordError, match=f"results folder {tmp_path}/bench/claims: a part of that path is a file"):
        run_vandalised(lambda folder: (shutil.rmtree(folder), folder.touch()))
    assert f"the results folder {tmp_path}/bench is no folder any more" in run_vandalised.notices[0]


def test_a_cell_whose_folder_is_removed_begins_anew(run_vandalised):
    key = make_cell("waiting").key
    summary = run_vandalised(lambda folder: shutil.rmtree(folder / key))
    assert statuses(summary) == {"plain": "ok", "waiting": "ok"}
    assert "data / waiting / seed 0 begins anew, as its lease " in run_vandalised.notices[0]


def test_a_cell_whose_attempt_is_removed_fails_with_that_cause_and_the_others_go_on(run_vandalised, tmp_path):
    key = make_cell("waiting").key
    summary = run_vandalised(lambda folder: [shutil.rmtree(path) for path in (folder / key).glob("1-*")])
    assert statuses(summary) == {"plain": "ok", "waiting": "failed"}
    cause = summary.records[1].error.cause
    assert cause.startswith(f"its folder {tmp_path}/bench/{key}/1-")
    assert cause.endswith(" was removed while it ran")


def test_folders_in_the_place_of_files_and_files_in_the_place_of_folders_cost_no_cell(tmp_path, workers):
    cells = make_cells(["counting"], seeds=2)
    folder, (first, second) = ResultsFolder(tmp_path, "bench"), [cell.key for cell in cells]
    for name in ("events.jsonl", "worker.log", "counts.parquet", "tmp"):
        (folder.cell_folder(first) / name / "mine").mkdir(parents=True)
    (folder.cell_folder(first) / "samples").touch()
    (folder.lease_folder / f"{first}.json" / "mine").mkdir(parents=True)
    os.utime(folder.lease_folder / f"{first}.json", (0, 0))
    (folder.record_path(first) / "mine").mkdir(parents=True)
    folder.cell_folder(second).touch()
    assert statuses(run_all(cells, tmp_path, workers=workers)) == {"counting": "ok"}
    for key in (first, second):
        files = files_of(folder.path, folder.read(key))
        assert (files / "counts.parquet").is_file()
        assert (files / "samples" / "last.png").is_file()
        assert (files / "events.jsonl").is_file()


def test_a_corrupt_record_is_set_aside_and_redone(tmp_path, workers):
    (record,) = run_all(make_cells(["plain"]), tmp_path, workers=workers).records
    path = ResultsFolder(tmp_path, "bench").record_path(record.key)
    path.write_text("{")
    assert statuses(run_all(make_cells(["plain"]), tmp_path, workers=workers)) == {"plain": "ok"}
    assert path.with_name(path.name + ".corrupt").read_text() == "{"
    assert len(ran(tmp_path)) == 2


def test_a_recorded_cell_whose_files_are_damaged_runs_again_only_before_one_that_needs_them(tmp_path, workers):
    first, other = make_cells(["plain", "other"])
    run_all([first, other], tmp_path, workers=workers)
    folder = ResultsFolder(tmp_path, "bench")
    weights = {key: files_of(folder.path, folder.read(key)) / "model.safetensors" for key in (first.key, other.key)}
    for path in weights.values():
        path.write_bytes(sealed_json({"weight": 1}).replace(b"1}", b"2}"))
    (weights[first.key].parent / "events").mkdir()  # neither what is no file nor what has no seal is in the way

    cells = [first, other, make_cell("child", upstream=first)]
    again = ResultsFolder(tmp_path, "bench")
    summary = run(cells, again, RunOptions(), listener=NoProgress(), functions=FUNCTIONS, workers=workers)
    assert statuses(summary) == {"plain": "ok", "other": "ok", "child": "ok"}
    assert [key for key in ran(tmp_path) if key == first.key] == [first.key] * 2
    assert [key for key in ran(tmp_path) if key == other.key] == [other.key]
    (problem,) = again.problems
    assert str(problem) == (
        f"{folder.record_path(first.key)}: {weights[first.key]} is damaged: it has changed since it was written: its "
        f"checksum does not match; set aside as {first.key}.json.corrupt, its cell will run again"
    )


def test_a_recorded_cell_whose_counts_are_damaged_runs_again(tmp_path, workers, flip_bit):
    cells = make_cells(["plain", "other"])
    run_all(cells, tmp_path, workers=workers)
    folder = ResultsFolder(tmp_path, "bench")
    places = [files_of(folder.path, folder.read(cell.key)) for cell in cells]
    for place in places:
        write_counts(place, Counts(("a",), "test", np.array([[[1, 2], [3, 4]]])))
    flip_bit(places[0] / COUNTS, 1)
    assert statuses(run_all(cells, tmp_path, workers=workers)) == {"plain": "ok", "other": "ok"}
    assert sorted(ran(tmp_path)) == sorted([cells[0].key] * 2 + [cells[1].key])


def test_ctrl_c_leaves_an_interrupted_record_and_the_next_run_resumes(tmp_path, program, workers, until):
    run = program("patient,plain")
    until(lambda: ran(tmp_path))
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=300)
    assert output == "interrupted 1\n"
    assert ResultsFolder(tmp_path, "bench").records()[0].status == "interrupted"
    assert list((tmp_path / "bench" / "claims").glob("*.json")) == []
    assert statuses(run_all(make_cells(["patient"]), tmp_path, workers=workers)) == {"patient": "ok"}


def test_a_second_ctrl_c_kills_what_does_not_stop(tmp_path, program, until):
    run = program("stubborn")
    until(lambda: ran(tmp_path))
    run.send_signal(signal.SIGTERM)
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=300)
    assert output == "interrupted 1\n"
    assert ResultsFolder(tmp_path, "bench").records()[0].status == "interrupted"


def test_a_killed_run_leaves_no_worker_and_the_next_one_goes_on(tmp_path, program, workers, until):
    run = program("stubborn")
    until(lambda: list((tmp_path / "bench").glob("*/checkpoint")))
    worker = int((tmp_path / "bench" / "ran").read_text().split()[1])
    run.kill()
    run.wait()
    until(lambda: not is_alive(worker))
    assert ResultsFolder(tmp_path, "bench").records() == []
    assert statuses(run_all(make_cells(["stubborn"]), tmp_path, workers=workers)) == {"stubborn": "ok"}


ON_A_GPU = replace(FUNCTIONS, probe="worker_functions:probe_gpu")


@pytest.mark.parametrize("budget", [Budget(seconds=5.0), Budget(like="plain")])
@pytest.mark.parametrize(("jobs", "many"), [(2, "2"), ("auto", "several")])
def test_a_budget_in_seconds_is_refused_where_cells_share_a_gpu(tmp_path, workers, budget, jobs, many):
    cells = [make_cell("timed", budget=budget), make_cell("plain")]
    expected = rf"^timed: the budget is in seconds, and {many} cells at once .* cuda:0; run these"
    with pytest.raises(SpecError, match=expected):
        run_all(cells, tmp_path, workers=workers, functions=ON_A_GPU, jobs=jobs)
    assert ran(tmp_path) == []


def test_cells_that_share_a_gpu_say_so_also_if_they_go_on_alone(tmp_path, workers):
    cells, folder = make_cells(["plain", "other"]), ResultsFolder(tmp_path, "bench")
    first = run_all(cells[:1], tmp_path, workers=workers, functions=ON_A_GPU, jobs=3).records[0]
    assert read_jobs(files_of(folder.path, first)) == 3
    stopped = folder.cell_folder(cells[1].key) / f"1-{'0' * 16}"
    stopped.mkdir(parents=True)
    (stopped / CHECKPOINT).touch()
    note_jobs(stopped, 3)
    alone = run_all(cells, tmp_path, workers=workers, functions=ON_A_GPU)
    assert [record.environment["jobs"] for record in alone.records] == [3, 3]


class Notices(NoProgress):
    """What the user is told."""

    def __init__(self):
        self.messages = []

    def notice(self, message):
        self.messages.append(message)


@pytest.fixture
def run_with_room(tmp_path, workers, monkeypatch):
    """Run the cells of one method on a GPU of a machine with 8 cores; returns the summary and what was told."""
    monkeypatch.setattr(capacity, "usable_cores", lambda: 8)
    monkeypatch.setattr(capacity, "likely_gpus", lambda: 1)
    monkeypatch.setattr(capacity, "free_bytes", lambda: 10**9)

    def run_with_room(method, seeds):
        told = Notices()
        cells = make_cells([method], seeds)
        summary = run_all(cells, tmp_path, workers=workers, functions=ON_A_GPU, jobs="auto", listener=told)
        return summary, told.messages

    return run_with_room


PAIRED = "(data) on cuda:0: 3 GB of 10 GB, 40 % busy, and 1 MB of 1 GB of the host alone, so 2 at once"


def test_the_first_cell_runs_alone_and_then_as_many_as_there_is_room_for_and_they_say_so(run_with_room):
    summary, told = run_with_room("paired", seeds=3)
    assert [record.environment["jobs"] for record in summary.records] == [1, 2, 2]
    assert told == [f"paired {PAIRED}"]


def test_what_an_earlier_run_has_measured_is_not_measured_again(run_with_room):
    run_with_room("paired", seeds=1)
    summary, told = run_with_room("paired", seeds=3)
    assert [record.environment["jobs"] for record in summary.records] == [1, 2, 2]
    assert told == [f"paired {PAIRED}"]


def test_a_cell_that_runs_out_of_memory_beside_others_begins_again_alone(run_with_room):
    summary, told = run_with_room("crowded", seeds=3)
    assert [record.status for record in summary.records] == ["ok"] * 3
    again = [f"data / crowded / seed {seed} ran out of memory beside others and begins again alone" for seed in (1, 2)]
    assert sorted(told) == sorted([f"crowded {PAIRED}", *again])
