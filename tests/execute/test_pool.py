"""Signals as requests, and workers that say nothing for long."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from segbench.execute import pool as pools
from segbench.execute.pool import Interrupt, Pool, StallWatch
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
    """Return at which of these times of silence there is a warning."""
    watch, worker, reported = StallWatch(), Quiet(), []
    for worker.silent_seconds in seconds:
        if watch.warning("cell", worker) is not None:
            reported.append(worker.silent_seconds)
    return reported


def test_silence_is_reported_after_two_minutes_and_whenever_it_has_doubled():
    assert remarks_at(range(0, 1000, 10)) == [120, 240, 480, 960]


def test_a_worker_that_has_reported_meanwhile_is_warned_of_again():
    assert remarks_at([100, 130, 200, 5, 119, 121, 200]) == [130, 121]


def test_a_warning_says_for_how_long_and_what_can_be_done():
    worker = Quiet()
    worker.silent_seconds = 130.0
    message = StallWatch().warning("cell", worker)
    assert message == "nothing heard for 2 min 10 s (Ctrl-C stops the run, --timeout SECONDS ends such cells)"


@pytest.fixture
def heard(workers, tmp_path, monkeypatch):
    """Have a pool of one worker, for which half a second of silence is long, and return the first thing it reports."""
    monkeypatch.setattr(pools, "STALL_SECONDS", 0.5)

    def heard(function):
        events = []
        with Pool(1, Interrupt(), lambda key, event: events.append(event)) as pool:
            pool.add("one", workers.start(f"worker_functions:{function}", None, tmp_path / "work", Limits(30)))
            while pool.is_busy and not [event for event in events if event.name == "warning"]:
                pool.advance()
        return events

    return heard


def test_a_plugin_that_hangs_is_named_while_it_hangs(heard, broken_plugin):
    message = heard("hangs_in_plugin")[-1].fields["message"]
    assert message.startswith("nothing heard for ")
    assert "it runs plugin 'broken': network.py, line " in message
    assert ", in hang (" in message


def test_a_worker_that_waits_for_its_turn_is_not_silent(heard):
    assert [event.name for event in heard("waits_for_its_turn")] == [TURN]
