"""Worker processes as their parent sees them: starting, listening, limits, and an explanation of their end."""

from __future__ import annotations

import json
import multiprocessing
import os
import secrets
import shutil
import signal
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from segbench import errors
from segbench.files import read_file
from segbench.plan.machine import cache_folder
from segbench.registry.plugin_files import expected_hashes
from segbench.store.process import find_process
from segbench.store.record import Failure

from .blame import blame_for_crash
from .forkserver import PRELOAD_VARIABLE
from .processes import children, descendants, format_bytes, resident_bytes
from .temporary import choose_socket_folder
from .worker import LOG, SCRATCH, TURN, Task, work

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext, SpawnContext
    from multiprocessing.process import BaseProcess

    from segbench.engine.job import CellJob
    from segbench.errors import SegbenchError
    from segbench.store.leases import Lease
    from segbench.store.process import Process


_LOG_LINES = 40
_SERVER_RESTARTS = 3
_SERVER_END_SECONDS = 0.2  # until the system reports that the server has ended
_UNKNOWN_EXIT = 255  # what multiprocessing gives as the exit code if the server has ended
_STACK_SECONDS = 0.5  # for a hanging worker to write its stacks
_CHECK_SECONDS = 0.01
_SWEEPS = 3  # what is killed may have started another process just before
_EXPLANATIONS = {
    signal.SIGKILL: "often the system's out-of-memory killer",
    signal.SIGSEGV: "a crash in native code",
    signal.SIGBUS: "a memory-mapped file that shrank, or a full /dev/shm",
    signal.SIGABRT: "native code gave up",
    signal.SIGILL: "native code built for another processor",
    signal.SIGFPE: "a crash in native code",
}
# Workers of this process that have not ended; one server may serve several `Workers`.
_running: set[int] = set()


class Event(NamedTuple):
    """What a worker emitted through its channel."""

    name: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class Limits:
    """What one worker may use: seconds, and bytes of memory with its children; None is no limit."""

    seconds: float | None = None
    memory: int | None = None


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
    """The process ended without an answer: a signal, an exit, or more memory than allowed.

    `with_server` tells that it was ended because the server that had started it was killed.
    """

    failure: Failure
    with_server: bool = False


@dataclass(frozen=True)
class TimedOut:
    """The process took longer than allowed and was killed."""

    failure: Failure


Outcome = Finished | Failed | Died | TimedOut


class Running(Protocol):
    """What runs one job, be it one process here, several, or those of a task elsewhere; see `Worker`."""

    @property
    def waitables(self) -> list[Any]:
        """What `multiprocessing.connection.wait` waits for; it may be nothing."""
        return []

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""

    @property
    def silent_seconds(self) -> float:
        """For how long nothing was reported."""

    def events(self) -> Iterator[Event]:
        """Yield the events that have arrived."""

    def enforce_limits(self) -> None:
        """Kill what has used more than allowed."""

    def send(self, message: Any) -> None:
        """Send something to wait for, such as STOP, which asks for an early end."""

    def kill(self) -> None:
        """Kill all its processes."""

    def stacks(self) -> str:
        """Return the stacks of its threads, as far as they are known."""
        return ""

    def end(self) -> None:
        """Kill it without an outcome."""

    def outcome(self) -> Outcome:
        """Return how it ended; to be called once."""


