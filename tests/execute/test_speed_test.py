"""Methods timed without training: real worker processes that do what the name of their method says."""

from __future__ import annotations

import os
import signal

import pytest
from run_functions import make_cell
from worker_functions import HERE

from segbench.errors import RecordError
from segbench.execute import speed_test
from segbench.execute.jobs import Functions
from segbench.execute.progress import NoProgress

FUNCTIONS = Functions(probe="worker_functions:probe", timing="timing_functions:take_turns")


@pytest.fixture
def time_untrained(workers, monkeypatch):
    """Time methods by name; the environments that were accepted are in `time_untrained.accepted`."""
    monkeypatch.setattr(speed_test, "start_workers", lambda cells: workers)

    def time_untrained(*names, listener=None, accept=None):
        return speed_test.time_untrained(
            [make_cell(name) for name in names],
            device="auto",
            size=(24, 32),
            listener=listener or NoProgress(),
            accept=accept or time_untrained.accepted.append,
            functions=FUNCTIONS,
        )

    time_untrained.accepted = []
    return time_untrained


def test_methods_are_timed_in_one_session_under_their_names(time_untrained):
    timed = time_untrained("plain", "quick", "broken")
    assert {name: len(result.inference[0].blocks) for name, result in timed.results.items()} == {"plain": 3, "quick": 2}
    assert {result.timing.session for result in timed.results.values()} == {timed.results["plain"].timing.session}
    assert timed.failures["broken"].cause == "the network returns 2 channels for 3 classes"
    assert time_untrained.accepted == [HERE]


def test_an_environment_that_is_not_accepted_ends_it_before_anything_is_timed(time_untrained):
    class Watch(NoProgress):
        def started(self, activity, cell):
            pytest.fail("a method was timed")

    def refuse(environment):
        raise RecordError(f"other machine: {environment['machine']}")

    with pytest.raises(RecordError, match="other machine: here"):
        time_untrained("plain", listener=Watch(), accept=refuse)


def test_an_early_end_leaves_no_result(time_untrained):
    class Impatient(NoProgress):
        def reported(self, activity, cell, event):
            os.kill(os.getpid(), signal.SIGINT)

    assert time_untrained("plain", "quick", listener=Impatient()) is None
