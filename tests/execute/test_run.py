"""Whole runs: real worker processes, real signals, cells that do what their method's name says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from run_functions import FUNCTIONS, make_cell, make_cells, run_all

from segbench.config.protocol import Timing
from segbench.errors import CellError, DataError, RecordError
from segbench.execute import run as runs
from segbench.execute.progress import NoProgress
from segbench.store.folder import ResultsFolder
from segbench.store.leases import acquire

from .conftest import is_alive

PROGRAM = Path(__file__).parent / "functions" / "run_functions.py"


def ran(results):
    """Return the keys of the cells that were run, one for each time."""
    file = results / "bench" / "ran"
    return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []


def timed(results):
    file = results / "bench" / "timed"
    return file.read_text().splitlines() if file.exists() else []


def statuses(summary):
    return {record.method: record.status for record in summary.records}


@pytest.fixture
def program(tmp_path):
    """Start a run in a process of its own; those still there at the end are killed."""
    started = []

    def program(methods, seeds=1):
        process = subprocess.Popen(
            [sys.executable, PROGRAM, tmp_path, methods, str(seeds)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield program
    for process in started:
        process.kill()
        process.communicate()


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
    functions = FUNCTIONS.__class__(FUNCTIONS.probe, "worker_functions:hangs", FUNCTIONS.cell, FUNCTIONS.timing)
    (record,) = run_all(make_cells(["plain"]), tmp_path, workers=workers, functions=functions).records
    expected = "timed out after 0.5 s of being built and stepped once (--timeout SECONDS allows another time)"
    assert (record.status, record.error.cause) == ("failed", expected)
    assert ran(tmp_path) == []


def test_a_failed_cell_is_tried_again_by_the_next_run(tmp_path, workers):
    assert statuses(run_all(make_cells(["fails-once"]), tmp_path, workers=workers)) == {"fails-once": "failed"}
    assert statuses(run_all(make_cells(["fails-once"]), tmp_path, workers=workers)) == {"fails-once": "ok"}


def test_a_cell_gets_the_folder_of_its_upstream_cell(tmp_path, workers):
    first = make_cell("plain")
    cells = [first, make_cell("child", upstream=first)]
    assert statuses(run_all(cells, tmp_path, workers=workers, jobs=2)) == {"plain": "ok", "child": "ok"}


def test_what_needs_a_failed_cell_is_skipped_and_tried_again_later(tmp_path, workers):
    first = make_cell("fails-once")
    second = make_cell("child", upstream=first)
    cells = [first, second, make_cell("grandchild", upstream=second)]
    summary = run_all(cells, tmp_path, workers=workers)
    assert statuses(summary) == {"fails-once": "failed", "child": "skipped", "grandchild": "skipped"}
    expected = "start_from needs 'fails-once' with seed 0, which is failed: RuntimeError: the first time"
    assert summary.records[1].error.cause == expected
    assert set(statuses(run_all(cells, tmp_path, workers=workers)).values()) == {"ok"}


def test_a_users_mistake_ends_the_run_before_anything_trains(tmp_path, workers):
    with pytest.raises(DataError, match="method 'mistake' on 'data': the split has fewer images than a batch"):
        run_all(make_cells(["plain", "mistake"]), tmp_path, workers=workers)
    assert ran(tmp_path) == []


def test_a_method_that_breaks_in_preflight_fails_and_the_others_go_on(tmp_path, workers):
    summary = run_all(make_cells(["plugin", "crash", "plain"], seeds=2), tmp_path, workers=workers)
    assert statuses(summary) == {"plugin": "failed", "crash": "failed", "plain": "ok"}
    assert summary.records[0].error.cause == "the network returns 2 channels for 3 classes"
    assert len(ran(tmp_path)) == 2


def test_a_method_is_tried_once_and_only_if_it_has_work_to_do(tmp_path, workers):
    functions = FUNCTIONS.__class__(FUNCTIONS.probe, "worker_functions:accept", FUNCTIONS.cell, FUNCTIONS.timing)
    run_all(make_cells(["plain"]), tmp_path, workers=workers, functions=functions)
    run_all(make_cells(["plain", "other"], seeds=3), tmp_path, workers=workers, functions=functions, jobs=2)
    run_all(make_cells(["plain", "third"], seeds=3), tmp_path, workers=workers, functions=functions)
    assert sorted((tmp_path / "bench" / "preflights").read_text().split()) == ["other", "plain", "plain", "third"]


def test_a_device_that_is_not_there_ends_the_run(tmp_path, workers):
    functions = FUNCTIONS.__class__("worker_functions:data_error", *list(vars(FUNCTIONS).values())[1:])
    with pytest.raises(DataError, match="empty"):
        run_all(make_cells(["plain"]), tmp_path, workers=workers, functions=functions)


def test_an_installation_in_which_no_worker_runs_is_an_error_with_its_cause(tmp_path, workers):
    functions = FUNCTIONS.__class__("no_such_module:probe", *list(vars(FUNCTIONS).values())[1:])
    with pytest.raises(CellError, match="No module named 'no_such_module'"):
        run_all(make_cells(["plain"]), tmp_path, workers=workers, functions=functions)


def test_a_results_folder_that_is_a_file_is_an_error_at_once(tmp_path, workers):
    (tmp_path / "bench").touch()
    with pytest.raises(RecordError, match="is a file"):
        run_all(make_cells(["plain"]), tmp_path, workers=workers)


def test_a_record_that_cannot_be_written_ends_the_run_and_leaves_no_lease(tmp_path, workers):
    class Saboteur(NoProgress):
        def started(self, activity, cell):
            if activity == "cell":
                (tmp_path / "bench" / f"{cell.key}.json").mkdir()

    with pytest.raises(RecordError, match="cannot write to the results folder"):
        run_all(make_cells(["plain", "patient"]), tmp_path, workers=workers, jobs=2, listener=Saboteur())
    assert list((tmp_path / "bench" / "claims").glob("*.json")) == []


def test_a_corrupt_record_is_set_aside_and_redone(tmp_path, workers):
    (record,) = run_all(make_cells(["plain"]), tmp_path, workers=workers).records
    path = ResultsFolder(tmp_path, "bench").record_path(record.key)
    path.write_text("{")
    assert statuses(run_all(make_cells(["plain"]), tmp_path, workers=workers)) == {"plain": "ok"}
    assert path.with_name(path.name + ".corrupt").read_text() == "{"
    assert len(ran(tmp_path)) == 2


def test_methods_are_timed_once_and_all_their_seeds_get_the_rows(tmp_path, workers):
    run_all(make_cells(["plain", "other"], seeds=2), tmp_path, workers=workers)
    records = ResultsFolder(tmp_path, "bench").records()
    assert [(len(record.inference), record.cost.inference_peak_bytes) for record in records] == [(1, 77)] * 4
    assert timed(tmp_path) == ["plain", "other"]


def test_methods_of_a_dataset_are_timed_in_one_session(tmp_path, workers):
    cells = [make_cell("plain"), make_cell("other"), make_cell("plain", dataset="more")]
    run_all(cells, tmp_path, workers=workers)
    folder = ResultsFolder(tmp_path, "bench")
    plain, other, elsewhere = (folder.read(cell.key).timing for cell in cells)
    assert plain.session == other.session != elsewhere.session
    assert (plain.rivals, elsewhere.rivals) == (["plain", "other"], ["plain"])


def test_methods_that_were_timed_before_are_not_timed_again_beside_a_new_one(tmp_path, workers):
    run_all(make_cells(["plain"]), tmp_path, workers=workers)
    run_all(make_cells(["plain", "other"]), tmp_path, workers=workers)
    assert timed(tmp_path) == ["plain", "other"]
    rivals = {record.method: record.timing.rivals for record in ResultsFolder(tmp_path, "bench").records()}
    assert rivals == {"plain": ["plain"], "other": ["other"]}


def test_a_reduced_measurement_is_taken_anew_where_the_protocol_asks_for_a_full_one(tmp_path, workers):
    def run_with(timing):
        summary = run_all([make_cell("plain", timing=timing)], tmp_path, workers=workers)
        assert statuses(summary) == {"plain": "ok"}
        (record,) = ResultsFolder(tmp_path, "bench").records()
        return record.inference[0].budget, len(timed(tmp_path))

    assert run_with(Timing(seconds=1)) == ("reduced", 1)
    assert run_with(Timing(seconds=2)) == ("reduced", 1)
    assert run_with(Timing()) == ("full", 2)
    assert run_with(Timing(seconds=1)) == ("full", 2)
    assert len(ran(tmp_path)) == 1


def test_rows_that_tell_nothing_of_how_they_were_taken_are_taken_anew(tmp_path, workers):
    run_all(make_cells(["plain"]), tmp_path, workers=workers)
    folder = ResultsFolder(tmp_path, "bench")
    (record,) = folder.records()
    folder.write(record.model_copy(update={"timing": None}))
    run_all(make_cells(["plain"]), tmp_path, workers=workers)
    assert folder.records()[0].timing is not None


def test_cells_that_serve_tuning_alone_are_not_timed(tmp_path, workers):
    cell = make_cell("plain").model_copy(update={"for_tuning": True})
    run_all([cell], tmp_path, workers=workers)
    assert timed(tmp_path) == []


def test_ctrl_c_during_timing_leaves_records_that_the_next_run_completes(tmp_path, program, workers, until):
    run = program("plain,unhurried")
    until(lambda: "unhurried" in timed(tmp_path))
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
    assert output == "interrupted 2\n"
    folder = ResultsFolder(tmp_path, "bench")
    assert [(record.status, record.inference, record.timing) for record in folder.records()] == [("ok", [], None)] * 2
    assert run_all(make_cells(["plain", "unhurried"]), tmp_path, workers=workers).untimed == {}
    assert [record.timing.rivals for record in folder.records()] == [["plain", "unhurried"]] * 2


def test_later_seeds_take_the_rows_of_earlier_ones(tmp_path, workers):
    run_all(make_cells(["plain"]), tmp_path, workers=workers)
    run_all([make_cell("plain", seed=5)], tmp_path, workers=workers)
    assert len(ResultsFolder(tmp_path, "bench").read(make_cell("plain", seed=5).key).inference) == 1
    assert timed(tmp_path) == ["plain"]


def test_records_of_another_machine_are_not_timed_here(tmp_path, workers):
    run_all(make_cells(["plain"]), tmp_path, workers=workers)
    folder = ResultsFolder(tmp_path, "bench")
    (record,) = folder.records()
    folder.write(record.model_copy(update={"environment": {"machine": "there", "device": "cpu"}, "inference": []}))
    run_all(make_cells(["plain"]), tmp_path, workers=workers)
    assert folder.records()[0].inference == []


def test_a_method_that_cannot_be_timed_keeps_its_scores(tmp_path, workers):
    summary = run_all(make_cells(["untimable", "plain"]), tmp_path, workers=workers)
    assert statuses(summary) == {"untimable": "ok", "plain": "ok"}
    assert {label: failure.cause for label, failure in summary.untimed.items()} == {
        "data / untimable / seed 0": "the images have no pixels"
    }


def test_a_cell_that_another_run_has_leased_is_waited_for_and_its_record_counts(tmp_path, workers, program):
    other = program("slow")
    while not ran(tmp_path):
        assert other.poll() is None
    summary = run_all(make_cells(["slow", "plain"]), tmp_path, workers=workers)
    assert statuses(summary) == {"slow": "ok", "plain": "ok"}
    assert len(ran(tmp_path)) == 2


def test_two_runs_at_once_share_the_cells(tmp_path, program):
    runs = [program("slow,plain", seeds=3) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in runs]
    assert [output for output, _ in outputs] == ["done 6\n"] * 2
    assert sorted(ran(tmp_path)) == sorted(cell.key for cell in make_cells(["slow", "plain"], seeds=3))
    assert sorted(timed(tmp_path)) == ["plain", "slow"]


def test_a_failure_of_another_run_meanwhile_counts_and_one_from_before_does_not(tmp_path, workers):
    cells = make_cells(["fails-once"])
    run_all(cells, tmp_path, workers=workers)
    folder, key = ResultsFolder(tmp_path, "bench"), cells[0].key
    failed, mine = folder.read(key), acquire(folder, key)

    class OtherRun(NoProgress):
        notices = ()

        def notice(self, message):
            self.notices += (message,)
            folder.write(failed)
            mine.release()

    other = OtherRun()
    assert statuses(run_all(cells, tmp_path, workers=workers, listener=other)) == {"fails-once": "failed"}
    assert other.notices == ("another run works on some of these cells; their records will count here",)
    assert len(ran(tmp_path)) == 1


def test_ctrl_c_leaves_an_interrupted_record_and_the_next_run_resumes(tmp_path, program, workers, until):
    run = program("patient,plain")
    until(lambda: ran(tmp_path))
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
    assert output == "interrupted 1\n"
    assert ResultsFolder(tmp_path, "bench").records()[0].status == "interrupted"
    assert list((tmp_path / "bench" / "claims").glob("*.json")) == []
    assert statuses(run_all(make_cells(["patient"]), tmp_path, workers=workers)) == {"patient": "ok"}


def test_a_second_ctrl_c_kills_what_does_not_stop(tmp_path, program, until):
    run = program("stubborn")
    until(lambda: ran(tmp_path))
    run.send_signal(signal.SIGTERM)
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
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