class Workers:
    """Starts worker processes from a server that has imported the modules in `preload` already."""

    def __init__(self, preload: Sequence[str] = ()) -> None:
        self._preload = tuple(preload)
        self._context = _context()

    def warm_up(self) -> None:
        """Start the server, which then imports in the background."""
        if self._context.get_start_method() == "forkserver":
            from multiprocessing import forkserver

            choose_socket_folder()
            self._context.set_forkserver_preload(["segbench.execute.forkserver", "segbench.execute.worker"])
            instructions = json.dumps({"path": sys.path, "modules": self._preload})
            # A process started with -c imports from its working folder first, be it a random.py, unless this is set.
            with _signals_blocked(), _variable(PRELOAD_VARIABLE, instructions), _variable("PYTHONSAFEPATH", "1"):
                forkserver.ensure_running()

    def start(self, function: str, job: Any, workplace: Path, limits: Limits, lease: Lease | None = None) -> Running:
        """Call `function` ("module:name") with (job, channel) in a new process that works in the folder `workplace`.

        The process ends when `lease` is lost, if one is given.
        """
        scratch = f"{SCRATCH}-{secrets.token_hex(4)}"
        task = Task(function, job, str(workplace.absolute()), scratch, _environment(), lease)
        for _ in range(_SERVER_RESTARTS):
            try:
                return self._start(task, limits)
            except (EOFError, ConnectionError):  # the server died, most likely of a module it imported
                self._preload = ()
                time.sleep(_SERVER_END_SECONDS)
        return self._start(task, limits)

    def start_cell(
        self, function: str, job: CellJob, workplace: Path, limits: Limits, lease: Lease | None = None
    ) -> Running:
        """Start as many processes of a cell as its protocol asks for; they count as one."""
        from .team import start_team

        processes = job.cell.method.protocol.processes
        if processes == 1:
            return self.start(function, job, workplace, limits, lease)
        return start_team(self, function, job, processes, workplace, limits, lease)

    def _start(self, task: Task, limits: Limits) -> Worker:
        self.warm_up()
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=work, args=(task, theirs), name=f"segbench {task.function}")
        try:
            with _main_hidden():
                process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return Worker(process, ours, task, limits, _server())


class Worker:
    """One running worker process."""

    def __init__(
        self, process: BaseProcess, connection: Connection, task: Task, limits: Limits, server: Process | None
    ) -> None:
        self._process, self._connection, self._limits = process, connection, limits
        self._workplace, self._scratch = Path(task.workplace), task.scratch
        self._started = self._heard = time.monotonic()
        self._waiting = False
        self._answer: Outcome | None = None
        assert process.pid is not None, "the process has been started"
        self.pid = process.pid
        self._identity, self._server = find_process(self.pid), server
        _running.add(self.pid)

    @property
    def waitables(self) -> list[Any]:
        """What `multiprocessing.connection.wait` waits for: it becomes readable when there is something to do."""
        return [self._process.sentinel] if self._connection.closed else [self._connection, self._process.sentinel]

    def events(self) -> Iterator[Event]:
        """Yield the events that have arrived; never blocks."""
        while not self._connection.closed and self._connection.poll():
            try:
                kind, *content = self._connection.recv()
            except (EOFError, OSError):
                self._connection.close()
                return
            self._heard = time.monotonic()
            if kind == "event":
                event = Event(*content)
                self._waiting = event.name == TURN
                yield event
            else:
                self._answer = self._answer or _read_answer(kind, *content)

    @property
    def silent_seconds(self) -> float:
        """For how long the worker has reported nothing; 0 while it waits for its turn and once it has answered."""
        return 0.0 if self._answer is not None or self._waiting else time.monotonic() - self._heard

    def enforce_limits(self) -> None:
        """Kill the worker if it has used more time or memory than allowed."""
        if self._answer is not None:
            return
        allowed, seconds = self._limits.memory, self._limits.seconds
        if seconds is not None and time.monotonic() - self._started > seconds:
            self.stacks()
            self._kill_for(TimedOut(Failure(cause=f"timed out after {seconds:g} s")))
        elif allowed is not None and (used := resident_bytes(self.pid)) > allowed:
            cause = f"out of memory: used {format_bytes(used)} of {format_bytes(allowed)} allowed"
            self.stacks()
            self._kill_for(Died(Failure(cause=cause)))

    def send(self, message: Any) -> None:
        """Send the function's channel something to wait for; nothing happens if the worker has ended."""
        self._heard, self._waiting = time.monotonic(), False
        with suppress(OSError):
            self._connection.send(message)

    def kill(self) -> None:
        """Kill the worker and all processes that it has started, also those that have left its process group."""
        identity = self._identity  # of a process that runs on without its server, `running` is false
        started = [identity, *descendants(self.pid)] if identity is not None and identity.is_alive else []
        if sys.platform != "win32":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        if self.running:  # it may not lead a group of its own yet
            self._process.kill()
        for one in started:
            one.kill()

    def stacks(self) -> str:
        """Make the worker log the stacks of all threads, even where a plugin holds the interpreter; return them."""
        if sys.platform == "win32" or not self.running:
            return ""
        before = len(self._log())
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGUSR1)
        deadline, written = time.monotonic() + _STACK_SECONDS, ""
        while time.monotonic() < deadline:
            self._process.join(_CHECK_SECONDS)
            if (now := self._log()[before:]) and now == written:
                break
            written = now
        return written

    def end(self) -> None:
        """Kill the worker without an outcome, and remove what it leaves."""
        self.kill()
        self._close()
        self._remove_scratch()

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.exitcode is None

    def outcome(self) -> Outcome:
        """Return how the worker ended, and remove what it leaves; call it once, after it ended and after `events`."""
        exit_code, log = self._process.exitcode, self._last_lines()
        assert exit_code is not None, "the process has ended"
        with_server = self._ended_with_server(exit_code)
        cause = "the process that starts workers was killed" if with_server else cause_of_death(exit_code)
        self.kill()  # what the worker has started may still run
        self._close()
        self._remove_scratch()
        return _add_log(self._answer or Died(Failure(cause=cause), with_server), log)

    def _kill_for(self, reason: Outcome) -> None:
        self._answer = reason
        self.kill()

    def _close(self) -> None:
        self._connection.close()
        self._process.join()
        self._process.close()
        _running.discard(self.pid)
        for _ in range(_SWEEPS):
            for one in self._orphans():
                one.kill()

    def _ended_with_server(self, exit_code: int) -> bool:
        if exit_code != _UNKNOWN_EXIT or self._server is None:
            return False
        if self._server.is_alive:
            time.sleep(_SERVER_END_SECONDS)
        return not self._server.is_alive

    def _remove_scratch(self) -> None:
        shutil.rmtree(self._workplace / self._scratch, ignore_errors=True)

    def _orphans(self) -> list[Process]:
        """Return the processes that an ended worker has left, now children of the server; see `adopt_orphans`.

        Running workers adopt the processes that they have started, so all others that are younger than this worker were
        left by it, or by another that has ended.
        """
        if self._identity is None or self._server is None:
            return []
        found = [one for one in children(self._server.pid) if one.pid not in _running]
        left = [one for one in found if one.started >= self._identity.started and one.is_alive]
        return [one for parent in left for one in (parent, *descendants(parent.pid))]

    def _log(self) -> str:
        try:
            return read_file(self._workplace / LOG).decode(errors="replace")
        except OSError:
            return ""

    def _last_lines(self) -> str:
        lines = self._log().splitlines()
        shown = [line for line in lines if not line.startswith("Extension modules:")]  # thousands of characters
        return "\n".join(shown[-_LOG_LINES:])


