"""The time of a worker: what ends it early while cells are left, and cells that no worker has time enough for."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from segbench.store.record import Failure

from .pool import Interrupt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from segbench.store.record import Record

# Before the end of the time: enough for a step in progress, a checkpoint, and what is killed after a minute.
_AHEAD_SECONDS = 120.0
_NO_FURTHER = "the time of its worker was up before it had a checkpoint further than step"


class TimeLimit(Interrupt):
    """What ends a worker early beside Ctrl-C and SIGTERM: SIGUSR1, or that its `seconds` since now are nearly over."""

    def __init__(self, seconds: float | None = None) -> None:
        super().__init__()
        self._began = time.monotonic()
        self._end = None if seconds is None else self._began + max(seconds / 2, seconds - _AHEAD_SECONDS)
        self._signalled = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note SIGUSR1 while the block lasts, which would else kill this process."""
        if sys.platform == "win32":
            yield
            return
        previous = signal.signal(signal.SIGUSR1, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGUSR1, previous)

    @property
    def is_up(self) -> bool:
        """Whether the time is up."""
        return self._signalled or (self._end is not None and time.monotonic() > self._end)

    @property
    def requested(self) -> bool:
        """Whether an early end is asked for."""
        return super().requested or self.is_up

    def judge(self, record: Record, before: Record | None, began: float) -> Record:
        """Return the record of a cell that was stopped because the time was up, as it is to be published.

        `before` is the record it had, `began` when it began by `time.monotonic`. Where it had most of the time of its
        worker and yet no checkpoint further than before, its record says so; at the second time in turn it has failed,
        as it would never end.
        """
        if not self.is_up or record.status != "interrupted":
            return record
        tried = before if before is not None and before.status == "interrupted" else None
        record = record if record.train or tried is None else record.model_copy(update={"train": tried.train})
        had_most = 2 * (time.monotonic() - began) > time.monotonic() - self._began
        if _steps(record) > _steps(tried) or not had_most:
            return record
        cause = f"{_NO_FURTHER} {_steps(record)}"
        if tried is None or tried.error is None or not tried.error.cause.startswith(_NO_FURTHER):
            return record.model_copy(update={"error": Failure(cause=cause)})
        twice = f"twice in turn {cause}; give workers more time, or the cell a smaller budget"
        return record.model_copy(update={"status": "failed", "error": Failure(cause=twice)})

    def _note(self, number: int, frame: Any) -> None:
        self._signalled = True


def _steps(record: Record | None) -> int:
    """Return the step that the checkpoint of a stopped cell is at."""
    return record.train.steps if record is not None and record.train is not None else 0
