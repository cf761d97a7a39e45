"""From what a worker answered to the record of its cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench.plan.plugin_files import names_of, plugin_files
from segbench.store.record import Cost, Record

from .jobs import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segbench.engine.job import CellResult, TimingResult
    from segbench.plan.cell import Cell
    from segbench.store.record import Failure, Settled, Status

# Fields that a record takes over from what a worker answers.
MEASURED = (
    "scores",
    "per_class",
    "definitions",
    "evaluated",
    "train",
    "cost",
    "health",
    "generation",
    "refinement",
    "provenance",
)


def finished_record(
    cell: Cell, result: CellResult, circumstances: Mapping[str, Any], settled: Settled | None = None
) -> Record:
    """Return the record of a cell that ended by itself, finished or stopped early.

    `circumstances` join the environment that the worker found; `settled` is what the cell, which is given as it is
    written, took over.
    """
    measured = {name: getattr(result, name) for name in MEASURED}
    environment = {**result.environment, **circumstances}
    return Record(**_identity(cell), status=result.status, settled=settled, environment=environment, **measured)


def unfinished_record(cell: Cell, status: Status, failure: Failure, environment: Mapping[str, Any]) -> Record:
    """Return the record of a cell that failed, was skipped or was killed."""
    return Record(**_identity(cell), status=status, environment=dict(environment), error=failure)


def timed_record(record: Record, result: TimingResult) -> Record:
    """Return a record with how fast its method is and how that was measured, and its peak memory, filled in."""
    cost = record.cost or Cost(
        parameters=None, flops=None, flops_size=None, train_peak_bytes=None, inference_peak_bytes=None
    )
    cost = cost.model_copy(update={"inference_peak_bytes": result.inference_peak_bytes})
    timed = {"inference": list(result.inference), "timing": result.timing, "cost": cost}
    return record.model_copy(update=timed)


def _identity(cell: Cell) -> dict[str, Any]:
    return {
        "key": key_of(cell),
        "benchmark": cell.benchmark,
        "dataset": cell.dataset_name,
        "subset": cell.subset,
        "method": cell.method.name,
        "seed": cell.seed,
        "spec": cell.model_dump(mode="json", exclude={"dataset": {"root"}}),
        "plugin_files": plugin_files(names_of(cell)),
    }
