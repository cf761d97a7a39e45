"""The worker processes that train one cell together: to the pool they are one worker, whose end has one cause."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.errors import LostProcessError

from .temporary import temporary_folder
from .workers import Died, Failed, Finished

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from tempfile import TemporaryDirectory

    from segbench.store.leases import Lease

    from .workers import Event, Limits, Outcome, Running, Workers


# Once processes say that they have lost another one, the time until its own end is known.
_GRACE_SECONDS = 5.0


def start_team(
    workers: Workers, function: str, job: Any, processes: int, workplace: Path, limits: Limits, lease: Lease | None
) -> Team:
    """Start so many processes of one job, each with its rank and the folder in which they meet.

    The first one works in the workplace, the others in that folder, which is removed at the end; each may hold an equal
    part of the memory.
    """
    meeting = temporary_folder()
    share = replace(limits, memory=None if limits.memory is None else limits.memory // processes)
    members: list[Running] = []
    try:
        for rank in range(processes):
            place = workplace if rank == 0 else Path(meeting.name) / str(rank)
            its_job = job.model_copy(update={"rank": rank, "meeting": meeting.name})
            members.append(workers.start(function, its_job, place, share, lease))
    except BaseException:
        for member in members:
            member.end()
        meeting.cleanup()
        raise
    return Team(members, meeting)


class Team:
    """Workers that run and end together; the first one speaks for all.

    Where one fails or dies the others are killed, and its end is that of the team.
    """

    def __init__(self, members: Sequence[Running], meeting: TemporaryDirectory[str]) -> None:
        self._members, self._meeting = members, meeting
        self._outcomes: dict[int, Outcome] = {}
        self._cause: Outcome | None = None
        self._lost: float | None = None  # since when one has lost another

    @property
    def waitables(self) -> list[Any]:
        """What `multiprocessing.connection.wait` waits for; see `Worker.waitables`."""
        return [waitable for _, member in self._left() for waitable in member.waitables]

    @property
    def running(self) -> bool:
        """Whether a process has not ended yet."""
        return len(self._outcomes) < len(self._members)

    @property
    def silent_seconds(self) -> float:
        """For how long the first process has reported nothing; 0 once it has ended."""
        return 0.0 if 0 in self._outcomes else self._members[0].silent_seconds

    def events(self) -> Iterator[Event]:
        """Yield the events of the first process that have arrived, and see which processes have ended."""
        for rank, member in self._left():
            running = member.running
            for event in member.events():
                if rank == 0:
                    yield event
            if not running:
                self._end(rank, member.outcome())

    def _left(self) -> list[tuple[int, Running]]:
        return [(rank, member) for rank, member in enumerate(self._members) if rank not in self._outcomes]

    def _end(self, rank: int, outcome: Outcome) -> None:
        if isinstance(outcome, Died):
            cause = f"process {rank + 1} of {len(self._members)}: {outcome.failure.cause}"
            outcome = replace(outcome, failure=outcome.failure.model_copy(update={"cause": cause}))
        self._outcomes[rank] = outcome
        if isinstance(outcome, Failed) and isinstance(outcome.error, LostProcessError):
            self._lost = self._lost or time.monotonic()
        elif self._cause is None and not isinstance(outcome, Finished):
            self._cause = outcome
            self.kill()

    def enforce_limits(self) -> None:
        """Kill processes that have used more time or memory than allowed, or that wait for one that has ended."""
        for _, member in self._left():
            member.enforce_limits()
        if self._lost is not None and self._cause is None and time.monotonic() - self._lost > _GRACE_SECONDS:
            self._cause = next(one for one in self._outcomes.values() if not isinstance(one, Finished))
            self.kill()

    def send(self, message: Any) -> None:
        """Send the first process something to wait for; asked to stop early, it tells the others."""
        if 0 not in self._outcomes:
            self._members[0].send(message)

    def kill(self) -> None:
        """Kill all processes and what they have started."""
        for _, member in self._left():
            member.kill()

    def stacks(self) -> str:
        """Return the stacks of the first process; see `Worker.stacks`."""
        return "" if 0 in self._outcomes else self._members[0].stacks()

    def end(self) -> None:
        """Kill all processes without an outcome, and remove what they leave."""
        self.kill()
        for _, member in self._left():
            member.end()
        self._meeting.cleanup()

    def outcome(self) -> Outcome:
        """Return how the team ended, and remove what it leaves; call it once, after it ended and after `events`."""
        self._meeting.cleanup()
        failures = (one for one in self._outcomes.values() if not isinstance(one, Finished))
        return self._cause or next(failures, self._outcomes[0])
