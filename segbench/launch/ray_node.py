"""What a node does for a run: a task of Ray runs each cell in processes of its own, as a run on this machine does.

In a process of its own a cell may crash, hang or use too much memory, and its end is told as of any other; Ray's
process, which does other cells after it, is as it was.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from segbench.config.frozen import Frozen
from segbench.engine.job import CellJob
from segbench.errors import CellError
from segbench.execute.pool import Interrupt, Pool
from segbench.execute.processes import fair_share
from segbench.execute.temporary import make_temporary_folder, temporary_folder
from segbench.execute.timing_session import device_lock, time_interleaved
from segbench.execute.workers import Event, Finished, Limits, Outcome, Workers
from segbench.plan.cell import Cell
from segbench.registry.datasets import DATA_VARIABLE
from segbench.registry.plugin_files import FILES_VARIABLE

from .parcels import Parcel, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from segbench.execute.progress import Listener

PREPARE = "segbench.launch.preparation:prepare"
CALL = "call"  # the event that stands for a call of the listener of the run
_ANSWER_SECONDS = 60.0  # for the machine of the run to answer, or it is lost
_OWN = (DATA_VARIABLE, "SEGBENCH_CACHE")  # places on this node, where it has any


@dataclass(frozen=True)
class Setting:
    """What processes of a run have in common: variables (None: unset), plugin files by name, modules to share.

    From the working folder of the run nothing is imported here, unless it is there; Ray would have it so.
    """

    variables: Mapping[str, str | None]
    plugins: tuple[tuple[str, bytes], ...]
    preload: tuple[str, ...]
    hidden: str | None

    def enter(self) -> None:
        """Make this process one of the run."""
        sys.path[:] = [path for path in sys.path if path != self.hidden]
        for name, value in self.variables.items():
            if value is None:
                os.environ.pop(name, None)
            elif name not in _OWN or name not in os.environ:
                os.environ[name] = value
        if self.plugins:
            os.environ[FILES_VARIABLE] = os.pathsep.join(map(str, _place_plugins(self.plugins)))


class Preparation(Frozen):
    """The cells that a node is prepared for, one of each method on each dataset, and their device.

    It is no part of preparation.py, which a node alone imports, since that loads torch.
    """

    cells: tuple[Cell, ...]
    device: str


@dataclass(frozen=True)
class Order:
    """One job: `function` is called as by `Workers.start`, with paths below the results folder `place` moved here.

    `workplace` is relative to it, and None for a job whose files are not wanted. Where `limits` state no memory, it may
    hold what there is. On a node that is not among those that are `ready`, by their ids, as it has joined the cluster
    since, the `preparation` comes first.
    """

    name: str
    setting: Setting
    function: str
    job: Any
    place: Path
    workplace: str | None
    limits: Limits
    preparation: Preparation | None = None
    ready: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Answer:
    """How a job ended, and the files that it has left in its workplace."""

    outcome: Outcome
    files: Parcel = field(default_factory=dict)


class Reports(Interrupt):
    """The way from a job on a node to its run: what it reports, and whether it shall stop."""

    def __init__(self, name: str, mailbox: Any) -> None:
        super().__init__()
        import ray

        self._get, self._name, self._mailbox = ray.get, name, mailbox
        self.node = ray.get_runtime_context().get_node_id()
        address = ray.util.get_node_ip_address()
        self._holder = f"{address} {os.getpid()} {secrets.token_hex(4)}"
        self._events: list[Event] = []
        self._get(mailbox.begin.remote(name, self._holder), timeout=_ANSWER_SECONDS)

    def add(self, event: Event) -> None:
        """Report an event with the next exchange."""
        self._events.append(event)

    def exchange(self) -> None:
        """Report, and note whether to stop; CellError if the job is no longer wanted."""
        events, self._events = self._events, []
        count = self._get(self._mailbox.exchange.remote(self._name, self._holder, events), timeout=_ANSWER_SECONDS)
        if count is None:
            raise CellError("the run that this was for has given it up")
        self._count = count


def work(order: Order, mailbox: Any, *parcels: Parcel) -> Answer:
    """Do one job on this node; `parcels` are the files that it needs, relative to the results folder."""
    order.setting.enter()
    with temporary_folder() as root:
        place = Path(root)
        for parcel in parcels:
            unpack(parcel, place)
        workplace = place / (order.workplace or "work")
        reports = Reports(order.name, mailbox)
        outcome = None
        if order.preparation is not None and reports.node not in order.ready:
            outcome = _run(order, PREPARE, order.preparation, place / "preparation", reports)
        if outcome is None or isinstance(outcome, Finished):
            outcome = _run(order, order.function, move(order.job, order.place, place), workplace, reports)
        reports.exchange()
        return Answer(outcome, {} if order.workplace is None else pack(workplace))


def time_here(order: Order, mailbox: Any, *parcels: Parcel) -> Answer:
    """Time methods on this node, whose environment and jobs are what the order is about; see `time_interleaved`."""
    order.setting.enter()
    environment, methods = order.job
    reports = Reports(order.name, mailbox)
    listener = cast("Listener", Relay(reports))
    with temporary_folder() as root, device_lock(environment, listener, reports):
        for parcel in parcels:
            unpack(parcel, Path(root))
        timed = time_interleaved(
            {name: move(job, order.place, Path(root)) for name, job in methods.items()},
            workers=local_workers(order.setting.preload),
            limits=Limits(order.limits.seconds, fair_share(1)),
            interrupt=reports,
            listener=listener,
        )
    return Answer(Finished(timed))


class Relay:
    """A listener that lets the run call its own."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Return what passes a call on."""

        def call(*arguments: Any) -> None:
            self._reports.add(Event(CALL, {"name": name, "arguments": arguments}))
            self._reports.exchange()

        return call


