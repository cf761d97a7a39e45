"""What a run is about, and the jobs it hands to workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segbench.engine.job import CellJob

from .settle import settled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segbench.plan.build import Plan
    from segbench.plan.cell import Cell
    from segbench.store.folder import ResultsFolder
    from segbench.store.record import Settled

    from .functions import Functions
    from .interrupt import Interrupt
    from .listener import Listener
    from .workers import Limits, Workers


@dataclass(frozen=True)
class Run:
    """Everything the phases of one run share; `environment` is where its workers run."""

    plan: Plan
    folder: ResultsFolder
    workers: Workers
    jobs: int
    limits: Limits
    functions: Functions
    listener: Listener
    interrupt: Interrupt
    environment: Mapping[str, Any]
    checkpoint_seconds: float

    @property
    def device(self) -> str:
        """The device that all cells use."""
        return str(self.environment["device"])

    @property
    def circumstances(self) -> dict[str, Any]:
        """What belongs to every record's environment though no key covers it."""
        return {"jobs": self.jobs, "checkpoint_seconds": self.checkpoint_seconds}


def key_of(cell: Cell) -> str:
    """Return the key of a cell that can run."""
    assert cell.key is not None, "a cell runs only once its data is at hand"
    return cell.key


def method_of(cell: Cell) -> tuple[str, str]:
    """Return what is tried before cells run: a method on a dataset."""
    return cell.dataset_name, cell.method.name


def upstream_of(cell: Cell) -> dict[str, str]:
    """Return the keys of the cells that a cell needs, by reason."""
    return {reason: key for reason, key in cell.upstream.items() if key is not None}


def settle(run: Run, cell: Cell) -> tuple[Cell, Settled | None]:
    """Return the cell as it is to be trained, and what it took over from upstream cells.

    It is returned as it is written, with None, where there is nothing to take over or not all of them are ok yet.
    """
    if cell.method.tuning is None and cell.method.protocol.budget.like is None:
        return cell, None
    records = {key: run.folder.read(key) for key in upstream_of(cell).values()}
    finished = {key: record for key, record in records.items() if record is not None and record.status == "ok"}
    if len(finished) < len(records):
        return cell, None
    return settled(cell, {key_of(planned): planned for planned in run.plan.cells}, finished)


def cell_job(run: Run, cell: Cell) -> CellJob:
    """Return the job of a cell as it is to be trained; paths are absolute, for a worker has its own working folder."""
    path = run.folder.path.absolute()
    upstream = {reason: str(path / key) for reason, key in upstream_of(cell).items()}
    return CellJob(
        cell=settle(run, cell)[0],
        folder=str(path / key_of(cell)),
        device=run.device,
        upstream=upstream,
        checkpoint_seconds=run.checkpoint_seconds,
    )
