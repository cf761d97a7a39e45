"""Signals as requests.

Workers that say nothing for long.
"""

from __future__ import annotations

import os
import signal
import threading

import pytest

from segbench.execute import pool as silence
from segbench.execute.pool import Interrupt, Pool, SilenceWatch, place_in
from segbench.execute.worker import TURN
from segbench.execute.workers import Limits


def test_the_first_signal_requests_and_the_second_insists():
    with Interrupt() as interrupt:
        assert (interrupt.requested, interrupt.insisted) == (False, False)
        os.kill(os.getpid(), signal.SIGINT)
        assert (interrupt.requested, interrupt.insisted) == (True, False)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (interrupt.requested, interrupt.insisted) == (True, True)


def test_signals_have_their_old_meaning_afterwards():
    with Interrupt():
        pass
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_outside_the_main_thread_nothing_is_changed():
    found = []
    before = signal.getsignal(signal.SIGINT)

    def enter():
        with Interrupt() as interrupt:
            found.append((interrupt.requested, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [(False, before)]


class Quiet:
    """A worker that has been silent for a while, and stands nowhere in particular."""

    silent_seconds = 0.0

    def stacks(self):
        return ""


def remarks_at(seconds):
    """Return at which of these times of silence there is a remark."""
    watch, worker, told = SilenceWatch(), Quiet(), []
    for worker.silent_seconds in seconds:
        if watch.remark("cell", worker) is not None:
            told.append(worker.silent_seconds)
    return told


def test_silence_is_told_after_two_minutes_and_whenever_it_has_doubled():
    assert remarks_at(range(0, 1000, 10)) == [120, 240, 480, 960]


def test_who_has_spoken_meanwhile_is_told_anew():
    assert remarks_at([100, 130, 200, 5, 119, 121, 200]) == [130, 121]


def test_a_remark_tells_for_how_long_and_what_can_be_done():
    worker = Quiet()
    worker.silent_seconds = 130.0
    told = SilenceWatch().remark("cell", worker)
    assert told == "nothing heard for 2 min 10 s (Ctrl-C stops the run, --timeout SECONDS ends such cells)"


def test_the_innermost_code_of_a_plugin_is_where_a_worker_stands(broken_plugin):
    stacks = (
        'Thread 0x1 (most recent call first):\n  File "/lib/threading.py", line 3 in wait\n\n'
        'Current thread 0x2 (most recent call first):\n  File "/lib/torch/conv.py", line 4 in forward\n'
        f'  File "{broken_plugin}/network.py", line 12 in hang\n  File "/segbench/train.py", line 9 in train\n'
    )
    assert place_in(stacks) == "plugin 'broken': network.py, line 12, in hang"


def test_without_a_plugin_it_is_the_innermost_code_and_without_a_stack_nothing(broken_plugin):
    assert place_in('Thread 0x1 (most recent call first):\n  File "/lib/x.py", line 3 in f\n') == "x.py, line 3, in f"
    assert place_in("Fatal Python error: none") == ""


@pytest.fixture
def heard(workers, tmp_path, monkeypatch):
    """Have a pool of one worker, for which half a second of silence is long, and return the first thing it reports."""
    monkeypatch.setattr(silence, "SILENT_SECONDS", 0.5)

    def heard(function):
        events = []
        with Pool(workers, 1, Interrupt(), lambda key, event: events.append(event)) as pool:
            pool.start("one", f"worker_functions:{function}", None, tmp_path / "work", Limits(30))
            while pool.is_busy and not [event for event in events if event.name == "warning"]:
                pool.advance()
        return events

    return heard


def test_a_plugin_that_hangs_is_told_while_it_hangs(heard, broken_plugin):
    message = heard("hangs_in_plugin")[-1].fields["message"]
    assert message.startswith("nothing heard for ")
    assert "it stands in plugin 'broken': network.py, line " in message
    assert ", in hang (" in message


def test_who_waits_for_its_turn_is_not_silent(heard):
    assert [event.name for event in heard("waits_for_its_turn")] == [TURN]
