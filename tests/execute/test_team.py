"""Processes of one cell, from outside: they end together, and their end has one cause."""

from __future__ import annotations

import time
from multiprocessing.connection import wait
from pathlib import Path

import pytest
from worker_functions import Play

from segbench.errors import LostProcessError
from segbench.execute import team as teams
from segbench.execute.team import start_team
from segbench.execute.worker import STOP
from segbench.execute.workers import Died, Failed, Finished, Limits, TimedOut

from ..conftest import PATIENCE  # noqa: TID252 - tests have no absolute name


@pytest.fixture
def begin(workers, tmp_path):
    """Start a team whose processes do what they are told to."""

    def begin(*parts, **limits):
        job = Play(parts=parts)
        return start_team(
            workers, "worker_functions:play", job, len(parts), tmp_path / "work", Limits(**limits), lease=None
        )

    return begin


def finish(team):
    """Return how a team ended, and what it reported."""
    deadline, events = time.monotonic() + PATIENCE, []
    while team.running:
        assert time.monotonic() < deadline, "the team never ended"
        wait(team.waitables, 0.05)
        events += team.events()
        team.enforce_limits()
    return team.outcome(), events


def test_the_first_process_answers_and_reports_for_all(begin, tmp_path):
    outcome, events = finish(begin("answers", "answers", "answers"))
    rank, folder, meeting = outcome.result
    assert (rank, folder) == (0, str(tmp_path / "work"))
    assert [event.fields["step"] for event in events] == [0]
    assert not Path(meeting).exists()


@pytest.mark.parametrize("parts", [("waits", "dies"), ("dies", "waits"), ("loses", "dies")])
def test_a_process_that_dies_ends_the_others_and_its_death_is_the_cause(begin, parts):
    outcome, _ = finish(begin(*parts))
    assert isinstance(outcome, Died)
    place = parts.index("dies") + 1
    assert outcome.failure.cause == f"process {place} of 2: killed by SIGKILL (often the system's out-of-memory killer)"


@pytest.mark.parametrize("parts", [("waits", "fails"), ("fails", "waits"), ("loses", "fails")])
def test_a_process_that_fails_ends_the_others_and_its_error_is_the_cause(begin, parts):
    outcome, _ = finish(begin(*parts))
    assert isinstance(outcome, Failed)
    assert outcome.failure.cause == "something is wrong"


def test_processes_that_only_lost_another_end_after_a_while(begin, monkeypatch):
    monkeypatch.setattr(teams, "_GRACE_SECONDS", 0.1)
    outcome, _ = finish(begin("waits", "loses"))
    assert isinstance(outcome.error, LostProcessError)


def test_time_is_up_for_all(begin):
    outcome, _ = finish(begin("waits", "waits", seconds=0.5))
    assert isinstance(outcome, TimedOut)


def test_the_first_process_is_asked_to_stop(begin):
    team = begin("stops", "answers")
    team.send(STOP)
    assert finish(team)[0] == Finished("stopped")


def test_a_team_that_is_killed_or_dropped_leaves_nothing(begin, until):
    team = begin("waits", "waits")
    meeting = Path(team._meeting.name)
    until((meeting / "waiting").exists)
    team.kill()
    assert isinstance(finish(team)[0], Died)
    assert not meeting.exists()
    dropped = begin("waits", "waits")
    dropped.end()
    assert not Path(dropped._meeting.name).exists()
