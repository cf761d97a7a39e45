"""A run, the jobs that it gives to workers, and the records that it makes of their answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from segbench.config.protocol import Budget
from segbench.engine.job import CellJob
from segbench.store.folder import files_of
from segbench.store.plugin_copies import plugin_files
from segbench.store.record import Cost, FromUpstream, Record, Trial

from .processes import fair_share
from .workers import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from segbench.engine.job import CellResult, TimingResult
    from segbench.plan.cell import Cell
    from segbench.store.folder import ResultsFolder
    from segbench.store.record import Failure, Status

    from .capacity import Capacity
    from .pool import Interrupt
    from .progress import Listener
    from .workers import Workers

# The shortest budget that a cell takes over: records round seconds to it, and a budget must be above 0.
SHORTEST_SECONDS = 0.001
# The reasons for which a cell takes no more of another one than what its record tells.
RECORD_IS_ENOUGH = ("budget", "trial")


@dataclass(frozen=True)
class Functions:
    """The engine's entry points, each "module:function" called with (job, channel): this package never imports torch.

    `probe` gets the device as the user wrote it and returns the environment with "machine" and the resolved "device";
    the others get a `segbench.engine.job.CellJob`.
    """

    probe: str = "segbench.engine.device:probe"
    preflight: str = "segbench.engine.cell:preflight"
    cell: str = "segbench.engine.cell:run_cell"
    timing: str = "segbench.engine.timing.session:time_cell"


ENGINE = Functions()


@dataclass(frozen=True)
class RunOptions:
    """How cells are run, by the names of the options of `segbench run`.

    - device: auto, cpu, cuda or cuda:N
    - jobs: how many cells at once on each device, or "auto", which begins with one and measures
    - timeout: seconds of a cell
    - memory_limit: GB (10^9 bytes) of a worker, by default its share of 90 % of the machine's memory
    - checkpoint_every: seconds between two checkpoints
    """

    device: str = "auto"
    jobs: int | Literal["auto"] = 1
    timeout: float | None = None
    memory_limit: float | None = None
    checkpoint_every: float = 120.0

    @property
    def least_jobs(self) -> int:
        """How many cells run at once at least, where there are so many."""
        return 1 if self.jobs == "auto" else self.jobs

    @property
    def limits(self) -> Limits:
        """What a worker may use."""
        memory = fair_share(self.least_jobs) if self.memory_limit is None else int(self.memory_limit * 1e9)
        return Limits(self.timeout, memory)

    def on_each_of(self, devices: int) -> RunOptions:
        """Return these options for a run on one of so many devices of this machine, which share its memory."""
        if self.memory_limit is not None or (memory := fair_share(self.least_jobs * devices)) is None:
            return self
        return replace(self, memory_limit=memory / 1e9)


@dataclass(frozen=True)
class Run:
    """Everything the phases of one run share; `cells` are by key, `environment` is where its workers run.

    `jobs` cells share a device, `at_once` run at once on all devices; with a `capacity`, which measures how many there
    is room for, both are 1. `is_pulled` tells a pull worker from a run of its own.
    """

    cells: Mapping[str, Cell]
    folder: ResultsFolder
    workers: Workers
    jobs: int
    limits: Limits
    functions: Functions
    listener: Listener
    interrupt: Interrupt
    environment: Mapping[str, Any]
    checkpoint_seconds: float
    at_once: int
    is_pulled: bool = False
    capacity: Capacity | None = None

    @property
    def device(self) -> str:
        """The device that all cells use."""
        return str(self.environment["device"])

    @property
    def run_settings(self) -> dict[str, Any]:
        """The settings of the run that every record's environment names; no cell key depends on them."""
        return {"jobs": self.jobs, "checkpoint_seconds": self.checkpoint_seconds}


def key_of(cell: Cell) -> str:
    """Return the key of a cell that can run."""
    assert cell.key is not None, "a cell runs only once its data is there"
    return cell.key


def method_of(cell: Cell) -> tuple[str, str]:
    """Return the (dataset, method) of a cell; each is tried once before cells run."""
    return cell.dataset_name, cell.method.name


def upstream_of(cell: Cell) -> dict[str, str]:
    """Return the keys of the cells that a cell needs, by reason."""
    return {reason: key for reason, key in cell.upstream.items() if key is not None}


