"""Before cells run: every method that has work to do is built and stepped once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from segbench.errors import CellError, PluginError

from .jobs import cell_job, key_of, method_of
from .outcome import Failed, Finished, Outcome, TimedOut
from .pool import Pool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.plan.cell import Cell
    from segbench.store.record import Failure

    from .jobs import Run
    from .workers import Event

# Unless the run has a limit of its own. One step is taken; building may have to fetch pretrained weights.
LIMIT_SECONDS = 600.0


def preflight(run: Run, cells: Sequence[Cell]) -> dict[tuple[str, str], Failure]:
    """Try each (dataset, method) of the cells once; return why those fail that do.

    Raises the SegbenchError in which a user's mistake shows. What a plugin does wrong, and a lack of memory, cost only
    the methods concerned.
    """
    first = {method_of(cell): cell for cell in reversed(cells)}
    by_key = {key_of(cell): cell for cell in cells if first[method_of(cell)] is cell}
    waiting = list(by_key)
    failures: dict[tuple[str, str], Failure] = {}

    def report(key: str, event: Event) -> None:
        run.listener.reported("preflight", by_key[key], event)

    with (
        TemporaryDirectory(prefix="segbench-") as folder,
        Pool(run.workers, run.jobs, run.interrupt, report) as pool,
    ):
        while (waiting or pool.is_busy) and not run.interrupt.requested:
            while waiting and pool.has_room:
                _start(run, pool, by_key[waiting.pop(0)], Path(folder))
            for key, outcome in pool.advance():
                if (failure := _failure(run, by_key[key], outcome)) is not None:
                    failures[method_of(by_key[key])] = failure
    return failures


def _start(run: Run, pool: Pool, cell: Cell, folder: Path) -> None:
    run.listener.started("preflight", cell)
    limits = replace(run.limits, seconds=run.limits.seconds or LIMIT_SECONDS)
    # Not in the cell's own folder: another run may be at work there.
    pool.start(key_of(cell), run.functions.preflight, cell_job(run, cell), folder / key_of(cell), limits)


def _failure(run: Run, cell: Cell, outcome: Outcome) -> Failure | None:
    """Return why a method cannot run, or None if it can; raise a user's mistake."""
    if isinstance(outcome, Failed) and outcome.error and not isinstance(outcome.error, PluginError | CellError):
        raise type(outcome.error)(f"method {cell.method.name!r} on {cell.dataset_name!r}: {outcome.error}")
    failure = None if isinstance(outcome, Finished) else outcome.failure
    if isinstance(outcome, TimedOut):
        cause = f"{outcome.failure.cause} of being built and stepped once (--timeout SECONDS allows another time)"
        failure = outcome.failure.model_copy(update={"cause": cause})
    run.listener.ended("preflight", cell, "failed" if failure else "ok", failure)
    return failure
