"""Methods timed interleaved: real worker processes that do what the name of their method says; the lock of a device."""

from __future__ import annotations

import stat
import tempfile
from contextlib import contextmanager

import pytest
from run_functions import make_cell

from segbench.config.timing import BUDGETS, Timing
from segbench.engine.job import TimingJob
from segbench.engine.timing.parts import Work, row_part, sweep_part
from segbench.errors import RecordError
from segbench.execute import timing_session
from segbench.execute.pool import Interrupt
from segbench.execute.progress import NoProgress
from segbench.execute.timing_session import device_lock, interleave, lock_path, time_interleaved, training_lock
from segbench.execute.workers import Limits


class Recorder(NoProgress):
    """A listener that remembers; with an interrupt it asks for an early end at the first thing that it hears."""

    def __init__(self, interrupt=None):
        self.ends, self.notices, self._interrupt = [], [], interrupt

    def reported(self, activity, cell, event):
        self._ask_for_an_end()

    def ended(self, activity, cell, status, failure):
        self.ends.append((activity, cell.method.name, status))

    def notice(self, message):
        self.notices.append(message)
        self._ask_for_an_end()

    def _ask_for_an_end(self):
        if self._interrupt:
            self._interrupt._count_one(2, None)


@contextmanager
def locking(device, listener=None, interrupt=None):
    listener = listener or Recorder()
    with device_lock({"device": device}, listener, interrupt or Interrupt()) as locked:
        yield locked
        assert locked == (listener.notices == [])


def test_a_free_device_is_locked_at_once():
    with locking("cuda:0") as locked:
        assert locked


def test_a_device_in_use_is_waited_for_until_an_early_end_is_asked_for():
    interrupt = Interrupt()
    listener = Recorder(interrupt)
    with locking("cpu"), locking("cpu", listener, interrupt) as locked:
        assert not locked
        assert listener.notices == ["waiting for another run on cpu"]


def test_another_device_is_free():
    with locking("cuda:0"), locking("cuda:1") as locked:
        assert locked


def test_a_device_is_free_again_after_an_error():
    with pytest.raises(RuntimeError), locking("cpu"):
        raise RuntimeError
    with locking("cpu") as locked:
        assert locked


def test_locks_lie_in_a_folder_of_the_users_own(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert stat.S_IMODE(lock_path({"device": "cpu"}).parent.stat().st_mode) == 0o700


def test_a_folder_that_others_can_enter_holds_no_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    lock_path({"device": "cpu"}).parent.chmod(0o777)
    with pytest.raises(RecordError, match="no folder that only this user can enter; remove it, or set TMPDIR"):
        lock_path({"device": "cpu"})


@pytest.fixture
def gpu(tmp_path, monkeypatch):
    """The environment in which a GPU has the number 0; its locks lie apart from those of real runs."""
    monkeypatch.setattr(timing_session, "GPU_LOCKS", tmp_path)
    return {"device": "cuda:0", "uuid": "1234", "gpus": {"cuda:0": "1234", "cuda:1": "5678"}}


def test_a_gpu_has_one_lock_whatever_its_number_and_wherever_temporary_files_lie(gpu, tmp_path, monkeypatch):
    before = lock_path(gpu)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "elsewhere"))
    assert lock_path({**gpu, "device": "cuda:3"}) == before
    assert lock_path({**gpu, "uuid": "5678"}) != before


def test_runs_share_a_gpu_to_train_and_wait_for_it_to_time(gpu):
    interrupt = Interrupt()
    listener = Recorder(interrupt)
    with training_lock(gpu, 1, listener, interrupt) as first, training_lock(gpu, 2, listener, interrupt) as second:
        assert first
        assert second
        assert listener.notices == []
        with device_lock(gpu, listener, interrupt) as locked:
            assert not locked
    assert listener.notices == ["waiting for another run on cuda:0"]