def cell_job(run: Run, cell: Cell, folder: Path, upstream: Mapping[str, Record | None]) -> CellJob:
    """Return the job of a cell as it is to be trained; paths are absolute, as a worker has its own working folder."""
    path = run.folder.path.absolute()
    return CellJob(
        cell=cell,
        folder=str(folder.absolute()),
        device=run.device,
        upstream={reason: str(files_of(path, record)) for reason, record in upstream.items() if record is not None},
        checkpoint_seconds=run.checkpoint_seconds,
        share=1 / run.jobs,
    )


def read_upstream(run: Run, cell: Cell, known: Mapping[str, Record] | None = None) -> dict[str, Record | None]:
    """Return the records of the cells that a cell needs, by reason; those not in `known` are read."""
    known = known or {}
    return {reason: known.get(key) or run.folder.read(key) for reason, key in upstream_of(cell).items()}


def resolve_upstream(
    cell: Cell, cells: Mapping[str, Cell], upstream: Mapping[str, Record | None]
) -> tuple[Cell, FromUpstream | None]:
    """Return the cell as it is to be trained, and what it takes over from its upstream cells.

    It takes over the recipe of the best trial of its tuning (the largest mIoU on val, of equal ones the first) and the
    seconds of training of the method that its budget names. `cells` are those of the plan by key, `upstream` the
    records of the cells that it needs, by reason. If it takes nothing over, or if not all of these are ok yet, the cell
    is returned unchanged, with None. Records of upstream cells do not change any more, so a resumed cell takes over the
    same. Its own record keeps the spec and key of the recipe as the benchmark file has it.
    """
    records = {reason: record for reason, record in upstream.items() if record is not None and record.status == "ok"}
    if len(records) < len(upstream):
        return cell, None
    method, trials = cell.method, _read_trials(cell, records)
    winner, seconds = _best_trial(trials), _budget_seconds(cell, records)
    if winner is None and seconds is None:
        return cell, None
    if winner is not None:
        method = method.with_recipe_of(cells[winner].method)
    if seconds is not None:
        method = method.with_protocol(budget=Budget(seconds=seconds))
    return cell.model_copy(update={"method": method}), FromUpstream(seconds=seconds, trials=trials, winner=winner)


def _read_trials(cell: Cell, records: Mapping[str, Record]) -> list[Trial]:
    tuning = cell.method.tuning
    if tuning is None:
        return []
    found = [(name, records[reason]) for reason, name in cell.method.trials.items()]
    return [
        Trial(key=record.key, settings=tuning.trials[name], miou=record.scores.miou if record.scores else None)
        for name, record in found
    ]


def _best_trial(trials: Sequence[Trial]) -> str | None:
    """Return the key of the best trial; one without a mIoU is worse than any other."""
    scores = [-1.0 if trial.miou is None else trial.miou for trial in trials]
    return trials[scores.index(max(scores))].key if trials else None


def _budget_seconds(cell: Cell, records: Mapping[str, Record]) -> float | None:
    if cell.method.protocol.budget.like is None:
        return None
    train = records["budget"].train
    return max(train.seconds if train else 0.0, SHORTEST_SECONDS)


def finished_record(
    cell: Cell, result: CellResult, run_settings: Mapping[str, Any], from_upstream: FromUpstream | None = None
) -> Record:
    """Return the record of a cell that ended by itself, finished or stopped early.

    `cell` is given as the benchmark file has it, `from_upstream` is what it took over; `run_settings` join the
    environment that the worker found.
    """
    environment = {**result.environment, **run_settings}
    return Record(**{**_identity(cell), **dict(result), "settled": from_upstream, "environment": environment})


def unfinished_record(cell: Cell, status: Status, failure: Failure, environment: Mapping[str, Any]) -> Record:
    """Return the record of a cell that failed, was skipped or was killed."""
    return Record(**_identity(cell), status=status, environment=dict(environment), error=failure)


def add_timing(record: Record, result: TimingResult) -> Record:
    """Return a record with what timing measured: the rows, how they were taken, and the peak memory."""
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
        "plugin_files": plugin_files(cell.component_names),
    }
