"""A row of a report as data; JSON holds all fields, CSV those that are no lists.

Scores, their differences and bounds are fractions of 1, but for `nll`, `brier` and `hd95`. What is not known is None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import AliasPath, BaseModel, ConfigDict, Field

from segbench.report.folds import folds_of
from segbench.report.ranking.differences import Relation, comparison_with_twin
from segbench.report.ranking.rows import COST_NAMES, TRAINING_PARTS
from segbench.report.ranking.timings import best_batch
from segbench.report.ranking.tuning import find_tunings
from segbench.stats.summary import CONFIDENCE_LEVEL
from segbench.stats.verdict import Verdict
from segbench.store.record import HealthVerdict, Inference, PerClass, Scores, SweepPoint, Timing, Trial

if TYPE_CHECKING:
    from collections.abc import Callable

    from segbench.report.ranking.groups import Group
    from segbench.report.ranking.rows import Row, RowStatistics
    from segbench.report.ranking.tuning import Tuning
    from segbench.stats.summary import Summary

# Whole numbers stay whole.
Number = int | float
Size = tuple[int, int]


class Data(BaseModel):
    """A part of a report, whose fields are read from attributes of the same names."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class SummaryData(Data):
    """Mean and sample standard deviation over n seeds."""

    mean: Number | None
    sd: Number | None
    n: int


class RatioData(Data):
    """A ratio with its interval."""

    estimate: Number
    low: Number
    high: Number


class ConditionsData(Data):
    """Under what records were trained and timed; the sizes are [height, width]."""

    device: str | None
    device_name: str | None
    precision: str | None
    tf32: bool
    batch_size: int | None
    threads: int | None
    processes: int
    compile: bool
    window: str | None
    timing_budget: str | None
    timed_sizes: tuple[Size, ...] | None = Field(validation_alias="sizes")
    torch: str | None = None


class IntervalData(Data):
    """The interval of the mean mIoU over seeds and images (over images only with one seed), and its variances."""

    low: Number
    high: Number
    level: Number
    standard_error: Number
    freedom: Number
    seeds: int
    images: int
    units: int
    seed_variance: Number | None
    image_variance: Number
    interaction_variance: Number


class TrainingData(Data):
    """Training; `shares` are the parts of its time."""

    steps: SummaryData
    seconds: SummaryData
    images_per_second: SummaryData
    seconds_to_best: SummaryData
    shares: dict[str, SummaryData]


class TuningData(Data):
    """All trials of a method with their mIoU on val, the key of the one that won, and their spread."""

    trials: tuple[Trial, ...]
    winner: str | None
    best: Number | None
    mean: Number | None
    sd: Number | None
    low: Number | None
    high: Number | None


class CostData(Data):
    """What a method needs; FLOPs of one image of [height, width]."""

    parameters: int | None
    flops: int | None
    train_peak_bytes: int | None
    inference_peak_bytes: int | None
    flops_size: Size | None


class MeasuredData(Data):
    """What depends on where a row ran, measured under other conditions than the ranking's."""

    conditions: ConditionsData
    seeds: tuple[int, ...]
    keys: tuple[str, ...]
    train: TrainingData
    inference: tuple[Inference, ...]
    labels: tuple[Inference, ...]
    loading: tuple[Inference, ...]
    timing: Timing | None
    best_batch: SweepPoint | None
    cost: CostData


def field_at(path: str) -> Any:
    """Return a field that is read at a dotted path of attributes; None if anything on the way is."""
    return Field(None, validation_alias=AliasPath(*path.split(".")))


class ComparisonData(Data):
    """The difference of a row's mIoU to that of another method, over their common seeds.

    `low` and `high` are at `level`, which is adjusted (Holm) for all differences of the ranking; `missing` says why
    there are none, `with_name` is the name of the other row. `collapsed` are the seeds whose training did, `constant`
    says what a network predicts everywhere with which seeds, both by the name of the row; `seeds_needed` are those in
    all that would decide. `speed_ratio` is by batch size.
    """

    other: str | None = Field(validation_alias="other_name", serialization_alias="with")
    with_name: str | None = field_at("other.name")
    relation: Relation
    seeds: tuple[int, ...]
    miou_difference: SummaryData = Field(validation_alias="miou")
    low: Number | None = field_at("interval.low")
    high: Number | None = field_at("interval.high")
    level: Number | None = field_at("judgement.level")
    verdict: Verdict | None = field_at("judgement.verdict")
    collapsed: dict[str, tuple[int, ...]]
    constant: dict[str, str]
    probability: Number | None = field_at("judgement.difference.probability")
    probability_low: Number | None = field_at("judgement.difference.probability_interval.low")
    probability_high: Number | None = field_at("judgement.difference.probability_interval.high")
    p: Number | None = field_at("judgement.difference.p")
    sign_flip_p: Number | None = field_at("judgement.difference.sign_flip_p")
    smallest_effect: Number | None = field_at("judgement.smallest_effect")
    seeds_needed: int | None = field_at("judgement.seeds_needed")
    missing: str | None
    training_time_ratio: Number | None = Field(validation_alias="time_ratio")
    speed_ratio: dict[int, RatioData] = Field(validation_alias="speed_ratios")


