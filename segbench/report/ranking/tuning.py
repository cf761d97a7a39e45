"""How methods were tuned: the mIoU of the best trial beside that of all trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.report.folds import folds_of
from segbench.report.numbers import MISSING, Column, build_table, percent, percent_with_sd
from segbench.stats.summary import summarize

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from segbench.report.numbers import Table
    from segbench.stats.summary import Summary
    from segbench.store.record import FromUpstream, Trial

    from .rows import Row


class Tuning(NamedTuple):
    """A row's trials in order, and the key of the one whose settings it was trained with."""

    row: Row
    trials: tuple[Trial, ...]
    winner: str | None

    @property
    def miou(self) -> Summary:
        """The mIoU of all trials on the val split, in [0, 1]."""
        return summarize(trial.miou for trial in self.trials)

    @property
    def best(self) -> float | None:
        """The mIoU of the winner on the val split."""
        return next((trial.miou for trial in self.trials if trial.key == self.winner), None)

    @property
    def ends(self) -> tuple[float, float] | None:
        """The smallest and the largest mIoU of the trials."""
        found = [trial.miou for trial in self.trials if trial.miou is not None]
        return (min(found), max(found)) if found else None

    @property
    def settings(self) -> Mapping[str, Any] | None:
        """The settings that won, by dotted key."""
        return next((trial.settings for trial in self.trials if trial.key == self.winner), None)


def find_tunings(rows: Iterable[Row]) -> list[Tuning]:
    """Return the tuning of each row; where seeds or test folds were tuned separately, one for each set of trials."""
    return [one for row in rows for one in _tunings_of(row)]


def tuning_table(found: Sequence[Tuning]) -> Table:
    """Return how the trials of tuned methods came out on val."""
    columns: list[Column[Tuning]] = [
        Column("method", lambda one: one.row.name),
        Column("trials", lambda one: str(len(one.trials))),
        Column("best\n[%]", lambda one: percent(one.best)),
        Column("all\n[%]", lambda one: percent_with_sd(one.miou)),
        Column("from - to\n[%]", _ends),
        Column("settings that won", _settings, is_words=True),
    ]
    return build_table(columns, found, "Tuning: mIoU on val", "tuning")


def _tunings_of(row: Row) -> list[Tuning]:
    cells = [one for record in row.records for one in folds_of(record)]
    found = [cell.settled for cell in cells if cell.settled and cell.settled.trials]
    distinct: dict[str, FromUpstream] = {one.model_dump_json(include={"trials", "winner"}): one for one in found}
    return [Tuning(row, tuple(one.trials), one.winner) for one in distinct.values()]


def _ends(one: Tuning) -> str:
    return MISSING if one.ends is None else " - ".join(map(percent, one.ends))


def _settings(one: Tuning) -> str:
    return ", ".join(f"{key}={value}" for key, value in (one.settings or {}).items()) or MISSING
