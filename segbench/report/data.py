"""A report as data: JSON and CSV, with stable names, for programs to read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .rows import COST_NAMES, GENERATION_NAMES, REFINEMENT_NAMES, SCORE_NAMES
from .tables import verdicts
from .twins import compare

if TYPE_CHECKING:
    from segbench.stats.summary import Summary
    from segbench.store.record import Inference, Record

    from .conditions import Conditions
    from .groups import Group, Report
    from .rows import Row

TRAIN_NAMES = ("steps", "seconds", "images_per_second")
HEALTH_NAMES = (
    "ratio",
    "cosine",
    "real_accuracy",
    "fake_accuracy",
    "validation_accuracy",
    "overfit",
    "top_probability",
    "entropy",
    "diversity",
    "nearest",
)
CONDITION_NAMES = (
    "device",
    "device_name",
    "precision",
    "tf32",
    "batch_size",
    "threads",
    "compile",
    "window",
    "timed_sizes",
    "timing_budget",
)


def to_json(report: Report) -> str:
    """Return `{"rows": [...], "helpers": [...], "without_result": [...], "problems": [...], "records": [...]}`.

    A row belongs to the ranking that `group` numbers, from 0; rows of different groups are never to be compared. Label
    maps that were only scored have a row in each group whose data they share. `helpers` are cells that only served
    others and are in no ranking. Scores and their differences to the twin are fractions of 1, missing numbers null.
    """
    content = {
        "rows": [_json_row(number, group, row) for number, group in enumerate(report.groups) for row in group.rows],
        "helpers": [_json_cell(record) for record in report.helpers],
        "without_result": [_json_cell(record) for record in report.without_result],
        "problems": [str(problem) for problem in report.problems],
        "records": [str(folder) for folder in report.folders],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(report: Report) -> str:
    """Return one line for each row of each ranking, the conditions as columns; missing values are empty.

    Cells without a result have no line here: see the other formats.
    """
    import pandas as pd

    lines = [_csv_row(number, group, row) for number, group in enumerate(report.groups) for row in group.rows]
    # dtype object keeps whole numbers whole where others of the column are missing
    return str(pd.DataFrame(lines, columns=CSV_COLUMNS, dtype=object).to_csv(index=False, lineterminator="\n"))


def _json_row(number: int, group: Group, row: Row) -> dict[str, Any]:
    return {
        "group": number,
        **_identity(group, row),
        "seeds": list(row.seeds),
        "keys": [record.key for record in row.records],
        "conditions": _conditions(row.conditions and group.conditions),
        "overrides": list(row.overrides),
        "notes": list(row.notes),
        "scores": {name: row.score(name)._asdict() for name in SCORE_NAMES},
        "class_iou": row.class_iou(),
        "train": {name: row.train(name)._asdict() for name in TRAIN_NAMES},
        "inference": [timing.model_dump(mode="json") for timing in row.inference.values()],
        "cost": {**{name: row.cost(name) for name in COST_NAMES}, "flops_size": row.flops_size},
        "against_twin": _json_comparison(group, row),
        "health": _json_health(row),
        "generation": _json_generation(row),
        "refinement": _json_refinement(row),
    }


def _json_comparison(group: Group, row: Row) -> dict[str, Any] | None:
    comparison = compare(row, group)
    if comparison.twin is None:
        return None
    return {
        "seeds": list(comparison.miou.seeds),
        "miou_difference": comparison.miou.summary._asdict(),
        "exploratory": comparison.miou.is_exploratory,
        "training_time_ratio": comparison.time_ratio,
    }


def _json_health(row: Row) -> dict[str, Any] | None:
    if not row.verdicts:
        return None
    judged = [(record.seed, record.health) for record in row.records if record.health]
    return {
        "verdicts": {verdict: len(seeds) for verdict, seeds in row.verdicts.items()},
        "seeds": [{"seed": seed, "verdict": health.verdict, "reason": health.reason} for seed, health in judged],
        **{name: row.health(name)._asdict() for name in HEALTH_NAMES},
    }


def _json_generation(row: Row) -> dict[str, Any] | None:
    if row.features is None:
        return None
    return {"features": row.features, **{name: row.generation(name)._asdict() for name in GENERATION_NAMES}}


def _json_refinement(row: Row) -> dict[str, Any] | None:
    if row.refinement("changed").n == 0:
        return None
    return {"base": row.base, **{name: row.refinement(name)._asdict() for name in REFINEMENT_NAMES}}


def _identity(group: Group, row: Row) -> dict[str, Any]:
    return {
        "benchmark": group.data.benchmark,
        "dataset": group.data.dataset,
        "fingerprint": group.data.fingerprint,
        "subset": group.data.subset,
        "split": group.data.split,
        "images": group.data.images,
        "protocol": group.protocol,
        "method": row.method,
        "twin": row.twin,
        "placebo_of": row.placebo_of,
        "scored_only": row.scored_only,
    }


def _conditions(conditions: Conditions | None) -> dict[str, Any] | None:
    if conditions is None:
        return None
    found = {name: getattr(conditions, name) for name in CONDITION_NAMES if name != "timed_sizes"}
    return {**found, "timed_sizes": conditions.sizes}


def _json_cell(record: Record) -> dict[str, Any]:
    names = ("key", "benchmark", "dataset", "subset", "method", "seed", "status")
    return {
        **{name: getattr(record, name) for name in names},
        "cause": record.error.cause if record.error else None,
        "plugin": record.error.plugin if record.error else None,
    }


CSV_COLUMNS = [
    *("group", "benchmark", "dataset", "fingerprint", "subset", "split", "images", "protocol", "method", "twin"),
    *("placebo_of", "scored_only"),
    "n",
    *(f"{name}_{part}" for name in SCORE_NAMES for part in ("mean", "sd")),
    *(f"batch1_{name}" for name in ("images_per_second", "p50_ms", "p95_ms", "n")),
    *(f"batch_{name}" for name in ("images_per_second", "p50_ms", "p95_ms", "n")),
    *(f"train_{name}" for name in TRAIN_NAMES),
    *COST_NAMES,
    "flops_size",
    *CONDITION_NAMES,
    "overrides",
    "notes",
    *("twin_n", "miou_difference_mean", "miou_difference_sd", "training_time_ratio"),
    "health",
    *(f"health_{name}" for name in HEALTH_NAMES),
    "generation_features",
    *(f"generation_{name}" for name in GENERATION_NAMES),
    *(f"refinement_{name}" for name in REFINEMENT_NAMES),
]


def _csv_row(number: int, group: Group, row: Row) -> dict[str, Any]:
    conditions = _conditions(row.conditions and group.conditions) or {}
    return {
        "group": number,
        **_identity(group, row),
        "n": len(row.records),
        **{key: value for name in SCORE_NAMES for key, value in _csv_score(name, row.score(name)).items()},
        **_csv_timing("batch1", row.inference.get(1)),
        **_csv_timing("batch", row.inference.get(conditions.get("batch_size") or 0)),
        **{f"train_{name}": row.train(name).mean for name in TRAIN_NAMES},
        **{name: row.cost(name) for name in COST_NAMES},
        "flops_size": _size(row.flops_size),
        **conditions,
        "timed_sizes": " ".join(_size(size) or "" for size in conditions.get("timed_sizes") or ()),
        "overrides": " ".join(row.overrides),
        "notes": "; ".join(row.notes),
        **_csv_comparison(group, row),
        "health": verdicts(row) if row.verdicts else None,
        **{f"health_{name}": row.health(name).mean for name in HEALTH_NAMES},
        "generation_features": row.features,
        **{f"generation_{name}": row.generation(name).mean for name in GENERATION_NAMES},
        **{f"refinement_{name}": row.refinement(name).mean for name in REFINEMENT_NAMES},
    }


def _csv_comparison(group: Group, row: Row) -> dict[str, Any]:
    comparison = compare(row, group)
    return {
        "twin_n": len(comparison.miou.seeds) if comparison.twin else None,
        **_csv_score("miou_difference", comparison.miou.summary),
        "training_time_ratio": comparison.time_ratio,
    }


def _csv_score(name: str, summary: Summary) -> dict[str, float | None]:
    return {f"{name}_mean": summary.mean, f"{name}_sd": summary.sd}


def _csv_timing(prefix: str, timing: Inference | None) -> dict[str, float | None]:
    return {
        f"{prefix}_images_per_second": timing.images_per_second if timing else None,
        f"{prefix}_p50_ms": timing.latency_ms.p50 if timing else None,
        f"{prefix}_p95_ms": timing.latency_ms.p95 if timing else None,
        f"{prefix}_n": timing.latency_ms.n if timing else None,
    }


def _size(size: tuple[int, int] | None) -> str | None:
    return f"{size[0]}x{size[1]}" if size else None
