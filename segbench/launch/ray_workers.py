"""Jobs of a run as tasks of Ray: submitted, listened to, asked to stop, and their files brought back."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.engine.job import CellJob
from segbench.errors import CellError, SpecError
from segbench.execute.forkserver import modules_to_preload
from segbench.execute.jobs import RECORD_IS_ENOUGH, method_of
from segbench.execute.worker import STOP
from segbench.execute.workers import Died, Finished, Limits, Workers
from segbench.registry.plugin_files import FILES_VARIABLE, content_of, given_files
from segbench.store.record import Failure

from .mailbox import Mailbox
from .parcels import find_bases, pack, pack_cell, unpack
from .preparation import Preparation
from .ray_cluster import list_nodes
from .ray_node import PREPARE, Answer, Order, Setting, work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from segbench.execute.progress import Listener
    from segbench.execute.workers import Event, Outcome, Running
    from segbench.plan.cell import Cell
    from segbench.store.leases import Lease

    from .parcels import Parcel
    from .ray_cluster import Need, Node

_COLLECT_SECONDS = 0.1  # between two questions for news of all tasks
_LOSSES = 3  # after which a task that loses its node, or its process, is not begun again
_THREADS = "OMP_NUM_THREADS"  # set by Ray, where the protocol of a cell states its threads


class Tasks:
    """The tasks of a run on a cluster of Ray, and the mailbox by which they are heard."""

    def __init__(self) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

        self._ray, self._on = ray, On
        here = On(ray.get_runtime_context().get_node_id(), soft=True)
        self.mailbox = ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()
        self._events: dict[str, list[Event]] = defaultdict(list)
        self._collected = 0.0

    def submit(
        self, function: Callable[..., Any], name: str, order: Any, need: Need, *given: Any, node: Node | None = None
    ) -> Task:
        """Let a node with what is needed, or a given one, call a function with order, mailbox and what is given."""
        self._ray.get(self.mailbox.open.remote(name))
        options = {**need.options(), "max_retries": _LOSSES, "name": f"segbench {name}"}
        if node is not None:
            options["scheduling_strategy"] = self._on(node.id, soft=False)
        return Task(self, name, self._ray.remote(function).options(**options).remote(order, self.mailbox, *given))

    def keep(self, parcel: Parcel) -> Any:
        """Put files into the object store, for several tasks."""
        return self._ray.put(parcel)

    def take_events(self, name: str) -> list[Event]:
        """Return the events of a task since the last time; CellError if the cluster is lost."""
        if time.monotonic() - self._collected >= _COLLECT_SECONDS:
            for of, event in self._call(self.mailbox.collect.remote()):
                self._events[of].append(event)
            self._collected = time.monotonic()
        return self._events.pop(name, [])

    def is_running(self, ref: Any) -> bool:
        """Return whether what a task returns is not there yet."""
        return not self._ray.wait([ref], timeout=0)[0]

    def ask_to_stop(self, name: str) -> None:
        """Ask a task for an early end."""
        self.mailbox.ask_to_stop.remote(name)

    def cancel(self, name: str, ref: Any) -> None:
        """End a task, with its processes, wherever it is."""
        self.mailbox.close.remote(name)
        self._ray.cancel(ref, force=True)

    def result(self, name: str, ref: Any) -> Any:
        """Return what an ended task has returned, or as a `Died` why it has not."""
        errors = self._ray.exceptions
        self.mailbox.close.remote(name)
        try:
            return self._ray.get(ref)
        except errors.TaskCancelledError:
            return Died(Failure(cause="it was stopped"))
        except errors.RayTaskError as error:
            return Died(Failure(cause=f"its task of Ray failed: {_last_line(error)}", traceback=str(error)))
        except errors.RayError as error:
            cause = f"the node, or Ray's process on it, was lost {_LOSSES + 1} times: {type(error).__name__}"
            return Died(Failure(cause=cause, traceback=str(error)))

    def _call(self, ref: Any) -> Any:
        try:
            return self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            raise CellError(f"the cluster of Ray is lost: {_last_line(error)}; the same command goes on") from error


class Task:
    """One task of Ray."""

    def __init__(self, tasks: Tasks, name: str, ref: Any) -> None:
        self._tasks, self._name, self._ref = tasks, name, ref

    @property
    def running(self) -> bool:
        """Whether it waits or runs."""
        return self._tasks.is_running(self._ref)

    def events(self) -> list[Event]:
        """Return what it has reported since the last time."""
        return self._tasks.take_events(self._name)

    def request_stop(self) -> None:
        """Ask it for an early end."""
        self._tasks.ask_to_stop(self._name)

    def cancel(self) -> None:
        """End it."""
        self._tasks.cancel(self._name, self._ref)

    def result(self) -> Any:
        """Return what it has returned, or as a `Died` why it has not; once it has ended."""
        return self._tasks.result(self._name, self._ref)


class RayWorker:
    """A job that a task of Ray does, as a `Running`; its files are in its workplace once it has ended."""

    def __init__(self, task: Task, workplace: Path) -> None:
        self._task, self._workplace = task, workplace
        self._heard = time.monotonic()

    @property
    def waitables(self) -> list[Any]:
        """Nothing that can be waited for."""
        return []

    @property
    def running(self) -> bool:
        """Whether the task waits or runs."""
        return self._task.running

    @property
    def silent_seconds(self) -> float:
        """For how long nothing was heard; a task may wait for room on a node."""
        return time.monotonic() - self._heard

    def events(self) -> Iterator[Event]:
        """Yield the events that have arrived."""
        for event in self._task.events():
            self._heard = time.monotonic()
            yield event

    def enforce_limits(self) -> None:
        """Leave it to the node."""

    def request_stop(self) -> None:
        """Ask for an early end."""
        self._task.request_stop()

    def send(self, message: Any) -> None:
        """Send what ends it early; nothing else is understood."""
        if message == STOP:
            self.request_stop()

    def kill(self) -> None:
        """End the task, with its processes."""
        self._task.cancel()

    def stacks(self) -> str:
        """Return nothing: the node warns of what hangs there."""
        return ""

    def end(self) -> None:
        """End the task without an outcome."""
        self._task.cancel()

    def outcome(self) -> Outcome:
        """Return how the job ended, and write its files; RecordError if they cannot be written."""
        answer: Answer | Died = self._task.result()
        if isinstance(answer, Died):
            return answer
        unpack(answer.files, self._workplace)
        return answer.outcome


class RayWorkers(Workers):
    """Starts jobs on the nodes of a cluster of Ray; `place` is the results folder, `need` says what a cell needs."""

    def __init__(self, place: Path, cells: Sequence[Cell], need: Callable[[Cell], Need]) -> None:
        super().__init__()
        self.tasks = Tasks()
        self.setting = make_setting(cells)
        self._place, self._need, self._example = place.absolute(), need, cells[0]
        self._kept: dict[Path, Any] = {}
        self._preparation: Preparation | None = None
        self._ready: frozenset[str] = frozenset()

    def warm_up(self) -> None:
        """Do nothing: each node has servers of its own."""

    def start(self, function: str, job: Any, workplace: Path, limits: Limits, lease: Lease | None = None) -> Running:
        """Let a node do a job; see `Workers.start`. A lost lease ends it from here, as nodes may not see the folder."""
        need = self._need(job.cell if isinstance(job, CellJob) else self._example)
        return self._submit(function, job, workplace, limits, need)

    start_cell = start

    def prepare(
        self, cells: Sequence[Cell], nodes: Sequence[Node], device: str, listener: Listener
    ) -> dict[str, tuple[Node, dict[str, Any]]]:
        """Prepare nodes for cells; return a node of each machine, with its environment, by the name of the machine.

        Raises SpecError if any cannot run them.
        """
        examples = {method_of(cell): cell for cell in reversed(cells)}
        job = Preparation(cells=tuple(reversed(examples.values())), device=device)
        start = partial(self._submit, PREPARE, job, self._place, Limits(), self._need(self._example))
        running = {node: start(node=node) for node in nodes}
        try:
            outcomes = {node: _wait_for(worker, partial(_tell, listener, node)) for node, worker in running.items()}
        finally:
            for worker in running.values():
                worker.end()
        alive = {node.id for node in list_nodes()}
        bad = {
            node.address: one.failure.cause
            for node, one in outcomes.items()
            if not isinstance(one, Finished) and node.id in alive
        }
        found = {node: one.result for node, one in outcomes.items() if isinstance(one, Finished)}
        if bad or not found:
            told = "\n".join(f"{address}: {cause}" for address, cause in bad.items()) or "none is alive any more"
            raise SpecError(
                f"{len(outcomes) - len(found)} of {len(nodes)} nodes of the cluster cannot run these cells:\n{told}\n"
                "every node needs the same versions, plugins, data and files as this machine"
            )
        self._preparation, self._ready = job, frozenset(node.id for node in found)
        return {environment["machine"]: (node, environment) for node, environment in found.items()}

    def parcels_of(self, job: CellJob) -> list[Any]:
        """Return what the cells that a cell needs have left, in the object store, each once."""
        needed = [Path(files) for reason, files in job.upstream.items() if not reason.startswith(RECORD_IS_ENOUGH)]
        folders = dict.fromkeys(base for files in needed for base in find_bases(files))
        for files in folders:
            if files not in self._kept:
                self._kept[files] = self.tasks.keep(pack_cell(files, self._place))
        return [self._kept[files] for files in folders]

    def _submit(
        self, function: str, job: Any, workplace: Path, limits: Limits, need: Need, node: Node | None = None
    ) -> RayWorker:
        name, path = f"{function.partition(':')[2]} {secrets.token_hex(4)}", workplace.absolute()
        inside = path != self._place and path.is_relative_to(self._place)
        parcels = self.parcels_of(job) if isinstance(job, CellJob) else []
        parcels += [pack(path, self._place)] if inside else []
        wanted = str(path.relative_to(self._place)) if inside else None
        order = Order(name, self.setting, function, job, self._place, wanted, limits, self._preparation, self._ready)
        return RayWorker(self.tasks.submit(work, name, order, need, *parcels, node=node), path)


def make_setting(cells: Sequence[Cell]) -> Setting:
    """Return what processes on nodes are given of this one: segbench's variables, plugin files, what to import."""
    own: Mapping[str, str] = {name: value for name, value in os.environ.items() if name.startswith("SEGBENCH_")}
    shared = {name: value for name, value in own.items() if name != FILES_VARIABLE}
    return Setting(
        {**shared, _THREADS: os.environ.get(_THREADS)},
        tuple((file.name, content_of(file)) for file in given_files()),
        modules_to_preload({name for cell in cells for name in cell.versions}),
        None if os.getcwd() in sys.path else os.getcwd(),
    )


def _wait_for(worker: RayWorker, tell: Callable[[Event], None]) -> Outcome:
    while worker.running:
        for event in worker.events():
            tell(event)
        time.sleep(_COLLECT_SECONDS)
    return worker.outcome()


def _tell(listener: Listener, node: Node, event: Event) -> None:
    if event.name == "warning":
        listener.notice(f"{node.address}: {event.fields['message']}")


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