def _context() -> ForkServerContext | SpawnContext:
    if "forkserver" in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("forkserver")
    return multiprocessing.get_context("spawn")


def _server() -> Process | None:
    """Return the server that workers are forked from; None where there is none, or no /proc."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return None
    from multiprocessing import forkserver

    pid = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]  # a worker's parent may be another by now
    return None if pid is None else find_process(pid)


def _environment() -> dict[str, str]:
    """Return this process's environment; the cache folder is made absolute, as a worker has its own working folder.

    What torch.compile has made is kept there too, where torch would put it into the worker's temporary folder. The
    environment holds the hashes of plugin files, so that a worker refuses a file that was changed meanwhile.
    """
    cache = cache_folder()
    compiled = {"TORCHINDUCTOR_CACHE_DIR": str(cache / "compiled")}
    return {**compiled, **os.environ, "SEGBENCH_CACHE": str(cache), **expected_hashes()}


def _read_answer(kind: str, *content: Any) -> Outcome:
    if kind == "finished":
        return Finished(*content)
    failure, error_type, message = content
    return Failed(failure, getattr(errors, error_type)(message) if error_type else None)


def _add_log(outcome: Outcome, log: str) -> Outcome:
    """Add the end of the worker's log to a failure, and the plugin that a crash's stack names."""
    if isinstance(outcome, Finished) or not log:
        return outcome
    failure = outcome.failure
    # If the worker has answered, stacks in its log are only those that were asked for while it was silent.
    crashed_in = None if isinstance(outcome, Failed) else blame_for_crash(log)
    explained = failure.model_copy(
        update={
            "plugin": failure.plugin or crashed_in,
            "traceback": "\n".join(filter(None, [failure.traceback, "The worker's last output:", log])),
        }
    )
    return replace(outcome, failure=explained)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Let a new process start with SIGINT and SIGTERM blocked; it unblocks them once it handles them."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Hide what this process runs from a worker that starts, which would run it again: a script, or a notebook."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


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
