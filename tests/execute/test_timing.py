"""Methods that are timed after training: which, when again, and which records get the rows."""

from __future__ import annotations

import signal

import pytest
from run_functions import make_cell, make_cells, ran, run_all, statuses, timed

from segbench.config.timing import BUDGETS, Timing
from segbench.errors import RecordError
from segbench.execute.progress import NoProgress
from segbench.store.folder import ResultsFolder
from segbench.store.record import Inference, Latency, Train
from segbench.store.record import Timing as RecordedTiming

ROW = Inference(
    stage="forward",
    batch=1,
    size=(2, 2),
    images_per_second=9.0,
    latency_ms=Latency(p50=1.0, p95=2.0, n=3),
    budget="full",
)


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


def test_a_reduced_measurement_is_repeated_where_the_protocol_asks_for_more(tmp_path, workers):
    def run_with(timing):
        summary = run_all([make_cell("plain", timing=timing)], tmp_path, workers=workers)
        assert statuses(summary) == {"plain": "ok"}
        (record,) = ResultsFolder(tmp_path, "bench").records()
        return record.inference[0].budget, len(timed(tmp_path))

    assert run_with(Timing(seconds=1)) == ("reduced", 1)
    assert run_with(Timing(seconds=2)) == ("reduced", 1)
    assert run_with(BUDGETS["adaptive"]) == ("adaptive", 2)
    assert run_with(Timing()) == ("full", 3)
    assert run_with(BUDGETS["adaptive"]) == ("full", 3)
    assert run_with(Timing(seconds=1)) == ("full", 3)
    assert len(ran(tmp_path)) == 1


def test_methods_whose_protocol_leaves_timing_out_are_not_timed(tmp_path, workers):
    summary = run_all([make_cell("plain", timing=None)], tmp_path, workers=workers)
    assert statuses(summary) == {"plain": "ok"}
    assert ResultsFolder(tmp_path, "bench").records()[0].timing is None
    assert timed(tmp_path) == []


def test_rows_without_a_timing_are_measured_again(tmp_path, workers):
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
    output, _ = run.communicate(timeout=300)
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


def test_a_record_that_changed_while_its_method_was_timed_is_not_overwritten(tmp_path, workers):
    folder, (first, second) = ResultsFolder(tmp_path, "bench"), make_cells(["plain"], seeds=2)
    timed_elsewhere = RecordedTiming(session="theirs", rivals=["plain"], threads=1, steady=True)

    class OtherRun(NoProgress):
        notices = ()

        def started(self, activity, cell):
            if activity == "timing":
                record = folder.read(first.key)
                folder.write(record.model_copy(update={"inference": [ROW], "timing": timed_elsewhere}))
                record = folder.read(second.key)
                folder.write(record.model_copy(update={"train": Train(steps=7, seconds=1.0, images_per_second=None)}))

        def notice(self, message):
            self.notices += (message,)

    other = OtherRun()
    run_all([first, second], tmp_path, workers=workers, listener=other)
    assert folder.read(first.key).timing == timed_elsewhere
    assert folder.read(second.key).train.steps == 7
    assert len(folder.read(second.key).inference) == 1
    assert other.notices == ("data / plain / seed 0 keeps its record, which has changed while its method was timed",)


def test_a_record_that_was_removed_while_its_method_was_timed_does_not_come_back(tmp_path, workers):
    folder, (cell,) = ResultsFolder(tmp_path, "bench"), make_cells(["plain"])

    class Remover(NoProgress):
        def started(self, activity, cell):
            if activity == "timing":
                folder.record_path(cell.key).unlink()

    with pytest.raises(RecordError, match="1 of the 1 records of this run are no longer in"):
        run_all([cell], tmp_path, workers=workers, listener=Remover())
    assert folder.records() == []
