"""A report as JSON, with stable names, for programs to read."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from segbench.report.ranking.differences import comparison_with_twin
from segbench.report.ranking.rows import (
    CLASS_SCORE_NAMES,
    COST_NAMES,
    GENERATION_NAMES,
    LEVEL,
    REFINEMENT_NAMES,
    SCORE_NAMES,
    TRAINING_PARTS,
)
from segbench.report.ranking.timings import best_batch
from segbench.report.ranking.tuning import find_tunings

from .definitions import metric_definitions

if TYPE_CHECKING:
    from segbench.report.conditions import Conditions
    from segbench.report.ranking.differences import Comparison
    from segbench.report.ranking.groups import Group, Report
    from segbench.report.ranking.label_efficiency import Curve, Efficiency
    from segbench.report.ranking.rows import Row, RowStatistics
    from segbench.report.ranking.tuning import Tuning
    from segbench.store.record import Part, Record, Stage


ESTIMATE_NAMES = (
    *("standard_error", "freedom", "seeds", "images", "units"),
    *("seed_variance", "image_variance", "interaction_variance"),
)


TRAIN_NAMES = ("steps", "seconds", "images_per_second", "seconds_to_best")


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
    """Return `{"rows": [...], "label_efficiency": [...], "passports": {...}, "helpers": [...], ...}`.

    A row belongs to the ranking that `group` numbers, from 0; rows of different groups are never to be compared. Label
    maps that were only scored have a row in each group whose data they share. `helpers` are cells that only served
    others and are in no ranking. Numbers that are missing are null, as is a part of which nothing is known. Scores,
    their differences and bounds are fractions of 1, but for `nll`, `brier` and `hd95`. Of a row:

    - `scores`: {mean, sd, n} over the seeds of each score, `definitions` the id and version of each; what these mean is
      in `passports` at the top. `classes` are the names of the classes (null in old records), `class_iou`,
      `class_boundary_iou` and `class_boundary_f1` means over the seeds in their order.
    - `miou_interval`: {low, high, level, standard_error, freedom, seeds, images, units, seed_variance, image_variance,
      interaction_variance}, crossed over seeds and images, over images only with one seed; `interval_missing` says why
      it is null. `tier` is 1 for the best, `tier_missing` says why it is null.
    - `comparisons`: one for each method that it is compared with: `with`, `relation` (twin, claim, placebo: what is
      left of the gain over it), `seeds`, `miou_difference` {mean, sd, n}, `low` and `high` at `level` (Holm-adjusted
      over all of the ranking), `verdict`, `probability` with `probability_low` and `_high`, `p`, `sign_flip_p`,
      `smallest_effect`, `seeds_needed` in all, `missing` (why there is no interval), `training_time_ratio`, and
      `speed_ratio` {estimate, low, high} by batch size where both were timed in turn. `against_twin` is that with the
      twin.
    - `inference`, `labels`, `loading`: the timing of each stage by batch size; `timing`: how it was taken, the sweep
      and energy among it; `best_batch`: the best point of the sweep.
    - `trained_as_long_as`: the method whose seconds of training were the budget, `budget_seconds` {mean, sd, n}.
    - `tuning`: `trials` with key, settings and mIoU on val, `winner` (its key), and `best`, `mean`, `sd`, `low`, `high`
      of all trials.

    `label_efficiency` has, for rankings that differ in the share of the labels only, for each method and `fraction` the
    mIoU, its interval, and `exchange_rate`: how many times as many labels the twin needs, with `low` and `high` (null
    where open), `least` and `most` that could be seen, and `side`: within, above or below these.
    """
    rows = [row for group in report.groups for row in group.rows]
    content = {
        "rows": [_json_row(number, group, row) for number, group in enumerate(report.groups) for row in group.rows],
        "label_efficiency": [_json_efficiency(efficiency) for efficiency in report.efficiencies],
        "passports": {name: asdict(metric) for name, metric in metric_definitions(rows).items()},
        "helpers": [_json_cell(record) for record in report.auxiliary],
        "without_result": [_json_cell(record) for record in report.without_result],
        "problems": [str(problem) for problem in report.problems],
        "records": [str(folder) for folder in report.folders],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _json_row(number: int, group: Group, row: Row) -> dict[str, Any]:
    twin = comparison_with_twin(group.comparisons, row)
    return {
        "group": number,
        **identity(group, row),
        "seeds": list(row.seeds),
        "keys": [record.key for record in row.records],
        "conditions": conditions(row.conditions and group.conditions),
        "overrides": list(row.overrides),
        "notes": list(row.notes),
        "scores": {name: row.score(name)._asdict() for name in SCORE_NAMES},
        "definitions": row.definitions,
        **_json_standing(row.statistics),
        "classes": row.classes,
        **{f"class_{name}": row.class_scores(name) for name in CLASS_SCORE_NAMES},
        "train": {
            **{name: row.train(name)._asdict() for name in TRAIN_NAMES},
            "shares": {part: row.training_share(part)._asdict() for part in TRAINING_PARTS},
        },
        "trained_as_long_as": row.as_long_as,
        "budget_seconds": row.budget_seconds._asdict(),
        "tuning": [_json_tuned(found) for found in find_tunings([row])],
        "inference": _json_stage(row, "forward"),
        "labels": _json_stage(row, "argmax"),
        "loading": _json_stage(row, "loading"),
        "timing": row.timing.model_dump(mode="json") if row.timing else None,
        "best_batch": _dumped(best_batch(row.speed)),
        "cost": {**{name: row.cost(name) for name in COST_NAMES}, "flops_size": row.flops_size},
        "against_twin": _json_comparison(twin) if twin else None,
        "comparisons": [_json_comparison(one) for one in group.comparisons if one.row is row and one.other],
        "health": _json_health(row),
        "generation": _json_generation(row),
        "refinement": _json_refinement(row),
    }


def _json_standing(standing: RowStatistics) -> dict[str, Any]:
    return {
        "miou_interval": _json_interval(standing),
        "interval_missing": standing.interval_missing,
        "tier": standing.tier,
        "tier_missing": standing.tier_missing,
    }


def _json_interval(standing: RowStatistics) -> dict[str, Any] | None:
    interval = standing.interval
    if interval is None:
        return None
    return {**interval._asdict(), "level": LEVEL, **{name: getattr(standing.estimate, name) for name in ESTIMATE_NAMES}}


def _json_comparison(one: Comparison) -> dict[str, Any]:
    return {
        "with": one.other_name,
        "relation": one.relation,
        "seeds": list(one.seeds),
        "miou_difference": one.miou._asdict(),
        **judgement(one),
        "missing": one.missing,
        "training_time_ratio": one.time_ratio,
        "speed_ratio": {batch: ratio._asdict() for batch in one.row.inference if (ratio := one.speed_ratio(batch))},
    }


def judgement(one: Comparison | None) -> dict[str, Any]:
    """Return what is said of a difference; all null where nothing is."""
    found, interval = (one.judgement, one.interval) if one else (None, None)
    difference = found.difference if found else None
    probability = difference.probability_interval if difference else None
    return {
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "level": found.level if found else None,
        "verdict": found.verdict if found else None,
        "probability": difference.probability if difference else None,
        "probability_low": probability.low if probability else None,
        "probability_high": probability.high if probability else None,
        "p": difference.p if difference else None,
        "sign_flip_p": difference.sign_flip_p if difference else None,
        "smallest_effect": found.smallest_effect if found else None,
        "seeds_needed": found.seeds_needed if found else None,
    }


def _json_tuned(found: Tuning) -> dict[str, Any]:
    low, high = found.ends or (None, None)
    return {
        "trials": [trial.model_dump(mode="json") for trial in found.trials],
        "winner": found.winner,
        "best": found.best,
        "mean": found.miou.mean,
        "sd": found.miou.sd,
        "low": low,
        "high": high,
    }


def _json_stage(row: Row, stage: Stage) -> list[dict[str, Any]]:
    return [timing.model_dump(mode="json") for timing in row.stage(stage).values()]


def _dumped(part: Part | None) -> dict[str, Any] | None:
    return part.model_dump(mode="json") if part else None


def _json_efficiency(efficiency: Efficiency) -> dict[str, Any]:
    return {
        "benchmark": efficiency.benchmark,
        "dataset": efficiency.dataset,
        "split": efficiency.split,
        "groups": list(efficiency.groups),
        "methods": [
            {"method": curve.method, "twin": curve.twin, "points": [_json_point(curve, one) for one in curve.rows]}
            for curve in efficiency.curves
        ],
    }


def _json_point(curve: Curve, fraction: float) -> dict[str, Any]:
    row, exchange = curve.rows[fraction], curve.exchange(fraction)
    return {
        "fraction": fraction,
        "seeds": list(row.seeds),
        "miou": row.score("miou").mean,
        "miou_interval": _json_interval(row.statistics),
        "exchange_rate": asdict(exchange.rate) if exchange and exchange.rate else None,
        "exchange_seeds": list(exchange.seeds) if exchange else [],
        "exchange_missing": exchange.missing if exchange else None,
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


def identity(group: Group, row: Row) -> dict[str, Any]:
    """Return what a row is."""
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
        "against": list(row.against),
        "placebo_of": row.placebo_of,
        "scored_only": row.scored_only,
    }


def conditions(of: Conditions | None) -> dict[str, Any] | None:
    """Return the conditions of a row by their names; None for label maps that were only scored."""
    if of is None:
        return None
    found = {name: getattr(of, name) for name in CONDITION_NAMES if name != "timed_sizes"}
    return {**found, "timed_sizes": of.sizes}


def _json_cell(record: Record) -> dict[str, Any]:
    names = ("key", "benchmark", "dataset", "subset", "method", "seed", "status")
    return {
        **{name: getattr(record, name) for name in names},
        "cause": record.error.cause if record.error else None,
        "plugin": record.error.plugin if record.error else None,
    }
