"""Signals as requests."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from segbench.execute.interrupt import Interrupt


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
