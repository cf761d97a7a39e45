"""How a worker process can end."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segbench.errors import SegbenchError
    from segbench.store.record import Failure


@dataclass(frozen=True)
class Finished:
    """The function returned `result`."""

    result: Any


@dataclass(frozen=True)
class Failed:
    """The function raised; `error` is what it raised if that was an error of segbench's own tree."""

    failure: Failure
    error: SegbenchError | None = None


@dataclass(frozen=True)
class Died:
    """The process ended without an answer: a signal, an exit, or more memory than allowed."""

    failure: Failure


@dataclass(frozen=True)
class TimedOut:
    """The process took longer than allowed and was killed."""

    failure: Failure


Outcome = Finished | Failed | Died | TimedOut

_EXPLANATIONS = {
    signal.SIGKILL: "often the system's out-of-memory killer",
    signal.SIGSEGV: "a crash in native code",
    signal.SIGBUS: "a memory-mapped file that shrank, or a full /dev/shm",
    signal.SIGABRT: "native code gave up",
    signal.SIGILL: "native code built for another processor",
    signal.SIGFPE: "a crash in native code",
}


def cause_of_death(exit_code: int) -> str:
    """Say in one line what an exit code means; negative ones are signals.

    >>> cause_of_death(-11), cause_of_death(3)
    ('killed by SIGSEGV (a crash in native code)', 'the worker process exited with code 3 before it answered')
    """
    if exit_code >= 0:
        return f"the worker process exited with code {exit_code} before it answered"
    try:
        number = signal.Signals(-exit_code)
    except ValueError:
        return f"killed by signal {-exit_code}"
    explanation = _EXPLANATIONS.get(number)
    return f"killed by {number.name}" + (f" ({explanation})" if explanation else "")