class JudgedData(Data):
    """A verdict on a difference, and the interval and level that it was read off."""

    level: Number
    low: Number
    high: Number
    verdict: Verdict


class PairData(Data):
    """The difference one - other of two rows, by their names, of the ranking `group`.

    Judged on its own and among all pairs of the ranking.
    """

    group: int
    benchmark: str
    dataset: str
    one: str
    other: str
    difference: Number
    seeds: int
    alone: JudgedData
    among_all: JudgedData


class SeedHealth(Data):
    """The verdict on the adversarial training of one seed."""

    seed: int
    verdict: HealthVerdict
    reason: str


class HealthData(Data):
    """How often each verdict on adversarial training was given, and the numbers behind the verdicts."""

    verdicts: dict[HealthVerdict, int]
    seeds: tuple[SeedHealth, ...]
    ratio: SummaryData
    cosine: SummaryData
    real_accuracy: SummaryData
    fake_accuracy: SummaryData
    validation_accuracy: SummaryData
    overfit: SummaryData
    top_probability: SummaryData
    entropy: SummaryData
    diversity: SummaryData
    nearest: SummaryData


class GenerationData(Data):
    """How well generated images match real ones, by what features."""

    features: str
    kid: SummaryData
    kid_sd: SummaryData
    pixel_statistics: SummaryData
    precision: SummaryData
    recall: SummaryData
    diversity: SummaryData
    nearest: SummaryData


class RefinementData(Data):
    """What a refiner did to the predictions of its base."""

    base: str | None
    changed: SummaryData
    corrected: SummaryData
    spoilt: SummaryData


class ReportRow(Data):
    """A method over its seeds in the ranking that `group` numbers, from 0.

    Rows of different groups must not be compared. Speeds, seconds and memory are those under `conditions`, the
    ranking's, null where the row ran elsewhere only: `elsewhere` has what was measured under further conditions, and
    `scored_under` what the scores come from. `name` is the method with a letter where it has several recipes.
    Label maps that were only scored have a row in each group whose data they share, without conditions.
    `interval_missing` and `tier_missing` say why these are None; tier 1 is the best. `beaten_by` is the name of
    a row with a higher mIoU that is faster too. `inference`, `labels` and
    `loading` are the timing of each stage by batch size, `trained_as_long_as` is the method whose seconds of
    training were the budget. `folds` says how the data is cross-validated, empty where it is not; `keys` are those of
    all cells. Scores by class are means over the seeds, in the order of `classes`.
    """

    group: int
    benchmark: str
    dataset: str
    fingerprint: str | None
    subset: str
    split: str | None
    images: int | None
    protocol: str
    method: str
    name: str
    twin: str | None
    against: tuple[str, ...]
    placebo_of: str | None
    scored_only: bool
    seeds: tuple[int, ...]
    keys: tuple[str, ...]
    conditions: ConditionsData | None
    scored_under: tuple[ConditionsData, ...]
    elsewhere: tuple[MeasuredData, ...]
    overrides: tuple[str, ...]
    notes: tuple[str, ...]
    scores: dict[str, SummaryData]
    definitions: dict[str, str]
    miou_interval: IntervalData | None
    interval_missing: str | None
    tier: int | None
    tier_missing: str | None
    beaten_by: str | None
    classes: tuple[str, ...] | None
    class_iou: list[Number | None]
    class_boundary_iou: list[Number | None]
    class_boundary_f1: list[Number | None]
    train: TrainingData
    trained_as_long_as: str | None
    budget_seconds: SummaryData
    tuning: tuple[TuningData, ...]
    inference: tuple[Inference, ...]
    labels: tuple[Inference, ...]
    loading: tuple[Inference, ...]
    timing: Timing | None
    best_batch: SweepPoint | None
    cost: CostData
    against_twin: ComparisonData | None
    comparisons: tuple[ComparisonData, ...]
    health: HealthData | None
    generation: GenerationData | None
    refinement: RefinementData | None
    folds: str = ""


