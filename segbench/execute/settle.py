"""What a cell takes over from cells before it: seconds of training, and the settings of the best trial.

Settled by the parent process just before the cell starts, from records that no longer change, so that a cell which is
resumed takes over the same. The recipe as it is written stays in the record's spec and in the key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.spec.protocol import Budget
from segbench.store.record import Settled, Trial

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segbench.plan.cell import Cell
    from segbench.spec.recipe import Method
    from segbench.store.record import Record

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
