"""Several workers at once: their limits, an early end on Ctrl-C and SIGTERM, warnings of those that seem to hang."""

from __future__ import annotations

import signal
import threading
import time
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Self

from .blame import describe_place
from .progress import format_duration
from .worker import STOP
from .workers import Died, Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from segbench.store.record import Record

    from .progress import Listener
    from .workers import Outcome, Running


CHECK_SECONDS = 0.2  # between two checks of limits and signals
_STOP_SECONDS = 60.0  # for a step in progress and a checkpoint, once an early end is asked for
# Training reports twice a second; evaluating, compiling and building may report nothing for this long.
STALL_SECONDS = 120.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Pool:
    """Up to `size` workers, each under the key of its cell; those left at the end are killed.

    `report` gets the events that they emit, and a "warning" of one that has reported nothing for long.
    """

    def __init__(self, size: int, interrupt: Interrupt, report: Callable[[str, Event], None]) -> None:
        self._size, self._interrupt, self._report = size, interrupt, report
        self._running: dict[str, Running] = {}
        self._stalls = StallWatch()
        self._stop_asked: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._running.values():
            worker.end()
        self._running.clear()

    @property
    def has_room(self) -> bool:
        """Whether another worker may start."""
        return len(self._running) < self._size

    @property
    def is_busy(self) -> bool:
        """Whether any worker runs."""
        return bool(self._running)

    def add(self, key: str, worker: Running) -> None:
        """Take a worker in that has just been started."""
        self._running[key] = worker

    def run_all(self, waiting: list[str], start: Callable[[str], Running]) -> Iterator[tuple[str, Outcome]]:
        """Start a worker for each key that waits, as there is room, and yield the outcomes until an early end.

        Whoever is given an outcome may let its key wait again.
        """
        while (waiting or self.is_busy) and not self._interrupt.requested:
            while waiting and self.has_room:
                key = waiting.pop(0)
                self.add(key, start(key))
            yield from self.advance()

    def send(self, key: str, message: Any) -> None:
        """Send a worker a message; see `Worker.send`."""
        self._running[key].send(message)

    def __iter__(self) -> Iterator[str]:
        return iter(self._running)

    def __contains__(self, key: str) -> bool:
        return key in self._running

    def __len__(self) -> int:
        return len(self._running)

    def drop(self, key: str) -> None:
        """Kill one worker without asking how it ended."""
        self._running.pop(key).end()

    def advance(self) -> list[tuple[str, Outcome]]:
        """Wait until something happens, at most a moment; pass events on, and return the outcomes of what has ended."""
        wait([waitable for worker in self._running.values() for waitable in worker.waitables], CHECK_SECONDS)
        self._stop_if_asked()
        ended = []
        for key, worker in list(self._running.items()):
            running = worker.running
            for event in worker.events():
                self._report(key, event)
            if running:
                worker.enforce_limits()
                if (message := self._stalls.warning(key, worker)) is not None:
                    self._report(key, Event("warning", {"message": message}))
            else:
                del self._running[key]
                ended.append((key, worker.outcome()))
        return ended

    def _stop_if_asked(self) -> None:
        if not self._interrupt.requested:
            return
        if self._stop_asked is None:
            self._stop_asked = time.monotonic()
            for worker in self._running.values():
                worker.send(STOP)
        if self._interrupt.insisted or time.monotonic() - self._stop_asked > _STOP_SECONDS:
            for worker in self._running.values():
                worker.kill()


class Interrupt:
    """Ctrl-C and SIGTERM while it is entered: the first asks for an early end, the second insists on it.

    Only the main thread gets signals; entered in another thread, nothing is ever requested.
    """

    def __init__(self) -> None:
        self._count = 0
        self._previous: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether an early end is asked for."""
        return self._count > 0

    def judge(self, record: Record, before: Record | None, began: float) -> Record:
        """Return the record of a cell that was stopped, as it is to be published; see `TimeLimit.judge`."""
        return record

    @property
    def insisted(self) -> bool:
        """Whether an early end was asked for twice, so that nothing is waited for any more."""
        return self._count > 1

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._count_one) for number in _SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _count_one(self, number: int, frame: FrameType | None) -> None:
        self._count += 1


class SecondChance:
    """One more try, and no more, for what a worker did that died, since somebody may have killed it."""

    def __init__(self, interrupt: Interrupt, listener: Listener) -> None:
        self._interrupt, self._listener = interrupt, listener
        self._given: set[str] = set()

    def give(self, what: str, outcome: Outcome) -> bool:
        """Return whether to try once more, and tell so."""
        if not isinstance(outcome, Died) or what in self._given or self._interrupt.requested:
            return False
        self._given.add(what)
        self._listener.notice(f"{what}: {outcome.failure.cause}; it is tried once more")
        return True

    def give_for_server(self, what: str, outcome: Outcome) -> bool:
        """Do the same where it was not the worker itself that was killed, but the server that had started it."""
        return isinstance(outcome, Died) and outcome.with_server and self.give(what, outcome)


class StallWatch:
    """Warns of workers that report nothing: after two minutes, and again whenever that time has doubled."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def warning(self, name: str, worker: Running) -> str | None:
        """Say how long a worker has been silent and which line it runs, if a warning is due."""
        seconds = worker.silent_seconds
        if seconds < STALL_SECONDS:
            self._due.pop(name, None)
        if seconds < self._due.get(name, STALL_SECONDS):
            return None
        self._due[name] = 2 * seconds
        place = describe_place(worker.stacks())
        return (
            f"nothing heard for {format_duration(seconds)}{place and f'; it runs {place}'} "
            "(Ctrl-C stops the run, --timeout SECONDS ends such cells)"
        )
