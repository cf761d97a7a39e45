"""The inside of a worker process: it calls one function with one job, sends the answer and ends."""

from __future__ import annotations

import faulthandler
import json
import math
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from segbench import errors
from segbench.engine.timing.parts import Turn
from segbench.files import make_own_folder, make_way_for_folder, open_own_log
from segbench.store.folder import EVENTS
from segbench.store.record import Failure

from .blame import blame_for_error, blame_for_files
from .processes import adopt_orphans, descendants, left_behind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from multiprocessing.connection import Connection
    from types import FrameType
    from typing import TextIO

    from segbench.engine.timing.parts import Measured, Part, RowSoFar
    from segbench.store.leases import Lease


LOG = "worker.log"
SCRATCH = "tmp"
STOP = "stop"  # what the parent sends to end a worker early; in a session of timing it also sends turns
TURN = "turn"  # the event with which a method that is timed waits for its turn
# Python's audit events of new processes; multiprocessing's "spawn" has none.
_PROCESS_STARTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"})
_SHOWN_CHARACTERS = 60
_LEASE_SECONDS = 5.0  # between two looks at whether the lease is still held


@dataclass(frozen=True)
class Task:
    """What a worker does: `function` ("module:name") is called with (job, channel) in the folder `workplace`.

    `scratch` is the name of its temporary folder there. The worker ends when `lease` is lost, if one is given.
    """

    function: str
    job: Any
    workplace: str
    scratch: str
    environment: Mapping[str, str]
    lease: Lease | None = None


class PipeChannel:
    """The channel of `segbench.engine.job` over a pipe; events are also kept in a file, one JSON object a line."""

    def __init__(self, connection: Connection, events: TextIO) -> None:
        self._connection, self._events = connection, events
        self._stop = False

    def emit(self, event: str, **fields: Any) -> None:
        """Report an event; numbers that are not finite become null."""
        fields = {name: _null_if_not_finite(value) for name, value in fields.items()}
        entry = {"time": round(time.time(), 3), "event": event, **fields}
        self._events.write(json.dumps(entry, allow_nan=False) + "\n")
        self._events.flush()
        self._connection.send(("event", event, fields))

    def stop_requested(self) -> bool:
        """Tell whether the parent has asked to stop; never blocks."""
        while not self._stop and self._connection.poll():
            self._stop = self._connection.recv() == STOP
        return self._stop

    def wait_for_turn(self, part: Part, measured: Measured | None, row: RowSoFar | None = None) -> Turn:
        """Say what comes next, and wait for the turn; a turn without methods asks for an early end."""
        self._connection.send(("event", TURN, {"part": part, "measured": measured, "row": row}))
        message: Any = STOP if self._stop else self._connection.recv()
        self._stop = message == STOP
        return Turn(0) if self._stop else Turn(*message)


def work(task: Task, connection: Connection) -> None:
    """Do the task, send the answer and end this process at once, even if a plugin has left threads running."""
    separate_from_parent(task.lease)
    answer = _answer(task, connection)
    try:
        connection.send(answer)
    except Exception as error:  # what cannot be pickled is a failure; a parent that has ended gets nothing
        with suppress(OSError):
            connection.send(("failed", failure_of(error), None, ""))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def separate_from_parent(lease: Lease | None) -> None:
    """Leave the parent's process group and its signals, but outlive neither it nor the lease."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave_to_parent(os.getpid()))
    if sys.platform != "win32":
        os.setsid()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    adopt_orphans()
    threading.Thread(target=_die_with_parent, args=(lease,), name="segbench-parent-watch", daemon=True).start()


def _leave_to_parent(worker: int) -> Callable[[int, FrameType | None], None]:
    """Return a signal handler that ignores the signal in a worker, but not in the processes that it forks.

    A batch system signals all processes of a job: the parent gets the signal too, and asks for a checkpoint.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() != worker:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    return handle


