"""A report as CSV, one line for each row of each ranking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from segbench.config.recipe import Placebo
from segbench.report.ranking.differences import comparison_with_twin
from segbench.report.ranking.rows import COST_NAMES, GENERATION_NAMES, REFINEMENT_NAMES, SCORE_NAMES, TRAINING_PARTS
from segbench.report.ranking.timings import best_batch
from segbench.report.ranking.tuning import find_tunings

from .as_json import CONDITION_NAMES, HEALTH_NAMES, TRAIN_NAMES, conditions, identity, judgement
from .tables import verdicts

if TYPE_CHECKING:
    from segbench.report.ranking.groups import Group, Report
    from segbench.report.ranking.rows import Row
    from segbench.stats.summary import Summary
    from segbench.store.record import Inference


PLACEBO_KINDS = get_args(Placebo)


def to_csv(report: Report) -> str:
    """Return one line for each row of each ranking, the conditions as columns; missing values are empty.

    Names are those of `to_json`; `over_KIND_...` is what is left of the gain over that placebo. What a claim compares a
    method with beside its twin, and what has a list for each row, is in JSON only. Cells without a result have no line
    here: see the other formats.
    """
    import pandas as pd

    lines = [_csv_row(number, report, row) for number, group in enumerate(report.groups) for row in group.rows]
    # dtype object keeps whole numbers whole where others of the column are missing
    return str(pd.DataFrame(lines, columns=CSV_COLUMNS, dtype=object).to_csv(index=False, lineterminator="\n"))


JUDGEMENT_NAMES = tuple(judgement(None))


SPEED_NAMES = ("images_per_second", "p50_ms", "p95_ms", "n")


EXCHANGE_NAMES = ("estimate", "low", "high", "least", "most", "side")


CSV_COLUMNS = [
    *("group", "benchmark", "dataset", "fingerprint", "subset", "split", "images", "protocol", "method", "twin"),
    *("placebo_of", "scored_only"),
    "n",
    *(f"{name}_{part}" for name in SCORE_NAMES for part in ("mean", "sd")),
    *("miou_low", "miou_high", "miou_standard_error", "tier"),
    *(f"batch1_{name}" for name in SPEED_NAMES),
    *(f"batch_{name}" for name in SPEED_NAMES),
    *("batch_labels_images_per_second", "batch_loading_images_per_second"),
    *("best_batch", "best_batch_images_per_second", "joules_per_image", "timing_session", "timing_steady"),
    *(f"train_{name}" for name in TRAIN_NAMES),
    *(f"train_share_{part}" for part in TRAINING_PARTS),
    *("trained_as_long_as", "budget_seconds"),
    *(f"tuning_{name}" for name in ("trials", "best", "mean", "sd", "low", "high")),
    *COST_NAMES,
    "flops_size",
    *CONDITION_NAMES,
    "overrides",
    "notes",
    *("twin_n", "miou_difference_mean", "miou_difference_sd", "training_time_ratio"),
    *(f"twin_{name}" for name in JUDGEMENT_NAMES),
    *("twin_speed_ratio", "twin_speed_ratio_low", "twin_speed_ratio_high"),
    *(f"over_{kind}_{name}" for kind in PLACEBO_KINDS for name in ("difference", *JUDGEMENT_NAMES)),
    "label_fraction",
    *(f"exchange_rate_{name}" for name in EXCHANGE_NAMES),
    "health",
    *(f"health_{name}" for name in HEALTH_NAMES),
    "generation_features",
    *(f"generation_{name}" for name in GENERATION_NAMES),
    *(f"refinement_{name}" for name in REFINEMENT_NAMES),
]


def _csv_row(number: int, report: Report, row: Row) -> dict[str, Any]:
    group = report.groups[number]
    where = conditions(row.conditions and group.conditions) or {}
    return {
        "group": number,
        **identity(group, row),
        "n": len(row.records),
        **{key: value for name in SCORE_NAMES for key, value in _csv_score(name, row.score(name)).items()},
        **_csv_standing(row),
        **_csv_speed(row, where.get("batch_size") or 0),
        **{f"train_{name}": row.train(name).mean for name in TRAIN_NAMES},
        **{f"train_share_{part}": row.training_share(part).mean for part in TRAINING_PARTS},
        "trained_as_long_as": row.as_long_as,
        "budget_seconds": row.budget_seconds.mean,
        **_csv_tuning(row),
        **{name: row.cost(name) for name in COST_NAMES},
        "flops_size": _size(row.flops_size),
        **where,
        "timed_sizes": " ".join(_size(size) or "" for size in where.get("timed_sizes") or ()),
        "overrides": " ".join(row.overrides),
        "notes": "; ".join(row.notes),
        **_csv_twin(group, row, where.get("batch_size") or 0),
        **_csv_placebos(group, row),
        "label_fraction": row.label_fraction,
        **_csv_exchange(number, report, row),
        "health": verdicts(row) if row.verdicts else None,
        **{f"health_{name}": row.health(name).mean for name in HEALTH_NAMES},
        "generation_features": row.features,
        **{f"generation_{name}": row.generation(name).mean for name in GENERATION_NAMES},
        **{f"refinement_{name}": row.refinement(name).mean for name in REFINEMENT_NAMES},
    }


def _csv_standing(row: Row) -> dict[str, Any]:
    estimate, interval = row.statistics.estimate, row.statistics.interval
    return {
        "miou_low": interval.low if interval else None,
        "miou_high": interval.high if interval else None,
        "miou_standard_error": estimate.standard_error if estimate else None,
        "tier": row.statistics.tier,
    }


def _csv_speed(row: Row, batch: int) -> dict[str, Any]:
    labels, loading = row.stage("argmax").get(batch), row.stage("loading").get(batch)
    best, timing = best_batch(row.speed), row.timing
    return {
        **_csv_timing("batch1", row.inference.get(1)),
        **_csv_timing("batch", row.inference.get(batch)),
        "batch_labels_images_per_second": labels.images_per_second if labels else None,
        "batch_loading_images_per_second": loading.images_per_second if loading else None,
        "best_batch": best.batch if best else None,
        "best_batch_images_per_second": best.images_per_second if best else None,
        "joules_per_image": timing.energy.joules_per_image if timing and timing.energy else None,
        "timing_session": timing.session if timing else None,
        "timing_steady": timing.steady if timing else None,
    }


def _csv_tuning(row: Row) -> dict[str, Any]:
    found = next(iter(find_tunings([row])), None)
    low, high = (found.ends if found else None) or (None, None)
    return {
        "tuning_trials": len(found.trials) if found else None,
        "tuning_best": found.best if found else None,
        "tuning_mean": found.miou.mean if found else None,
        "tuning_sd": found.miou.sd if found else None,
        "tuning_low": low,
        "tuning_high": high,
    }


def _csv_twin(group: Group, row: Row, batch: int) -> dict[str, Any]:
    twin = comparison_with_twin(group.comparisons, row)
    speed = twin.speed_ratio(batch) if twin else None
    return {
        "twin_n": len(twin.seeds) if twin else None,
        "miou_difference_mean": twin.miou.mean if twin else None,
        "miou_difference_sd": twin.miou.sd if twin else None,
        "training_time_ratio": twin.time_ratio if twin else None,
        **{f"twin_{name}": value for name, value in judgement(twin).items()},
        "twin_speed_ratio": speed.estimate if speed else None,
        "twin_speed_ratio_low": speed.low if speed else None,
        "twin_speed_ratio_high": speed.high if speed else None,
    }


def _csv_placebos(group: Group, row: Row) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in group.comparisons:
        if one.row is row and one.relation == "placebo" and one.other:
            values = {"difference": one.miou.mean, **judgement(one)}
            found |= {f"over_{one.other.placebo}_{name}": value for name, value in values.items()}
    return found


def _csv_exchange(number: int, report: Report, row: Row) -> dict[str, Any]:
    curves = [curve for one in report.efficiencies if number in one.groups for curve in one.curves]
    own = next((curve for curve in curves if curve.rows.get(row.label_fraction or 0) is row), None)
    exchange = own.exchange(row.label_fraction or 0) if own else None
    if exchange is None or exchange.rate is None:
        return {}
    return {f"exchange_rate_{name}": getattr(exchange.rate, name) for name in EXCHANGE_NAMES}


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
