"""One lock for each device of this machine, so that no two processes time on it at once.

Methods that are timed against each other: each in a process of its own, blocks of work dealt in turn.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from segbench.errors import OutOfMemoryError
from segbench.store.record import Failure, Timing

from .jobs import ENGINE
from .pool import Pool
from .processes import fair_share
from .worker import TURN
from .workers import Died, Failed, Finished, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from segbench.engine.job import Measured, Part, TimingJob, TimingResult

    from .pool import Interrupt
    from .progress import Listener
    from .workers import Event, Outcome, Workers


_WAIT_SECONDS = 0.5


if sys.platform != "win32":
    import fcntl


@contextmanager
def device_lock(device: str, wait: Callable[[], bool]) -> Iterator[bool]:
    """Hold the lock of a device; yields whether it was had.

    While another process has it, `wait` is called again and again; it waits a moment and tells whether to go on trying.
    The kernel drops the lock with the process that holds it.
    """
    file = _open(lock_path(device))
    try:
        while not (had := _try_lock(file)) and wait():
            pass
        yield had
    finally:
        os.close(file)


def waiting_for(device: str, listener: Listener, interrupt: Interrupt) -> Callable[[], bool]:
    """Return what to do while another process has a device: say so once, and wait until it ends or Ctrl-C."""
    told: list[str] = []

    def wait() -> bool:
        if not told:
            told.append(f"waiting for another run that is timing on {device}")
            listener.notice(told[0])
        time.sleep(_WAIT_SECONDS)
        return not interrupt.requested

    return wait


def lock_path(device: str) -> Path:
    """Return the lock file of a device; all users of a machine share it."""
    return Path(tempfile.gettempdir()) / f"segbench-{device.replace(':', '-')}.lock"


def _open(path: Path) -> int:
    """Open the lock file for reading, which is all that another user's file may allow and all that a lock needs."""
    with suppress(FileNotFoundError):
        return os.open(path, os.O_RDONLY)
    return os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)


def _try_lock(file: int) -> bool:
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@dataclass(frozen=True)
class Timed:
    """What timing gave: results by rival, and why the others have none; nothing at all if it was interrupted."""

    results: Mapping[str, TimingResult] = field(default_factory=dict)
    failures: Mapping[str, Failure] = field(default_factory=dict)


def time_rivals(
    rivals: Mapping[str, TimingJob],
    *,
    workers: Workers,
    limits: Limits,
    interrupt: Interrupt,
    listener: Listener,
    function: str = ENGINE.timing,
) -> Timed:
    """Time methods in turn on one device, which nothing else should use meanwhile; the order is that of `rivals`.

    The keys are the names of the methods as `Timing.rivals` tells them, all jobs name one device, and the caller holds
    its lock (`device_lock`). `limits.seconds` is for building, and for each turn beside what the budget gives it;
    `limits.memory` for a rival that is alone: together they share what the machine has. Those that run out of memory
    beside each other are timed once more, alone, in a session of their own. A rival that fails costs the others
    nothing. The listener hears of the activity "timing". After Ctrl-C nothing is returned: half a measurement is none.
    """
    together = Session(rivals, workers, _shared(limits, len(rivals)), interrupt, listener, function)
    together.run()
    sessions = [together]
    for name in together.out_of_memory if len(rivals) > 1 else ():
        listener.notice(f"{name} ran out of memory beside the other methods and is timed alone")
        alone = Session({name: rivals[name]}, workers, limits, interrupt, listener, function)
        alone.run()
        sessions.append(alone)
    if interrupt.requested:
        return Timed()
    results = {name: result for session in sessions for name, result in session.results().items()}
    failures = {name: failure for session in sessions for name, failure in session.failures.items()}
    return Timed(
        {name: results[name] for name in rivals if name in results},
        {name: failures[name] for name in rivals if name not in results},
    )


def deal(waiting: Mapping[str, Part], give_turn: Callable[[str], Part | None]) -> None:
    """Give turns until nobody waits: those whose next part comes first get one each, in their order, again and again.

    `give_turn` lets one take its turn and returns the part that comes next for it, or None if it has left.
    """
    following = dict(waiting)
    while following:
        first = min(following.values())
        for name in [name for name, part in following.items() if part == first]:
            part = give_turn(name)
            if part is None:
                del following[name]
            else:
                following[name] = part


