from __future__ import annotations

import os
import signal
import time

import pytest
from run_functions import make_cell

from segbench.execute import time_limit
from segbench.execute.jobs import unfinished_record
from segbench.execute.pool import Interrupt
from segbench.execute.time_limit import TimeLimit
from segbench.store.record import Failure, Train


def stopped(steps=None, cause="the run was stopped"):
    record = unfinished_record(make_cell("unet"), "interrupted", Failure(cause=cause), {})
    train = None if steps is None else Train(steps=steps, seconds=1.0, images_per_second=None)
    return record.model_copy(update={"train": train})


@pytest.fixture
def limit():
    """A time limit that is up, of a worker that has done nothing but the cell that it is asked about."""
    limit = TimeLimit()
    with limit.listening():
        os.kill(os.getpid(), signal.SIGUSR1)
        yield limit


def test_the_time_is_up_two_minutes_before_its_end_or_when_half_of_a_short_one_has_gone(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(time_limit.time, "monotonic", lambda: clock[0])
    for seconds, up_after in [(3600.0, 3480.0), (10.0, 5.0)]:
        limit = TimeLimit(seconds)
        clock[0] += up_after
        assert not limit.is_up
        clock[0] += 0.1
        assert limit.is_up
        assert limit.requested
    assert not TimeLimit().is_up


def test_sigusr1_says_that_the_time_is_up_and_that_nothing_is_insisted_on(limit):
    assert limit.is_up
    assert limit.requested
    assert not limit.insisted


def test_a_cell_that_came_further_is_left_as_it_is(limit):
    record = stopped(steps=8)
    assert limit.judge(record, None, 0.0) == record
    assert limit.judge(record, stopped(steps=5), 0.0) == record


def test_a_cell_that_came_no_further_says_so_and_has_failed_the_second_time(limit):
    first = limit.judge(stopped(steps=5), stopped(steps=5), 0.0)
    cause = "the time of its worker was up before it had a checkpoint further than step 5"
    assert (first.status, first.error.cause) == ("interrupted", cause)
    second = limit.judge(stopped(steps=5), first, 0.0)
    expected = f"twice in turn {cause}; give workers more time, or the cell a smaller budget"
    assert (second.status, second.error.cause) == ("failed", expected)


def test_a_cell_that_is_killed_keeps_the_step_that_it_had(limit):
    first = limit.judge(stopped(), stopped(steps=5), 0.0)
    assert (first.status, first.train.steps) == ("interrupted", 5)


def test_a_cell_that_began_late_is_not_blamed(limit):
    record = stopped()
    assert limit.judge(record, None, time.monotonic() + 1.0) == record


def test_a_cell_that_is_stopped_for_another_reason_is_not_blamed():
    record = stopped()
    assert TimeLimit().judge(record, record, 0.0) == record
    assert Interrupt().judge(record, record, 0.0) == record
