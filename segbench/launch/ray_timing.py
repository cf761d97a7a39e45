"""Timing on a cluster of Ray: the methods of a machine are timed on one of its nodes, which Ray gives nothing else."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.execute.jobs import key_of, read_upstream, upstream_of
from segbench.execute.progress import NoProgress
from segbench.execute.run import run as run_cells
from segbench.execute.temporary import temporary_folder
from segbench.execute.timing import complete, find_groups, lacks_timing, timing_in
from segbench.execute.workers import Died, Event
from segbench.store.folder import ResultsFolder, files_of

from .parcels import pack_cell, unpack
from .ray_cluster import Need
from .ray_node import Reports, Setting, find_data, local_workers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segbench.execute.jobs import Run
    from segbench.execute.progress import Activity
    from segbench.execute.timing import Group
    from segbench.plan.cell import Cell
    from segbench.store.record import Failure, Record, Status

    from .parcels import Parcel
    from .ray_cluster import Node
    from .ray_workers import RayWorkers, Task

_LOOK_SECONDS = 0.1
_CALL = "call"  # the event that stands for a call of the listener of a run


@dataclass(frozen=True)
class Order:
    """The cells whose methods are to be timed, and those that they build on, all recorded."""

    name: str
    setting: Setting
    benchmark: str
    cells: tuple[Cell, ...]
    device: str
    timeout: float | None


class Relay(NoProgress):
    """Passes on what a run on a node tells of timing."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    def started(self, activity: Activity, cell: Cell) -> None:
        """Pass it on."""
        self._call("started", activity, cell)

    def reported(self, activity: Activity, cell: Cell, event: Event) -> None:
        """Pass it on."""
        self._call("reported", activity, cell, event)

    def ended(self, activity: Activity, cell: Cell, status: Status, failure: Failure | None) -> None:
        """Pass it on."""
        self._call("ended", activity, cell, status, failure)

    def notice(self, message: str) -> None:
        """Pass it on."""
        self._call("notice", message)

    def _call(self, name: str, *arguments: Any) -> None:
        self._reports.add(Event(_CALL, {"name": name, "arguments": arguments}))
        self._reports.exchange()


def time_here(order: Order, mailbox: Any, *parcels: Parcel) -> tuple[dict[str, Record], dict[str, Failure]]:
    """Time methods on this node: a run of cells that are all recorded does nothing else.

    Returns the records that have a timing now, by key, and the failures by the cell's label.
    """
    order.setting.enter()
    with temporary_folder() as root:
        folder = ResultsFolder(Path(root), order.benchmark)
        for parcel in parcels:
            unpack(parcel, folder.path)
        summary = run_cells(
            [find_data(cell) for cell in order.cells],
            folder,
            device=order.device,
            timeout=order.timeout,
            listener=Relay(Reports(order.name, mailbox)),
            workers=local_workers(order.setting.preload),
        )
        found = {key_of(cell): folder.read(key_of(cell)) for cell in order.cells if not lacks_timing_in(folder, cell)}
        return {key: record for key, record in found.items() if record is not None}, dict(summary.untimed)


def lacks_timing_in(folder: ResultsFolder, cell: Cell) -> bool:
    """Return whether the record of a cell lacks a timing."""
    record = folder.read(key_of(cell))
    return record is None or record.timing is None or lacks_timing(cell, record)


def time_on_nodes(
    workers: RayWorkers, nodes: Mapping[str, tuple[Node, Mapping[str, Any]]], run: Run, records: Mapping[str, Record]
) -> dict[str, Failure]:
    """Time methods where their cells ran, on one node of each machine; see `time_methods`.

    A node that times does nothing else of Ray's, since the task takes all that it has.
    """
    sessions: list[tuple[Task, Run, list[Group]]] = []
    for node, environment in nodes.values():
        here = replace(run, environment=environment)
        if groups := find_groups(here):
            sessions.append((_start(workers, here, groups, node), here, groups))
    try:
        while any(task.running for task, *_ in sessions) and not run.interrupt.requested:
            for task, *_ in sessions:
                _replay(run, task.events())
            time.sleep(_LOOK_SECONDS)
        if run.interrupt.requested:
            return {}
        return {label: failure for one in sessions for label, failure in _finish(*one).items()}
    finally:
        for task, *_ in sessions:
            task.cancel()


def _start(workers: RayWorkers, run: Run, groups: Sequence[Group], node: Node) -> Task:
    """Let a node time a method of each group: the first of its cells, with what it builds on."""
    place = run.folder.path.absolute()
    cells: dict[str, Cell] = {}
    files: dict[str, Path] = {}
    for (cell, record), *_ in groups:
        upstream = {one.key: one for one in read_upstream(run, cell).values() if one is not None}
        cells |= {key: run.cells[key] for key in upstream_of(cell).values()} | {record.key: cell}
        files |= {key: files_of(place, one) for key, one in {**upstream, record.key: record}.items()}
    name = f"timing {secrets.token_hex(4)}"
    in_order = tuple(cell for key, cell in run.cells.items() if key in cells)
    order = Order(name, workers.setting, run.folder.benchmark, in_order, run.device, run.limits.seconds)
    whole = Need(int(node.cpus), node.gpus)
    parcels = [workers.tasks.keep(pack_cell(path, place)) for path in files.values()]
    return workers.tasks.submit(time_here, name, order, whole, *parcels, node=node)


def _finish(task: Task, run: Run, groups: Sequence[Group]) -> dict[str, Failure]:
    """Complete the records of groups with what a task has measured; return failures by the cell's label."""
    _replay(run, task.events())
    answer: tuple[dict[str, Record], dict[str, Failure]] | Died = task.result()
    if isinstance(answer, Died):
        return {group[0][0].label: answer.failure for group in groups}
    timed, untimed = answer
    for group in groups:
        if (record := timed.get(key_of(group[0][0]))) is not None:
            complete(run, group, timing_in(record))
    return untimed


def _replay(run: Run, events: Sequence[Event]) -> None:
    for event in events:
        if event.name == _CALL:
            getattr(run.listener, event.fields["name"])(*event.fields["arguments"])