class Session:
    """One session of timing: all rivals at the table, and what they have measured."""

    def __init__(
        self,
        rivals: Mapping[str, TimingJob],
        workers: Workers,
        limits: Limits,
        interrupt: Interrupt,
        listener: Listener,
        function: str,
    ) -> None:
        self.failures: dict[str, Failure] = {}
        self.out_of_memory: list[str] = []
        self._rivals, self._workers, self._limits, self._function = rivals, workers, limits, function
        self._interrupt, self._listener = interrupt, listener
        self._name = secrets.token_hex(4)
        self._next: dict[str, Part] = {}
        self._measured: dict[str, Measured] = {}

    def run(self) -> None:
        """Start all rivals and deal turns until each has left or the run is interrupted."""
        with (
            TemporaryDirectory(prefix="segbench-") as folder,
            # Rivals wait for each other, so their time is limited turn by turn, and not as a whole.
            Pool(self._workers, len(self._rivals), self._interrupt, self._heard) as pool,
        ):
            for place, (name, job) in enumerate(self._rivals.items()):
                self._listener.started("timing", job.cell)
                limits = Limits(memory=self._limits.memory)
                pool.start(name, self._function, job, Path(folder) / str(place), limits)
            built = {name: self._answer(pool, name, 0.0) for name in self._rivals}
            deal({name: part for name, part in built.items() if part}, lambda name: self._turn(pool, name))

    def results(self) -> dict[str, TimingResult]:
        """Return what was measured, by rival; the rivals of a session are those that it gave results of."""
        from segbench.engine.job import TimingResult

        names = [name for name in self._rivals if name in self._measured]
        results = {}
        for name in names:
            found = self._measured[name]
            timing = Timing(
                session=self._name,
                rivals=names,
                threads=found.threads,
                steady=found.steady,
                sweep=list(found.sweep),
                before=found.before,
                after=found.after,
                energy=found.energy,
            )
            results[name] = TimingResult(
                inference=found.inference, inference_peak_bytes=found.inference_peak_bytes, timing=timing
            )
        return results

    def _turn(self, pool: Pool, name: str) -> Part | None:
        """Let a rival take its turn; return what comes next for it, None if it has left."""
        if name in pool:
            pool.send(name, len(pool))
        return self._answer(pool, name, self._rivals[name].cell.method.protocol.timing.max_seconds)

    def _answer(self, pool: Pool, name: str, budget: float) -> Part | None:
        """Wait until a rival waits for its next turn or has left; it may take its budget and the time limit."""
        allowed = None if self._limits.seconds is None else self._limits.seconds + budget
        started = time.monotonic()
        while name in pool and name not in self._next and not self._interrupt.requested:
            for ended, outcome in pool.advance():
                self._left(ended, outcome)
            if name in pool and allowed is not None and time.monotonic() - started > allowed:
                pool.drop(name)
                self._fail(name, Failure(cause=f"timed out: a turn took longer than {allowed:g} s"))
        return self._next.pop(name, None)

    def _heard(self, name: str, event: Event) -> None:
        if event.name != TURN:
            self._listener.reported("timing", self._rivals[name].cell, event)
            return
        self._next[name] = event.fields["part"]
        if event.fields["measured"] is not None:
            self._measured[name] = event.fields["measured"]

    def _left(self, name: str, outcome: Outcome) -> None:
        """Note how a rival ended; what it had measured before a failure counts."""
        if not isinstance(outcome, Finished):
            if _lacked_memory(outcome) and name not in self._measured:
                self.out_of_memory.append(name)
            self._fail(name, outcome.failure)
        elif outcome.result is not None:
            self._measured[name] = outcome.result
            self._listener.ended("timing", self._rivals[name].cell, "ok", None)

    def _fail(self, name: str, failure: Failure) -> None:
        """Note a failure; after the rows were complete it cost only what comes after them."""
        self._next.pop(name, None)
        complete = name in self._measured
        if complete:
            self._listener.notice(f"timing of {name}: nothing after the rows was measured to the end: {failure.cause}")
        else:
            self.failures[name] = failure
        self._listener.ended("timing", self._rivals[name].cell, "ok" if complete else "failed", self.failures.get(name))


def _shared(limits: Limits, rivals: int) -> Limits:
    """Return the limits of each of so many that lie in memory together."""
    known = [memory for memory in (limits.memory, fair_share(rivals)) if memory is not None]
    return Limits(limits.seconds, min(known, default=None))


def _lacked_memory(outcome: Outcome) -> bool:
    """Tell whether a worker failed for lack of memory, or was killed, which most likely had that reason."""
    if isinstance(outcome, Failed):
        return isinstance(outcome.error, OutOfMemoryError)
    return isinstance(outcome, Died) and (
        "out of memory" in outcome.failure.cause or "SIGKILL" in outcome.failure.cause
    )
