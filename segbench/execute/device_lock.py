"""One lock for each device of this machine, so that no two processes time on it at once."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .interrupt import Interrupt
    from .listener import Listener

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
