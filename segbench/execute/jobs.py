"""What a run is about, and the jobs it hands to workers.

From what a worker answered to the record of its cell.

What workers are asked to do, by dotted path: this package never imports torch.

What a cell takes over from cells before it: seconds of training, and the settings of the best trial.

Settled by the parent process just before the cell starts, from records that no longer change, so that a cell which is
resumed takes over the same. The recipe as it is written stays in the record's spec and in the key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segbench.config.protocol import Budget
from segbench.engine.job import CellJob
from segbench.plan.key import names_of, plugin_files
from segbench.store.record import Cost, Record, Settled, Trial

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segbench.config.recipe import Method
    from segbench.engine.job import CellResult, TimingResult
    from segbench.plan.cell import Cell
    from segbench.plan.plan import Plan
    from segbench.store.folder import ResultsFolder
    from segbench.store.record import Failure, Status

    from .pool import Interrupt
    from .progress import Listener
    from .workers import Limits, Workers


@dataclass(frozen=True)
class Functions:
    """The engine's entry points, each "module:function" called with (job, channel).

    `probe` gets the device as the user wrote it and returns the environment with "machine" and the resolved "device";
    the others get a `segbench.engine.job.CellJob`.
    """

    probe: str = "segbench.engine.device:probe"
    preflight: str = "segbench.engine.cell:preflight"
    cell: str = "segbench.engine.cell:run_cell"
    timing: str = "segbench.engine.timing.session:time_cell"


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


def finished_record(
    cell: Cell, result: CellResult, circumstances: Mapping[str, Any], settled: Settled | None = None
) -> Record:
    """Return the record of a cell that ended by itself, finished or stopped early.

    `circumstances` join the environment that the worker found; `settled` is what the cell, which is given as it is
    written, took over.
    """
    environment = {**result.environment, **circumstances}
    return Record(**{**_identity(cell), **dict(result), "settled": settled, "environment": environment})


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


ENGINE = Functions()


# What records round to; a budget of no time at all is none.
SHORTEST_SECONDS = 0.001


def settled(cell: Cell, cells: Mapping[str, Cell], records: Mapping[str, Record]) -> tuple[Cell, Settled | None]:
    """Return the cell as it is to be trained, and what it took over; None if that is nothing.

    `cells` and `records` hold, by key, at least the upstream cells, all ok. The best trial has the largest mIoU on val;
    of equal ones it is the first.
    """
    method, trials = cell.method, _trials(cell, records)
    winner = _best(trials)
    if winner is not None:
        method = method.with_recipe_of(cells[winner].method)
    seconds = _seconds(cell, records)
    if seconds is not None:
        method = _with_budget(method, Budget(seconds=seconds))
    if winner is None and seconds is None:
        return cell, None
    return cell.model_copy(update={"method": method}), Settled(seconds=seconds, trials=trials, winner=winner)


def _trials(cell: Cell, records: Mapping[str, Record]) -> list[Trial]:
    tuning = cell.method.tuning
    if tuning is None:
        return []
    found = [(name, records[_key(cell, reason)]) for reason, name in cell.method.trials.items()]
    return [
        Trial(key=record.key, settings=tuning.trials[name], miou=record.scores.miou if record.scores else None)
        for name, record in found
    ]


def _best(trials: Sequence[Trial]) -> str | None:
    """Return the key of the best trial; one without a mIoU is worse than any other."""
    scores = [-1.0 if trial.miou is None else trial.miou for trial in trials]
    return trials[scores.index(max(scores))].key if trials else None


def _seconds(cell: Cell, records: Mapping[str, Record]) -> float | None:
    if cell.method.protocol.budget.like is None:
        return None
    train = records[_key(cell, "budget")].train
    return max(train.seconds if train else 0.0, SHORTEST_SECONDS)


def _key(cell: Cell, reason: str) -> str:
    key = cell.upstream[reason]
    assert key is not None, "a cell runs only once its data is at hand"
    return key


def _with_budget(method: Method, budget: Budget) -> Method:
    return method.model_copy(update={"protocol": method.protocol.model_copy(update={"budget": budget})})