def _run(order: Order, function: str, job: Any, workplace: Path, reports: Reports) -> Outcome:
    limits = replace(order.limits, memory=order.limits.memory or fair_share(1))
    workers = local_workers(order.setting.preload)
    start = workers.start_cell if isinstance(job, CellJob) else workers.start
    with Pool(1, reports, lambda _, event: reports.add(event)) as pool:
        pool.add(order.name, start(function, job, workplace, limits))
        while True:
            for _, outcome in pool.advance():
                return outcome
            reports.exchange()


@cache
def local_workers(preload: Sequence[str]) -> Workers:
    """Return the workers of this process of Ray, which share what their server has imported."""
    return Workers(preload)


def move(job: Any, before: Path, now: Path) -> Any:
    """Return a job whose paths below one folder are below another, and whose data lies where it does on this node."""
    if not isinstance(job, CellJob):
        return job
    moved = {reason: _move(path, before, now) for reason, path in job.upstream.items()}
    return job.model_copy(
        update={"cell": find_data(job.cell), "folder": _move(job.folder, before, now), "upstream": moved}
    )


def find_data(cell: Cell) -> Cell:
    """Return a cell with the folder of its data on this node: the one where the run has it, else in $SEGBENCH_DATA."""
    root, shared = cell.dataset.root, os.environ.get(DATA_VARIABLE)
    if root is None or shared is None or Path(root).is_dir():
        return cell
    here = Path(shared).expanduser().absolute() / cell.dataset.use.partition("/")[2]
    return cell.model_copy(update={"dataset": cell.dataset.model_copy(update={"root": str(here)})})


def _move(path: str, before: Path, now: Path) -> str:
    return str(now / Path(path).relative_to(before))


@cache
def _place_plugins(files: Sequence[tuple[str, bytes]]) -> list[Path]:
    """Write plugin files where this process finds them; the same content always has the same path."""
    folder, paths = make_temporary_folder(Path(tempfile.gettempdir())), []
    for name, content in files:
        path = folder / sha256(content).hexdigest()[:12] / name
        unpack({name: content}, path.parent)
        paths.append(path)
    return paths