def build_row(number: int, group: Group, row: Row) -> ReportRow:
    """Return a row of the ranking with this number."""
    twin, refinement = comparison_with_twin(group.comparisons, row), _summaries(RefinementData, row.refinement)
    return ReportRow(
        group=number,
        **group.data._asdict(),
        protocol=group.protocol,
        method=row.method,
        name=row.name,
        twin=row.twin,
        against=row.against,
        placebo_of=row.placebo_of,
        scored_only=row.scored_only,
        seeds=row.seeds,
        keys=[one.key for record in row.records for one in folds_of(record)],
        conditions=row.conditions,
        scored_under=row.scored_under,
        elsewhere=[_elsewhere(found) for where in row.runs if where != row.conditions and (found := row.under(where))],
        overrides=row.overrides,
        notes=row.notes,
        scores={name: row.score(name) for name in Scores.model_fields},
        definitions=row.definitions,
        miou_interval=interval_data(row.statistics),
        interval_missing=row.statistics.interval_missing,
        tier=row.statistics.tier,
        tier_missing=row.statistics.tier_missing,
        beaten_by=row.beaten_by or None,
        classes=row.classes,
        **{f"class_{name}": row.class_scores(name) for name in PerClass.model_fields},
        trained_as_long_as=row.as_long_as,
        budget_seconds=row.budget_seconds,
        tuning=[_tuning(found) for found in find_tunings([row])],
        **_measured(row),
        against_twin=twin,
        comparisons=[one for one in group.comparisons if one.row.name == row.name and one.other],
        health=_health(row) if row.verdicts else None,
        generation={"features": row.features, **_summaries(GenerationData, row.generation)} if row.features else None,
        refinement={"base": row.base, **refinement} if refinement["changed"].n else None,
    )


def _measured(row: Row) -> dict[str, Any]:
    """Return the fields of what depends on where a row ran."""
    return {
        "train": {
            **_summaries(TrainingData, row.train),
            "shares": {part: row.training_share(part) for part in TRAINING_PARTS},
        },
        "inference": row.stage("forward").values(),
        "labels": row.stage("argmax").values(),
        "loading": row.stage("loading").values(),
        "timing": row.timing,
        "best_batch": best_batch(row.speed),
        "cost": {**{name: row.cost(name) for name in COST_NAMES}, "flops_size": row.flops_size},
    }


def _elsewhere(row: Row) -> dict[str, Any]:
    keys = [record.key for record in row.records]
    return {"conditions": row.conditions, "seeds": row.seeds, "keys": keys, **_measured(row)}


def summary_names(model: type[Data]) -> list[str]:
    """Return the names of those fields of a model that are summaries over the seeds."""
    return [name for name, field in model.model_fields.items() if field.annotation is SummaryData]


def _summaries(model: type[Data], read: Callable[[str], Summary]) -> dict[str, Summary]:
    return {name: read(name) for name in summary_names(model)}


def interval_data(statistics: RowStatistics) -> dict[str, Any] | None:
    """Return the fields of IntervalData; None where there is no interval."""
    if statistics.interval is None:
        return None
    found = {**statistics.interval._asdict(), "level": CONFIDENCE_LEVEL}
    return found | {name: getattr(statistics.estimate, name) for name in IntervalData.model_fields if name not in found}


def _tuning(found: Tuning) -> dict[str, Any]:
    low, high = found.ends or (None, None)
    spread = {"mean": found.miou.mean, "sd": found.miou.sd, "low": low, "high": high}
    return {"trials": found.trials, "winner": found.winner, "best": found.best, **spread}


def _health(row: Row) -> dict[str, Any]:
    found = [(record.seed, record.health) for record in row.records if record.health]
    return {
        "verdicts": {verdict: len(seeds) for verdict, seeds in row.verdicts.items()},
        "seeds": [{"seed": seed, "verdict": health.verdict, "reason": health.reason} for seed, health in found],
        **_summaries(HealthData, row.health),
    }