def test_no_run_trains_on_a_gpu_while_another_is_timing_there(gpu):
    interrupt = Interrupt()
    listener = Recorder(interrupt)
    with device_lock(gpu, Recorder(), Interrupt()), training_lock(gpu, 1, listener, interrupt) as shared:
        assert not shared
    assert listener.notices == ["waiting for another run on cuda:0"]


def test_cells_of_several_processes_share_a_gpu_for_each(gpu):
    interrupt = Interrupt()
    listener = Recorder(interrupt)
    with device_lock({"device": "cuda:1", "uuid": "5678"}, Recorder(), Interrupt()):
        with training_lock(gpu, 1, listener, interrupt) as shared:
            assert shared
        with training_lock(gpu, 2, listener, interrupt) as shared:
            assert not shared
    assert listener.notices == ["waiting for another run on cuda:1"]


def test_on_the_cpu_runs_train_while_others_are_timing():
    with locking("cpu"), training_lock({"device": "cpu"}, 2, Recorder(), Interrupt()) as shared:
        assert shared


WARM_UP, BLOCK = (row_part("forward", 1, work) for work in Work)


SWEEP = sweep_part(1)


def turns_of(**courses):
    """Return the order of the turns of methods that go through so many parts each."""
    turns = []
    left = {name: list(parts) for name, parts in courses.items()}

    def give_turn(name, part):
        assert part == left[name][0]
        turns.append((name, left[name].pop(0)))
        return left[name][0] if left[name] else None

    interleave({name: parts[0] for name, parts in left.items()}, give_turn)
    return turns


def test_blocks_are_interleaved():
    assert turns_of(a=[BLOCK] * 2, b=[BLOCK] * 2) == [("a", BLOCK), ("b", BLOCK)] * 2


def test_a_method_that_needs_more_blocks_goes_on_alone():
    turns = turns_of(a=[BLOCK], b=[BLOCK] * 3, c=[BLOCK] * 2)
    assert "".join(name for name, _ in turns) == "abcbcb"


def test_all_are_warm_before_any_block_and_have_their_blocks_before_any_sweeps():
    turns = turns_of(a=[WARM_UP, BLOCK, SWEEP], b=[WARM_UP, BLOCK, BLOCK, SWEEP])
    assert turns == [
        ("a", WARM_UP),
        ("b", WARM_UP),
        ("a", BLOCK),
        ("b", BLOCK),
        ("b", BLOCK),
        ("a", SWEEP),
        ("b", SWEEP),
    ]


def test_each_batch_size_is_done_with_by_all_before_the_next():
    one, eight, four = (row_part("forward", batch, Work.BLOCK) for batch in (1, 8, 4))
    turns = turns_of(a=[one, eight], b=[one, one, four])
    assert turns == [("a", one), ("b", one), ("b", one), ("b", four), ("a", eight)]


def jobs_of(folder, names):
    cells = {name: make_cell(name, timing=Timing(max_seconds=0.5)) for name in names}
    return {name: TimingJob(cell=cell, folder=str(folder / name), device="cpu") for name, cell in cells.items()}


@pytest.fixture
def session(workers, tmp_path):
    """Time methods; returns what came of it, `session.turns` are the turns as the methods noted them."""

    def session(*names, listener=None, **limits):
        timed = time_interleaved(
            jobs_of(tmp_path, names),
            workers=workers,
            limits=Limits(**limits),
            interrupt=Interrupt(),
            listener=listener or NoProgress(),
            function="timing_functions:take_turns",
        )
        notes = tmp_path / "turns"
        session.turns = notes.read_text().splitlines() if notes.exists() else []
        return timed

    return session


def test_methods_take_turns_in_processes_of_their_own(session):
    timed = session("plain", "quick")
    assert session.turns == [
        "plain warm_up",
        "quick warm_up",
        *["plain block", "quick block"] * 2,
        "plain block",
        "plain sweep",
        "quick sweep",
    ]
    assert timed.failures == {}
    assert list(timed.results) == ["plain", "quick"]


