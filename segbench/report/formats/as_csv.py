"""A report as CSV, one line for each row of each ranking."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_args

from segbench.config.recipe import Placebo
from segbench.report.ranking.rows import COST_NAMES, TRAINING_PARTS
from segbench.shown import clean_line
from segbench.store.record import Scores

from .columns import check_columns
from .row_data import GenerationData, HealthData, RefinementData, TrainingData, build_row, summary_names
from .tables import verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from segbench.report.ranking.groups import Report
    from segbench.report.ranking.rows import Row


# What makes a cell a formula, in letters of any width.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_BEHIND_SEMICOLON = re.compile('(;[ "]*)(?=[=+@＝＋－＠-])')


def to_csv(report: Report) -> str:
    """Return one line for each row of each ranking, the conditions as columns; what is not known is empty.

    Names are those of JSON, with the name of what they are part of before them; `over_KIND_...` is the difference to
    that placebo. What a claim compares a method with beside its twin, what has a list for each row, and what was
    measured under further conditions, is in JSON only. Cells without a result have no line here: see the other formats.
    """
    return _write(list_lines(report))


def list_lines(report: Report) -> list[dict[str, Any]]:
    """Return the line of each row of each ranking, by column."""
    return [_line(number, report, row) for number, group in enumerate(report.groups) for row in group.rows]


def to_csv_with_classes(report: Report) -> str:
    """Return what `to_csv` does, and a column `class_iou_CLASS` for each class; empty where a dataset has it not."""
    return _write(
        [
            {**_line(number, report, row), **_class_scores(row)}
            for number, group in enumerate(report.groups)
            for row in group.rows
        ]
    )


def _write(lines: Sequence[dict[str, Any]]) -> str:
    return write_csv(lines, list(dict.fromkeys([*COLUMNS, *(column for line in lines for column in line)])))


def write_csv(lines: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """Return lines as CSV with these columns; what a line has not is empty."""
    import pandas as pd

    cells = [[guard(line.get(column)) for column in columns] for line in lines]
    # dtype object keeps whole numbers whole where others of the column are missing
    table = pd.DataFrame(cells, columns=[guard(column) for column in columns], dtype=object)
    return str(table.to_csv(index=False, lineterminator="\n"))


def choose_csv_columns(text: str, names: Sequence[str]) -> str:
    """Return some columns of CSV, in the order of their names; SpecError for an unknown name."""
    import csv
    import io

    header, *lines = csv.reader(io.StringIO(text))
    check_columns(names, header)
    places = [header.index(name) for name in names]
    chosen = io.StringIO()
    csv.writer(chosen, lineterminator="\n").writerows([line[place] for place in places] for line in (header, *lines))
    return chosen.getvalue()


def guard(value: Any) -> Any:
    """Return a cell, text behind an apostrophe if a spreadsheet would take it for a formula.

    Where a list is separated by semicolons, as in much of Europe, a spreadsheet begins a cell behind each.

    >>> guard("=1+1"), guard("-1"), guard("unet"), guard(-1), guard("a;=1+1")
    ("'=1+1", '-1', 'unet', -1, "a;'=1+1")
    """
    if not isinstance(value, str):
        return value
    text = _BEHIND_SEMICOLON.sub(r"\1'", clean_line(value))
    return f"'{text}" if value.startswith(_FORMULA) and not _is_number(value) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _class_scores(row: Row) -> dict[str, float | None]:
    scores = row.class_scores("iou")
    return {f"class_iou_{name}": score for name, score in zip(row.classes or range(len(scores)), scores, strict=True)}


def _line(number: int, report: Report, row: Row) -> dict[str, Any]:
    parts = _parts(number, report, row)
    return {column: _find(parts, path) for column, path in COLUMNS.items()}


def _find(parts: Mapping[str, Any], path: str) -> Any:
    """Return what lies at a dotted path; None if anything on the way is not known."""
    found: Any = parts
    for step in path.split("."):
        found = None if found is None else found.get(step)
    return found


def _parts(number: int, report: Report, row: Row) -> dict[str, Any]:
    """Return a row as in JSON, and what CSV picks out of its lists or writes as one text."""
    data = build_row(number, report.groups[number], row).model_dump(mode="json", by_alias=True)
    batch = _find(data, "conditions.batch_size")
    placebos = {other.method: other.placebo for other in report.groups[number].rows if other.placebo_of == row.method}
    over = {placebos[one["with"]]: one for one in data["comparisons"] if one["relation"] == "placebo"}
    return {
        **data,
        "n": len(data["seeds"]),
        "twin_n": len(data["against_twin"]["seeds"]) if data["against_twin"] else None,
        "overrides": " ".join(data["overrides"]),
        "notes": "; ".join(data["notes"]),
        "scored_on": "; ".join(dict.fromkeys(where.essentials[0] for where in row.scored_under)),
        "timed_sizes": " ".join(map(_size_text, _find(data, "conditions.timed_sizes") or ())),
        "flops_size": _size_text(row.flops_size) if row.flops_size else None,
        "health_text": verdicts(row) if row.verdicts else None,
        "batch1": _at_batch(data["inference"], 1),
        **{f"batch_{stage}": _at_batch(data[stage], batch) for stage in ("inference", "labels", "loading")},
        "tuned": {**data["tuning"][0], "number": len(data["tuning"][0]["trials"])} if data["tuning"] else None,
        "speed_ratio": _find(data, f"against_twin.speed_ratio.{batch}"),
        "over": over,
        "label_fraction": row.label_fraction,
        "exchange_rate": _exchange_rate(number, report, row),
    }


def _at_batch(timings: Sequence[dict[str, Any]], batch: int | None) -> dict[str, Any] | None:
    return next((timing for timing in timings if timing["batch"] == batch), None)


def _exchange_rate(number: int, report: Report, row: Row) -> dict[str, Any] | None:
    curves = [curve for one in report.efficiencies if number in one.groups for curve in one.curves]
    own = next((curve for curve in curves if curve.rows.get(row.label_fraction or 0) is row), None)
    exchange = own.exchange(row.label_fraction or 0) if own else None
    return asdict(exchange.rate) if exchange and exchange.rate else None


def _size_text(size: Sequence[int]) -> str:
    return f"{size[0]}x{size[1]}"


def _columns(prefix: str, path: str, names: Iterable[str]) -> dict[str, str]:
    """Return columns of some names under a path, which may have a place for the name."""
    return {f"{prefix}{name}": path.format(name) for name in names}


_SPEED = {
    "images_per_second": "images_per_second",
    "p50_ms": "latency_ms.p50",
    "p95_ms": "latency_ms.p95",
    "n": "latency_ms.n",
}
_JUDGEMENT = (
    *("low", "high", "level", "verdict", "probability", "probability_low", "probability_high", "p", "sign_flip_p"),
    *("smallest_effect", "seeds_needed"),
)
_IDENTITY = (
    *("group", "benchmark", "dataset", "fingerprint", "subset", "split", "images", "protocol", "method", "twin"),
    *("placebo_of", "scored_only", "n"),
)
_CONDITIONS = (
    *("device", "device_name", "precision", "tf32", "batch_size", "threads", "processes", "compile", "window"),
)

# Where each column is found in what `_parts` returns.
COLUMNS: dict[str, str] = {
    **_columns("", "{}", _IDENTITY),
    **{f"{name}_{part}": f"scores.{name}.{part}" for name in Scores.model_fields for part in ("mean", "sd")},
    **_columns("miou_", "miou_interval.{}", ("low", "high", "standard_error")),
    "tier": "tier",
    **{f"batch1_{name}": f"batch1.{path}" for name, path in _SPEED.items()},
    **{f"batch_{name}": f"batch_inference.{path}" for name, path in _SPEED.items()},
    "batch_labels_images_per_second": "batch_labels.images_per_second",
    "batch_loading_images_per_second": "batch_loading.images_per_second",
    "best_batch": "best_batch.batch",
    "best_batch_images_per_second": "best_batch.images_per_second",
    "joules_per_image": "timing.energy.joules_per_image",
    "timing_session": "timing.session",
    "timing_steady": "timing.steady",
    **_columns("train_", "train.{}.mean", summary_names(TrainingData)),
    **_columns("train_share_", "train.shares.{}.mean", TRAINING_PARTS),
    "trained_as_long_as": "trained_as_long_as",
    "budget_seconds": "budget_seconds.mean",
    "tuning_trials": "tuned.number",
    **_columns("tuning_", "tuned.{}", ("best", "mean", "sd", "low", "high")),
    **_columns("", "cost.{}", COST_NAMES),
    "flops_size": "flops_size",
    **_columns("", "conditions.{}", _CONDITIONS),
    "timed_sizes": "timed_sizes",
    "timing_budget": "conditions.timing_budget",
    "overrides": "overrides",
    "notes": "notes",
    "twin_n": "twin_n",
    **_columns("miou_difference_", "against_twin.miou_difference.{}", ("mean", "sd")),
    "training_time_ratio": "against_twin.training_time_ratio",
    **_columns("twin_", "against_twin.{}", _JUDGEMENT),
    "twin_speed_ratio": "speed_ratio.estimate",
    **_columns("twin_speed_ratio_", "speed_ratio.{}", ("low", "high")),
    **{
        column: path
        for kind in get_args(Placebo)
        for column, path in {
            f"over_{kind}_difference": f"over.{kind}.miou_difference.mean",
            **_columns(f"over_{kind}_", f"over.{kind}.{{}}", _JUDGEMENT),
        }.items()
    },
    "label_fraction": "label_fraction",
    **_columns("exchange_rate_", "exchange_rate.{}", ("estimate", "low", "high", "least", "most", "side")),
    "health": "health_text",
    **_columns("health_", "health.{}.mean", summary_names(HealthData)),
    "generation_features": "generation.features",
    **_columns("generation_", "generation.{}.mean", summary_names(GenerationData)),
    **_columns("refinement_", "refinement.{}.mean", summary_names(RefinementData)),
    "name": "name",
    "beaten_by": "beaten_by",
    "scored_on": "scored_on",
    "torch": "conditions.torch",
    "folds": "folds",
}
