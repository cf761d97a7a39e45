"""How many cells run at once on a device where that is left to measurements (`--jobs auto`).

The first cell of a method runs alone and tells among its events what it took. Further ones run beside others as long as
what all take adds up to no more than there is. What was not measured or cannot be read counts as all that there is, so
its cells run alone.
"""

from __future__ import annotations

from math import fsum
from typing import TYPE_CHECKING, NamedTuple

from segbench.plan.machine import likely_gpus, usable_cores
from segbench.store.folder import files_of
from segbench.store.sharing import read_usage, shares_gpu

from .jobs import key_of, method_of
from .processes import format_bytes, free_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from segbench.plan.cell import Cell
    from segbench.store.folder import ResultsFolder
    from segbench.store.record import Record

    from .progress import Listener

_USABLE = 0.9  # of the memory of a GPU: several processes leave gaps in it
_ALL = 1 + 1e-9  # shares of a third add up to a little more than 1


class Need(NamedTuple):
    """What a cell takes, as shares of what all cells at once have: time and memory of a GPU, memory and cores here."""

    time: float = 1.0
    gpu_memory: float = 1.0
    memory: float = 1.0
    cores: float = 1.0

    @property
    def at_once(self) -> int:
        """How many such cells there is room for, at least one."""
        return max(1, int(_ALL / max(self)))


class Capacity:
    """The room for cells on one device, and what each (dataset, method) of a run was measured to need there.

    Where this machine has several GPUs, each has an equal part of its cores and memory.
    """

    def __init__(
        self, environment: Mapping[str, object], cells: Iterable[Cell], folder: ResultsFolder, listener: Listener
    ) -> None:
        self._machine, self._device = environment["machine"], str(environment["device"])
        self._cells = {key_of(cell): cell for cell in cells}
        self._folder, self._listener = folder, listener
        self._on_gpu = self._device.startswith("cuda")
        gpus = max(1, likely_gpus()) if self._on_gpu else 1
        self.most_cells = max(1, usable_cores() // gpus)
        self._memory = (free_bytes() or 0) / gpus
        self._needs: dict[tuple[str, str], Need] = {}

    def fits(self, cell: Cell, beside: Iterable[str]) -> bool:
        """Return whether a cell can start beside those that run, which are given by their keys."""
        return self._has_room(self._need_of(cell), beside)

    def is_full(self, running: Iterable[str]) -> bool:
        """Return whether no cell of a method that was measured could start beside those that run."""
        running = list(running)
        return bool(running) and not any(self._has_room(need, running) for need in self._needs.values())

    def learn(self, records: Iterable[Record]) -> None:
        """Note what recorded cells took that ran alone on this device; the last one of each method counts."""
        for method, record in {(one.dataset, one.method): one for one in records if self._ran_alone(one)}.items():
            if method not in self._needs and (usage := read_usage(files_of(self._folder.path, record))):
                cell = self._cells[record.key]
                self._needs[method] = need = self._measure(cell, usage)
                where = f"{cell.method.name} ({cell.dataset_name}) on {self._device}"
                self._listener.notice(f"{where}: {self._describe(cell, usage)} alone, so {need.at_once} at once")

    def isolate(self, cell: Cell) -> None:
        """Let the cells of a cell's method run alone from now on."""
        self._needs[method_of(cell)] = Need()

    def _need_of(self, cell: Cell) -> Need:
        return self._needs.get(method_of(cell), Need())

    def _has_room(self, need: Need, beside: Iterable[str]) -> bool:
        others = [self._need_of(self._cells[key]) for key in beside]
        return not others or all(fsum(shares) <= _ALL for shares in zip(need, *others, strict=True))

    def _ran_alone(self, record: Record) -> bool:
        """Return whether a record is that of a cell on one such device, on which no other one of its run was."""
        here = record.status == "ok" and record.environment.get("machine") == self._machine
        return here and not shares_gpu(record.environment) and self._cells[record.key].method.protocol.processes == 1

    def _measure(self, cell: Cell, usage: Mapping[str, float]) -> Need:
        memory = usage.get("host_bytes", self._memory) / self._memory if self._memory else 1.0
        if not self._on_gpu:
            return Need(0.0, 0.0, memory, _threads(cell) / self.most_cells)
        total = usage.get("device_total_bytes", 0.0) * _USABLE
        gpu_memory = usage.get("device_bytes", total) / total if total else 1.0
        return Need(usage.get("busy", 1.0), gpu_memory, memory, 1 / self.most_cells)

    def _describe(self, cell: Cell, usage: Mapping[str, float]) -> str:
        memory = f"{_size(usage.get('host_bytes'))} of {_size(self._memory)}"
        if not self._on_gpu:
            return f"{memory} and {_threads(cell)} of {self.most_cells} cores"
        busy = f"{100 * usage['busy']:.0f} % busy" if "busy" in usage else "busy share unknown (extra nvml)"
        gpu_memory = f"{_size(usage.get('device_bytes'))} of {_size(usage.get('device_total_bytes'))}"
        return f"{gpu_memory}, {busy}, and {memory} of the host"


def _threads(cell: Cell) -> int:
    return cell.method.protocol.threads or 1


def _size(size: float | None) -> str:
    return format_bytes(size) if size else "unknown memory"