def test_methods_are_measured_until_their_ratio_and_their_median_latency_are_known(workers, tmp_path):
    seconds_left = []

    class Listening(NoProgress):
        def reported(self, activity, cell, event):
            seconds_left.append(event.fields["seconds_left"])

    cells = {name: make_cell(name, timing=BUDGETS["adaptive"]) for name in ("even", "late_median")}
    timed = time_interleaved(
        {name: TimingJob(cell=cell, folder=str(tmp_path / name), device="cpu") for name, cell in cells.items()},
        workers=workers,
        limits=Limits(),
        interrupt=Interrupt(),
        listener=Listening(),
        function="timing_functions:take_turns",
    )
    blocks = {name: len(result.inference[0].blocks) for name, result in timed.results.items()}
    assert blocks == {"even": 5, "late_median": 8}
    # Each has 6 rows of 1 s; that which is being measured does not count, and a method that has ended has none left.
    assert set(seconds_left) <= {2 * 6.0, 6.0 + 5.0, 2 * 5.0, 5.0}


def test_a_result_names_its_session_and_the_methods_of_it(session):
    results = session("plain", "quick").results
    timings = [result.timing for result in results.values()]
    assert timings[0].session == timings[1].session != session("plain").results["plain"].timing.session
    assert [timing.rivals for timing in timings] == [["plain", "quick"]] * 2
    assert timings[0].before.load == 0.5
    assert results["plain"].inference_peak_bytes == 77
    assert len(results["quick"].inference[0].blocks) == 2
    assert [point.batch for point in timings[0].sweep] == [1]


@pytest.mark.parametrize("name", ["broken", "fragile"])
def test_a_method_that_fails_does_not_disturb_the_others(session, name):
    listener = Recorder()
    timed = session("plain", name, "quick", listener=listener)
    assert list(timed.results) == ["plain", "quick"]
    assert timed.results["plain"].timing.rivals == ["plain", "quick"]
    cause = {"broken": "the network returns 2 channels for 3 classes", "fragile": "killed by SIGSEGV"}[name]
    assert timed.failures[name].cause.startswith(cause)
    assert sorted(listener.ends) == sorted(
        [("timing", name, "failed"), ("timing", "plain", "ok"), ("timing", "quick", "ok")]
    )


def test_a_method_that_runs_out_of_memory_beside_others_is_timed_alone_and_the_record_says_so(session):
    listener = Recorder()
    timed = session("plain", "greedy", listener=listener)
    assert timed.results["plain"].timing.rivals == ["plain"]
    assert timed.results["greedy"].timing.rivals == ["greedy"]
    assert timed.results["greedy"].timing.session != timed.results["plain"].timing.session
    assert timed.failures == {}
    assert listener.notices == ["greedy ran out of memory beside the other methods and is timed alone"]


def test_a_method_that_runs_out_of_memory_alone_has_failed(session):
    timed = session("plain", "untimable")
    assert list(timed.results) == ["plain"]
    assert timed.failures["untimable"].cause == "out of memory on cpu"


def test_a_failure_after_the_rows_leaves_the_rows(session):
    listener = Recorder()
    timed = session("late", listener=listener)
    assert timed.failures == {}
    assert timed.results["late"].timing.sweep == []
    assert len(timed.results["late"].inference) == 1
    assert len(listener.notices) == 1
    assert "nothing after the rows was measured to the end: killed by SIGSEGV" in listener.notices[0]


def test_a_turn_that_takes_too_long_ends_its_method_and_not_the_others(session):
    timed = session("stuck", "plain", seconds=2)
    assert timed.failures["stuck"].cause == "timed out: a turn took longer than 2.5 s"
    assert list(timed.results) == ["plain"]


def test_an_interrupted_session_gives_nothing(workers, tmp_path):
    interrupt = Interrupt()
    timed = time_interleaved(
        jobs_of(tmp_path, ["plain", "quick"]),
        workers=workers,
        limits=Limits(),
        interrupt=interrupt,
        listener=Recorder(interrupt),
        function="timing_functions:take_turns",
    )
    assert (timed.results, timed.failures) == ({}, {})
