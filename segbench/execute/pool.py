"""Up to so many workers at once."""

from __future__ import annotations

import time
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Self

from .silence import SilenceWatch
from .workers import Event

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .interrupt import Interrupt
    from .outcome import Outcome
    from .workers import Limits, Worker, Workers

_LOOK_SECONDS = 0.2  # how often limits and signals are looked at
_STOP_SECONDS = 60.0  # for a step in progress and a checkpoint, once an early end is asked for


class Pool:
    """Workers at work, each under the key of its cell; those left at the end are killed.

    `report` hears what they emit, and a "warning" of one that has been silent for long.
    """

    def __init__(self, workers: Workers, size: int, interrupt: Interrupt, report: Callable[[str, Event], None]) -> None:
        self._workers, self._size, self._interrupt, self._report = workers, size, interrupt, report
        self._running: dict[str, Worker] = {}
        self._silence = SilenceWatch()
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

    def start(self, key: str, function: str, job: Any, workplace: Path, limits: Limits) -> None:
        """Start a worker; see `Workers.start`."""
        self._running[key] = self._workers.start(function, job, workplace, limits)

    def send(self, key: str, message: Any) -> None:
        """Send a worker a message; see `Worker.send`."""
        self._running[key].send(message)

    def __contains__(self, key: str) -> bool:
        return key in self._running

    def __len__(self) -> int:
        return len(self._running)

    def drop(self, key: str) -> None:
        """Kill one worker without asking how it ended."""
        self._running.pop(key).end()

    def advance(self) -> list[tuple[str, Outcome]]:
        """Wait until something happens, at most a moment; pass events on, and return the outcomes of what has ended."""
        wait([waitable for worker in self._running.values() for waitable in worker.waitables], _LOOK_SECONDS)
        self._heed_interrupt()
        ended = []
        for key, worker in list(self._running.items()):
            running = worker.running
            for event in worker.events():
                self._report(key, event)
            if running:
                worker.enforce_limits()
                if (remark := self._silence.remark(key, worker)) is not None:
                    self._report(key, Event("warning", {"message": remark}))
            else:
                del self._running[key]
                ended.append((key, worker.outcome()))
        return ended

    def _heed_interrupt(self) -> None:
        if not self._interrupt.requested:
            return
        if self._stop_asked is None:
            self._stop_asked = time.monotonic()
            for worker in self._running.values():
                worker.request_stop()
        if self._interrupt.insisted or time.monotonic() - self._stop_asked > _STOP_SECONDS:
            for worker in self._running.values():
                worker.kill()
