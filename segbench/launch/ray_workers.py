"""Jobs of a run as tasks of Ray: submitted, listened to, asked to stop, and their files brought back."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections import defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.engine.job import CellJob
from segbench.errors import SpecError
from segbench.execute.forkserver import modules_to_preload
from segbench.execute.jobs import RECORD_IS_ENOUGH, method_of
from segbench.execute.timing import find_groups, group_into_sessions, time_session
from segbench.execute.timing_session import Timed
from segbench.execute.worker import STOP
from segbench.execute.workers import Died, Finished, Limits, Running, Workers
from segbench.registry.plugin_files import FILES_VARIABLE, content_of, given_files
from segbench.store.record import Failure

from .mailbox import Mailbox
from .parcels import find_bases, pack, pack_cell, unpack
from .ray_cluster import Need, list_nodes
from .ray_node import CALL, PREPARE, Answer, Order, Preparation, Setting, time_here, work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from segbench.engine.job import TimingJob
    from segbench.execute.jobs import Run
    from segbench.execute.pool import Interrupt
    from segbench.execute.progress import Listener
    from segbench.execute.workers import Event, Outcome
    from segbench.plan.cell import Cell
    from segbench.store.leases import Lease
    from segbench.store.record import Record

    from .ray_cluster import Node

_COLLECT_SECONDS = 0.1  # between two questions for news of all tasks
_LOSSES = 3  # after which a task that loses its node, or its process, is not begun again
_THREADS = "OMP_NUM_THREADS"  # set by Ray, where the protocol of a cell states its threads


class RayWorker(Running):
    """A job that a task of Ray does; its files are in its workplace once it has ended."""

    def __init__(self, workers: RayWorkers, name: str, ref: Any, workplace: Path) -> None:
        self._workers, self._name, self._ref, self._workplace = workers, name, ref, workplace
        self._heard = time.monotonic()

    @property
    def running(self) -> bool:
        """Whether the task waits or runs."""
        return not self._workers.ray.wait([self._ref], timeout=0)[0]

    @property
    def silent_seconds(self) -> float:
        """For how long nothing was heard; a task may wait for room on a node."""
        return time.monotonic() - self._heard

    def events(self) -> Iterator[Event]:
        """Yield the events that have arrived."""
        for event in self._workers.take_events(self._name):
            self._heard = time.monotonic()
            yield event

    def enforce_limits(self) -> None:
        """Leave it to the node."""

    def send(self, message: Any) -> None:
        """Ask for an early end; nothing but STOP is understood."""
        assert message == STOP, "tasks are sent nothing else"
        self._workers.mailbox.ask_to_stop.remote(self._name)

    def kill(self) -> None:
        """End the task with its processes, on a node that is taken for lost too."""
        self._workers.mailbox.close.remote(self._name)
        self._workers.ray.cancel(self._ref, force=True)

    def end(self) -> None:
        """End the task without an outcome."""
        self.kill()

    def outcome(self) -> Outcome:
        """Return how the job ended, and write its files; RecordError if they cannot be written."""
        errors = self._workers.ray.exceptions
        self._workers.mailbox.close.remote(self._name)
        try:
            answer: Answer = self._workers.ray.get(self._ref)
        except errors.TaskCancelledError:
            return Died(Failure(cause="it was stopped"))
        except errors.RayTaskError as error:
            last = str(error).strip().splitlines()[-1]
            return Died(Failure(cause=f"its task of Ray failed: {last}", traceback=str(error)))
        except errors.RayError as error:
            cause = f"the node, or Ray's process on it, was lost too often: {type(error).__name__}"
            return Died(Failure(cause=cause, traceback=str(error)))
        unpack(answer.files, self._workplace)
        return answer.outcome


class RayWorkers(Workers):
    """Starts jobs on the nodes of a cluster of Ray.

    `place` is the results folder, `need` says what a cell needs, and `memory` how many bytes it may hold: None is what
    its node has, whatever the machine of the run has.
    """

    def __init__(self, place: Path, cells: Sequence[Cell], need: Callable[[Cell], Need], memory: int | None) -> None:
        super().__init__()
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.ray, self._on = ray, NodeAffinitySchedulingStrategy
        here = self._on(ray.get_runtime_context().get_node_id(), soft=True)
        self.mailbox = ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()
        self._events: dict[str, list[Event]] = defaultdict(list)
        self._collected = 0.0
        self._place, self._need, self._memory = place.absolute(), need, memory
        self._example = min(cells, key=lambda cell: need(cell).cpus)  # for what is done for no cell of its own
        self._setting = make_setting(cells)
        self._kept: dict[Path, Any] = {}
        self._preparation: Preparation | None = None
        self._ready: dict[Node, Mapping[str, Any]] = {}

    def warm_up(self) -> None:
        """Do nothing: each node has servers of its own."""

    def start(self, function: str, job: Any, workplace: Path, limits: Limits, lease: Lease | None = None) -> Running:
        """Let a node do a job; see `Workers.start`. A lost lease ends it from here, as nodes may not see the folder."""
        need = self._need(job.cell if isinstance(job, CellJob) else self._example)
        given = [self._keep(files) for files in _find_needed(job)] if isinstance(job, CellJob) else []
        path = workplace.absolute()
        inside = path != self._place and path.is_relative_to(self._place)
        if inside:
            given.append(pack(path, self._place))
        limits = replace(limits, memory=self._memory)
        order = self._order(function, job, limits, str(path.relative_to(self._place)) if inside else None)
        return self._submit(work, order, need, given, path)

    start_cell = start

    def prepare(self, cells: Sequence[Cell], nodes: Sequence[Node], device: str, listener: Listener) -> None:
        """Prepare nodes for cells; SpecError if any cannot run them."""
        examples = {method_of(cell): cell for cell in reversed(cells)}
        job = Preparation(cells=tuple(reversed(examples.values())), device=device)
        order, need = partial(self._order, PREPARE, job, Limits()), self._need(self._example)
        running = {node: self._submit(work, order(), need, [], self._place, node) for node in nodes}
        try:
            outcomes = {node: _wait_for(worker, partial(_tell, listener, node)) for node, worker in running.items()}
        finally:
            for worker in running.values():
                worker.end()
        self._ready = {node: one.result for node, one in outcomes.items() if isinstance(one, Finished)}
        alive = {node.id for node in list_nodes()}
        bad = {node: one for node, one in outcomes.items() if not isinstance(one, Finished) and node.id in alive}
        if bad or not self._ready:
            told = "\n".join(f"{node.address}: {one.failure.cause}" for node, one in bad.items())
            raise SpecError(
                f"{len(nodes) - len(self._ready)} of {len(nodes)} nodes of the cluster cannot run these cells:\n"
                f"{told or 'none is alive any more'}\n"
                "every node needs the versions, plugins, data and files that this machine has"
            )
        self._preparation = job

    def time_methods(self, run: Run, records: Mapping[str, Record]) -> dict[str, Failure]:
        """Time methods where their cells ran, on one node of each machine; see `segbench.execute.timing`."""
        failures: dict[str, Failure] = {}
        for node, environment in {one["machine"]: (node, one) for node, one in self._ready.items()}.values():
            here = replace(run, environment=environment)
            for session in group_into_sessions(find_groups(here)):
                if not run.interrupt.requested:
                    failures |= time_session(here, session, partial(self._time, node, environment))
        return failures

    def take_events(self, name: str) -> list[Event]:
        """Return the events of a task since the last time."""
        if time.monotonic() - self._collected >= _COLLECT_SECONDS:
            for of, event in self.ray.get(self.mailbox.collect.remote()):
                self._events[of].append(event)
            self._collected = time.monotonic()
        return self._events.pop(name, [])

    def _time(
        self,
        node: Node,
        environment: Mapping[str, Any],
        methods: Mapping[str, TimingJob],
        *,
        limits: Limits,
        interrupt: Interrupt,
        listener: Listener,
        **settings: Any,
    ) -> Timed:
        """Do what `time_interleaved` does on a node, in a task that takes all it has, so that Ray runs nothing else."""
        needed = {files: None for job in methods.values() for files in (Path(job.folder), *_find_needed(job))}
        order = self._order(":timing", (environment, dict(methods)), Limits(seconds=limits.seconds), None)
        whole = Need(int(node.cpus), node.gpus)
        worker = self._submit(time_here, order, whole, [self._keep(files) for files in needed], self._place, node)
        while worker.running and not interrupt.requested:
            for event in worker.events():
                if event.name == CALL:
                    getattr(listener, event.fields["name"])(*event.fields["arguments"])
            time.sleep(_COLLECT_SECONDS)
        if interrupt.requested:
            worker.end()
            return Timed()
        outcome = worker.outcome()
        return outcome.result if isinstance(outcome, Finished) else Timed({}, dict.fromkeys(methods, outcome.failure))

    def _keep(self, files: Path) -> Any:
        """Return the files of a cell with its record in the object store, where they are put once."""
        if files not in self._kept:
            self._kept[files] = self.ray.put(pack_cell(files, self._place))
        return self._kept[files]

    def _order(self, function: str, job: Any, limits: Limits, workplace: str | None = None) -> Order:
        ready = frozenset(node.id for node in self._ready)
        name = f"{function.partition(':')[2]} {secrets.token_hex(4)}"
        return Order(name, self._setting, function, job, self._place, workplace, limits, self._preparation, ready)

    def _submit(
        self,
        target: Callable[..., Answer],
        order: Order,
        need: Need,
        given: Sequence[Any],
        workplace: Path,
        node: Node | None = None,
    ) -> RayWorker:
        """Let a node with what is needed, or a given one, carry out an order with the files that are given."""
        self.ray.get(self.mailbox.open.remote(order.name))
        options = {**need.options(), "max_retries": _LOSSES, "name": f"segbench {order.name}"}
        if node is not None:
            options["scheduling_strategy"] = self._on(node.id, soft=False)
        task = self.ray.remote(target).options(**options)
        return RayWorker(self, order.name, task.remote(order, self.mailbox, *given), workplace)


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


def _find_needed(job: CellJob) -> list[Path]:
    """Return the folders of the cells whose files a cell needs."""
    upstream = [Path(files) for reason, files in job.upstream.items() if not reason.startswith(RECORD_IS_ENOUGH)]
    return list(dict.fromkeys(base for files in upstream for base in find_bases(files)))


def _wait_for(worker: RayWorker, tell: Callable[[Event], None]) -> Outcome:
    while worker.running:
        for event in worker.events():
            tell(event)
        time.sleep(_COLLECT_SECONDS)
    return worker.outcome()


def _tell(listener: Listener, node: Node, event: Event) -> None:
    if event.name == "warning":
        listener.notice(f"{node.address}: {event.fields['message']}")
