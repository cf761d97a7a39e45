"""A table of the columns that a user chooses, and the names of the columns there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.errors import SpecError, nearest
from segbench.report.numbers import MISSING, Column
from segbench.report.ranking.differences import comparison_with_twin

from .tables import (
    HEALTH,
    INFERENCE_MEMORY,
    INTERVAL,
    MIOU,
    PARAMETERS,
    PIXEL_ACCURACY,
    SCORE_HEADERS,
    SEEDS,
    TIER,
    TRAINING_MEMORY,
    TRAINING_SECONDS,
    TRAINING_SPEED,
    TRAINING_STEPS,
    difference_text,
    flops,
    latency,
    marked_name,
    place_column,
    quality_columns,
    table_of_rows,
    throughput,
    verdict_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from segbench.report.numbers import Table
    from segbench.report.ranking.differences import Comparison
    from segbench.report.ranking.groups import Group
    from segbench.report.ranking.rows import Row


def choose_columns(group: Group, letters: Mapping[str, str], names: Sequence[str]) -> Table:
    """Return a table of all rows of a ranking, their names and the columns named; SpecError for an unknown name."""
    known = _columns_by_name(group)
    check_columns(names, list(known))
    columns = [marked_name(letters), *(known[name] for name in names)]
    return table_of_rows(columns, group.rows, name="rows")


def split_names(text: str | None) -> list[str]:
    """Return the names in "miou,tier", each once.

    >>> split_names("miou, tier,miou"), split_names(None)
    (['miou', 'tier'], [])
    """
    return list(dict.fromkeys(filter(None, map(str.strip, (text or "").split(",")))))


def check_columns(names: Sequence[str], known: Sequence[str]) -> None:
    """Raise SpecError for the first column that is not known, with the names of those that are."""
    for name in names:
        if name not in known:
            raise SpecError(f"--columns {name}: no such column.{nearest(name, known)} Columns: {', '.join(known)}")


def _columns_by_name(group: Group) -> dict[str, Column[Row]]:
    """Return the columns that can be chosen; those of speed are at the batch size of the protocol, and at 1."""
    batch = (group.conditions and group.conditions.batch_size) or 1
    return {
        "miou": MIOU,
        "interval": INTERVAL,
        "tier": TIER,
        "seeds": SEEDS,
        "pixel_accuracy": PIXEL_ACCURACY,
        **dict(zip(SCORE_HEADERS, quality_columns(), strict=True)),
        "difference": Column("A - twin\n[points]", of_twin(group, difference_text)),
        "verdict": Column("verdict", of_twin(group, verdict_text), is_words=True),
        "images_per_second": throughput(batch),
        "images_per_second_1": throughput(1),
        "latency": latency(batch),
        "latency_1": latency(1),
        "parameters": PARAMETERS,
        "flops": flops(group.rows),
        "inference_memory": INFERENCE_MEMORY,
        "train_seconds": TRAINING_SECONDS,
        "train_images_per_second": TRAINING_SPEED,
        "train_steps": TRAINING_STEPS,
        "train_memory": TRAINING_MEMORY,
        "health": HEALTH._replace(is_words=True),
        "ran_under": place_column(group),
    }


def of_twin(group: Group, text: Callable[[Comparison], str]) -> Callable[[Row], str]:
    """Return the function for the cells of what is said of a row beside its twin."""

    def cell(row: Row) -> str:
        twin = comparison_with_twin(group.comparisons, row)
        return text(twin) if twin else MISSING

    return cell
