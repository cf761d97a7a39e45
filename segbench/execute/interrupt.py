"""Ctrl-C and SIGTERM as a request that the run answers in its own time."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """While it is entered, the first signal asks for an early end and the second insists on it.

    Signals reach the main thread only; entered in another thread it never sees one.
    """

    def __init__(self) -> None:
        self._count = 0
        self._previous: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether an early end is asked for."""
        return self._count > 0

    @property
    def insisted(self) -> bool:
        """Whether it was asked for twice: nothing more is waited for."""
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
