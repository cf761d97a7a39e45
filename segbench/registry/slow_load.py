"""Who keeps the user waiting: named while a plugin is still being loaded."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOW_SECONDS = 2.0


@contextmanager
def timed_load(who: str, plugin: str) -> Iterator[list[float]]:
    """Say on stderr who is still being loaded after `SLOW_SECONDS`; the list then holds the seconds it took."""
    taken: list[float] = []
    message = f"{who} has been loading for {SLOW_SECONDS:g} s and goes on; `--disable {plugin}` leaves it out"
    stderr = sys.stderr  # the plugin may replace it
    watch = threading.Timer(SLOW_SECONDS, print, (message,), {"file": stderr, "flush": True})
    watch.daemon = True
    started = time.perf_counter()
    watch.start()
    try:
        yield taken
    finally:
        watch.cancel()
        taken.append(time.perf_counter() - started)
