"""A session of timing: each method runs in its own process, and they are measured in turn, block by block."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.engine.job import TimingResult
from segbench.engine.timing.parts import STAGES, Turn
from segbench.errors import OutOfMemoryError, RecordError
from segbench.files import make_private_folder
from segbench.stats.timing import is_known
from segbench.store.lock import open_lock, try_lock, try_share
from segbench.store.record import Failure, Timing

from .jobs import ENGINE
from .pool import Pool, SecondChance
from .processes import fair_share
from .temporary import temporary_folder
from .worker import TURN
from .workers import Died, Failed, Finished, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from segbench.config.timing import Timing as TimingBudget
    from segbench.engine.job import TimingJob
    from segbench.engine.timing.parts import Measured, Part, RowSoFar
    from segbench.store.record import Status

    from .pool import Interrupt
    from .progress import Listener
    from .workers import Event, Outcome, Workers

_LOCK_WAIT_SECONDS = 0.5
GPU_LOCKS = Path("/tmp")


@contextmanager
def device_lock(environment: Mapping[str, Any], listener: Listener, interrupt: Interrupt) -> Iterator[bool]:
    """Have the device of an environment alone, for timing; yields whether it is had.

    While another process has it, the listener is told once, and the lock is waited for until Ctrl-C.
    """
    with _waiting_for(try_lock, environment, listener, interrupt) as locked:
        yield locked


@contextmanager
def training_lock(
    environment: Mapping[str, Any], processes: int, listener: Listener, interrupt: Interrupt
) -> Iterator[bool]:
    """Share the GPUs of so many processes with runs that train on them, but with none that is timing.

    Yields whether they are shared. The CPU, on which trainings and timings of many programs meet, is not locked for it.
    """
    gpus = [{"device": name, "uuid": uuid} for name, uuid in environment.get("gpus", {}).items()]
    with ExitStack() as held:
        locks = (_waiting_for(try_share, gpu, listener, interrupt) for gpu in gpus[:processes])
        yield all(held.enter_context(lock) for lock in locks)


@contextmanager
def _waiting_for(
    take: Callable[[int], bool], environment: Mapping[str, Any], listener: Listener, interrupt: Interrupt
) -> Iterator[bool]:
    with open_lock(lock_path(environment)) as lock:
        locked = take(lock)
        if not locked:
            listener.notice(f"waiting for another run on {environment['device']}")
        while not locked and not interrupt.requested:
            time.sleep(_LOCK_WAIT_SECONDS)
            locked = take(lock)
        yield locked


def lock_path(environment: Mapping[str, Any]) -> Path:
    """Return the lock file of a device, in a folder of this user's; RecordError if somebody else has taken its name.

    A GPU has the same one for all processes: whichever number it has for them, wherever their temporary folders are.
    """
    user = "" if sys.platform == "win32" else f"-{os.getuid()}"
    uuid = environment.get("uuid")
    folder = (GPU_LOCKS if uuid and GPU_LOCKS.is_dir() else Path(tempfile.gettempdir())) / f"segbench{user}"
    try:
        make_private_folder(folder)
    except OSError as error:
        raise RecordError(
            f"cannot use {folder} for the locks of devices: {error.strerror}; remove it, or set TMPDIR to a folder of "
            "your own"
        ) from error
    return folder / f"{uuid or str(environment['device']).replace(':', '-')}.lock"


@dataclass(frozen=True)
class Timed:
    """Results by method, and the failures of the other methods; both empty if timing was interrupted."""

    results: Mapping[str, TimingResult] = field(default_factory=dict)
    failures: Mapping[str, Failure] = field(default_factory=dict)


def time_interleaved(
    methods: Mapping[str, TimingJob],
    *,
    workers: Workers,
    limits: Limits,
    interrupt: Interrupt,
    listener: Listener,
    function: str = ENGINE.timing,
) -> Timed:
    """Time methods in turn, in the order given, on one device, which nothing else should use meanwhile.

    The keys are the names of the methods as `Timing.rivals` lists them, all jobs name one device, and the caller holds
    its lock (`device_lock`). `limits.seconds` is for building, and for each turn on top of its budget; `limits.memory`
    is for a method alone: together they share the memory of the machine. A session whose server of workers is killed is
    repeated once. Methods that run out of memory beside the
    others are timed once more, each alone in a session of its own. A method that fails does not disturb the others. The
    listener is told of the activity "timing". After Ctrl-C nothing is returned, since an incomplete measurement is no
    result.
    """
    together = Session(methods, workers, _share(limits, len(methods)), interrupt, listener, function)
    together.run()
    if together.lost_server:
        together = Session(methods, workers, _share(limits, len(methods)), interrupt, listener, function)
        together.run()
    sessions = [together]
    for name in together.out_of_memory if len(methods) > 1 else ():
        listener.notice(f"{name} ran out of memory beside the other methods and is timed alone")
        alone = Session({name: methods[name]}, workers, limits, interrupt, listener, function)
        alone.run()
        sessions.append(alone)
    if interrupt.requested:
        return Timed()
    results = {name: result for session in sessions for name, result in session.results().items()}
    failures = {name: failure for session in sessions for name, failure in session.failures.items()}
    return Timed(
        {name: results[name] for name in methods if name in results},
        {name: failures[name] for name in methods if name not in results},
    )


def interleave(waiting: Mapping[str, Part], give_turn: Callable[[str, Part], Part | None]) -> None:
    """Give turns until no method is left: those whose next part comes first get one each, in their order, repeatedly.

    `give_turn` lets a method take its turn at a part and returns the part that comes next for it, None if it has ended.
    """
    following = dict(waiting)
    while following:
        first = min(following.values())
        for name in [name for name, part in following.items() if part == first]:
            part = give_turn(name, first)
            if part is None:
                del following[name]
            else:
                following[name] = part


class Session:
    """One session of timing: the workers of its methods, and what they have measured."""

    def __init__(
        self,
        methods: Mapping[str, TimingJob],
        workers: Workers,
        limits: Limits,
        interrupt: Interrupt,
        listener: Listener,
        function: str,
    ) -> None:
        self.failures: dict[str, Failure] = {}
        self.out_of_memory: list[str] = []
        self.lost_server = False
        self._second_chance = SecondChance(interrupt, listener)
        self._methods, self._workers, self._limits, self._function = methods, workers, limits, function
        self._interrupt, self._listener = interrupt, listener
        self._name = secrets.token_hex(4)
        self._next: dict[str, Part] = {}
        self._rows: dict[Part, dict[str, RowSoFar]] = defaultdict(dict)
        self._ended: set[str] = set()
        self._spent = dict.fromkeys(methods, 0.0)  # seconds of turns
        self._measured: dict[str, Measured] = {}

    def run(self) -> None:
        """Start the workers of all methods and give turns until each has ended or the run is interrupted."""
        with (
            temporary_folder() as folder,
            # Methods wait for each other, so their time is limited turn by turn, and not as a whole.
            Pool(len(self._methods), self._interrupt, self._receive) as pool,
        ):
            for i, (name, job) in enumerate(self._methods.items()):
                self._listener.started("timing", job.cell)
                limits = Limits(memory=self._limits.memory)
                pool.add(name, self._workers.start(self._function, job, Path(folder) / str(i), limits))
            built = {name: self._next_part(pool, name, 0.0) for name in self._methods}
            waiting = {name: part for name, part in built.items() if part}
            interleave(waiting, lambda name, part: self._give_turn(pool, name, part))

    def results(self) -> dict[str, TimingResult]:
        """Return the results by method; the session of a result lists the methods that have one."""
        names = [name for name in self._methods if name in self._measured]
        return {name: _result(self._measured[name], self._name, names) for name in names}

    def _give_turn(self, pool: Pool, name: str, part: Part) -> Part | None:
        """Let a method take its turn at a part; return what comes next for it, None if it has ended."""
        timing = timing_of(self._methods[name])
        if name in pool:
            pool.send(name, Turn(len(pool), self._is_known(name, part, timing.precision)))
        started = time.monotonic()
        following = self._next_part(pool, name, timing.max_seconds)
        self._spent[name] += time.monotonic() - started
        return following

    def _is_known(self, name: str, part: Part, precision: float | None) -> bool:
        """Return whether further blocks of the row that a method measures would tell no more than is asked for."""
        rows = self._rows[part]
        if precision is None or name not in rows or not rows[name].median_is_known:
            return False
        blocks = {other: rows[other].blocks for other in self._methods if other in rows}
        return is_known(name, blocks, precision)

    def _seconds_left(self) -> float:
        """Return about how long measuring lasts from now on: a row takes as long as those that are done."""
        left = 0.0
        for name, job in self._methods.items():
            if name not in self._ended:
                started = sum(name in rows for rows in self._rows.values())
                row_seconds = self._spent[name] / started if started > 1 else timing_of(job).seconds
                left += row_seconds * (len(STAGES) * len({1, job.cell.method.protocol.batch_size}) - started)
        return max(left, 0.0)

    def _next_part(self, pool: Pool, name: str, budget: float) -> Part | None:
        """Wait until a method asks for its next turn or has ended, at most its budget and the time limit together."""
        allowed = None if self._limits.seconds is None else self._limits.seconds + budget
        started = time.monotonic()
        while name in pool and name not in self._next and not self._interrupt.requested:
            for ended, outcome in pool.advance():
                self._end(ended, outcome)
            if name in pool and allowed is not None and time.monotonic() - started > allowed:
                pool.drop(name)
                self._ended.add(name)
                self._fail(name, Failure(cause=f"timed out: a turn took longer than {allowed:g} s"))
        return self._next.pop(name, None)

    def _receive(self, name: str, event: Event) -> None:
        if event.name != TURN:
            self._listener.reported("timing", self._methods[name].cell, self._with_seconds_left(event))
            return
        self._next[name] = part = event.fields["part"]
        if event.fields["row"] is not None:
            self._rows[part][name] = event.fields["row"]
        if event.fields["measured"] is not None:
            self._measured[name] = event.fields["measured"]

    def _with_seconds_left(self, event: Event) -> Event:
        """Add to the event that a stage begins how long measuring lasts from now on."""
        if event.name != "stage":
            return event
        return event._replace(fields={**event.fields, "seconds_left": self._seconds_left()})

    def _end(self, name: str, outcome: Outcome) -> None:
        """Note how the worker of a method ended; what it had measured before a failure counts."""
        self._ended.add(name)
        if self._second_chance.give_for_server("timing", outcome):
            self.lost_server = True
        if not isinstance(outcome, Finished):
            if ran_out_of_memory(outcome) and name not in self._measured:
                self.out_of_memory.append(name)
            self._fail(name, outcome.failure)
        elif outcome.result is not None:
            self._measured[name] = outcome.result
            self._listener.ended("timing", self._methods[name].cell, "ok", None)

    def _fail(self, name: str, failure: Failure) -> None:
        """Note a failure; where the rows were complete already, only what comes after them is lost."""
        self._next.pop(name, None)
        complete = name in self._measured
        if complete:
            self._listener.notice(f"timing of {name}: nothing after the rows was measured to the end: {failure.cause}")
        else:
            self.failures[name] = failure
        status: Status = "ok" if complete else "failed"
        self._listener.ended("timing", self._methods[name].cell, status, self.failures.get(name))


def timing_of(job: TimingJob) -> TimingBudget:
    """Return the timing budget of a method that is timed, which therefore has one."""
    budget = job.cell.method.protocol.timing
    assert budget is not None, "a method with `timing: none` is not timed"
    return budget


def _result(measured: Measured, session: str, methods: list[str]) -> TimingResult:
    timing = Timing(
        session=session,
        rivals=methods,
        threads=measured.threads,
        steady=measured.steady,
        sweep=list(measured.sweep),
        before=measured.before,
        after=measured.after,
        energy=measured.energy,
    )
    return TimingResult(inference=measured.inference, inference_peak_bytes=measured.inference_peak_bytes, timing=timing)


def _share(limits: Limits, methods: int) -> Limits:
    """Return the limits of each of this number of methods that are in memory together."""
    known = [memory for memory in (limits.memory, fair_share(methods)) if memory is not None]
    return Limits(limits.seconds, min(known, default=None))


def ran_out_of_memory(outcome: Outcome) -> bool:
    """Return whether a worker ran out of memory, or was killed by SIGKILL, most likely for that reason."""
    if isinstance(outcome, Failed):
        return isinstance(outcome.error, OutOfMemoryError)
    return isinstance(outcome, Died) and (
        "out of memory" in outcome.failure.cause or "SIGKILL" in outcome.failure.cause
    )