def _die_with_parent(lease: Lease | None) -> None:
    """End this process once its parent has ended, or has been stopped for so long that another run has the lease."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        while parent.is_alive() and not (lease is not None and lease.is_lost):
            parent.join(None if lease is None else _LEASE_SECONDS)
        for one in descendants(os.getpid()):
            one.kill()
        if sys.platform != "win32":
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(1)


def _answer(task: Task, connection: Connection) -> tuple[Any, ...]:
    try:
        enter_workplace(task)
        with (
            open(open_own_log(Path(EVENTS)), "a", encoding="utf-8") as events,
            _warn_of_processes(PipeChannel(connection, events)) as channel,
        ):
            return ("finished", resolve_name(task.function)(task.job, channel))
    except BaseException as error:  # sys.exit() in a plugin is a failure as well
        return ("failed", failure_of(error), _own_type(error), str(error))


@contextmanager
def _warn_of_processes(channel: PipeChannel) -> Iterator[PipeChannel]:
    """Warn at the end of processes that are left running; the parent kills them."""
    starts = ProcessStarts()
    starts.watch()
    try:
        yield channel
    finally:
        if (message := starts.describe_left_behind()) is not None:
            channel.emit("warning", message=message)


def enter_workplace(task: Task) -> None:
    """Take over the parent's environment, and move into the workplace with its own log and temporary folder."""
    workplace = Path(task.workplace)
    scratch = workplace / task.scratch
    make_way_for_folder(workplace)
    for left in workplace.glob(f"{SCRATCH}-*"):  # by a worker that was killed
        shutil.rmtree(left, ignore_errors=True)
    make_own_folder(scratch)
    os.chdir(workplace)
    os.environ.clear()
    os.environ.update(task.environment, TMPDIR=str(scratch))
    tempfile.tempdir = None  # the server may have looked it up already
    _redirect_output(workplace / LOG)


def _redirect_output(log: Path) -> None:
    with suppress(OSError):
        log.unlink()
    file = open_own_log(log)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    faulthandler.enable(file=2)
    if sys.platform != "win32":
        faulthandler.register(signal.SIGUSR1, file=2)  # the parent asks where it hangs
    os.close(file)


def failure_of(error: BaseException) -> Failure:
    """Return cause, plugin to blame and traceback of an error.

    For a lack of memory, the plugin in whose code memory ran out is to blame.
    """
    source = error.__cause__ if isinstance(error, errors.OutOfMemoryError) and error.__cause__ else error
    return Failure(
        cause=cause_of(error),
        plugin=(error.plugin if isinstance(error, errors.SegbenchError) else None) or blame_for_error(source),
        traceback="".join(traceback.format_exception(error)),
    )


def cause_of(error: BaseException) -> str:
    """Say in one line what went wrong; segbench's own messages name no type.

    >>> cause_of(ValueError("no such\\nthing")), cause_of(KeyError())
    ('ValueError: no such', 'KeyError')
    """
    lines = str(error).strip().splitlines()
    if isinstance(error, errors.SegbenchError) and lines:
        return " ".join(line.strip() for line in lines)
    return ": ".join([type(error).__name__, *lines[:1]])


def _own_type(error: BaseException) -> str | None:
    """Return the nearest class of segbench's own error tree, so that the parent can raise it again."""
    return next((kind.__name__ for kind in type(error).__mro__ if getattr(errors, kind.__name__, None) is kind), None)


def _null_if_not_finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


class ProcessStarts:
    """Which code starts processes in this one, from `watch` on until it ends."""

    def __init__(self) -> None:
        self._stacks: set[tuple[str, ...]] = set()

    def watch(self) -> None:
        """Note the source files of the code that starts a process; an audit hook cannot be removed."""
        sys.addaudithook(self._note)

    def describe_left_behind(self) -> str | None:
        """Say which processes still run and which plugins started any; None if there are none."""
        processes = left_behind()
        if not processes:
            return None
        plugins = sorted({plugin for stack in self._stacks if (plugin := blame_for_files(stack)) is not None})
        who = " and ".join(f"plugin {plugin!r}" for plugin in plugins) or "the cell"
        number = "a process" if len(processes) == 1 else f"{len(processes)} processes"
        command = processes[0].command
        shown = command if len(command) <= _SHOWN_CHARACTERS else f"{command[: _SHOWN_CHARACTERS - 3]}..."
        return f"{who} left {number} running, now killed: {shown}"

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _PROCESS_STARTS:
            self._stacks.add(tuple(_source_files(sys._getframe(1))))


def _source_files(frame: FrameType | None) -> Iterator[str]:
    """Yield the source files of a stack, innermost first."""
    while frame is not None:
        yield frame.f_code.co_filename
        frame = frame.f_back
