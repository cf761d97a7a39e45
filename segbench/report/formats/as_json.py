"""A report as JSON, with stable names, for programs to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from segbench.report.ranking.differences import Relation  # noqa: TC001 - pydantic reads it when it runs
from segbench.report.ranking.doses import find_doses
from segbench.shown import write_json
from segbench.stats.definitions import MetricDefinition  # noqa: TC001 - pydantic reads it when it runs
from segbench.stats.verdict import Verdict  # noqa: TC001 - pydantic reads it when it runs

from .definitions import metric_definitions
from .people import PeopleData, people_data
from .row_data import (
    ComparisonData,
    Data,
    IntervalData,
    Number,
    PairData,
    ReportRow,
    build_row,
    field_at,
    interval_data,
)

if TYPE_CHECKING:
    from segbench.report.ranking.across_datasets import AcrossDatasets, Standing
    from segbench.report.ranking.groups import Report
    from segbench.report.ranking.label_efficiency import Curve, Efficiency


def to_json(report: Report) -> str:
    """Return all of a report under the names of `ReportData`; what is not known is null."""
    return write_json(report_data(report).model_dump(mode="json", by_alias=True))


class ExchangeRateData(Data):
    """How many times as many labels the twin needs: open bounds are None, `least` and `most` what could be seen."""

    estimate: Number | None
    side: Literal["within", "above", "below"]
    low: Number | None
    high: Number | None
    least: Number
    most: Number


class PointData(Data):
    """A method with a fraction of the labels, and what these are worth in labels of its twin."""

    fraction: Number
    seeds: tuple[int, ...]
    miou: Number | None
    miou_interval: IntervalData | None
    exchange_rate: ExchangeRateData | None
    exchange_seeds: tuple[int, ...]
    exchange_missing: str | None


class CurveData(Data):
    """A method with several fractions of the labels."""

    method: str
    twin: str | None
    points: tuple[PointData, ...]


class EfficiencyData(Data):
    """The methods of the rankings, named by their numbers, that differ in the share of the labels only."""

    benchmark: str
    dataset: str
    split: str | None
    groups: tuple[int, ...]
    methods: tuple[CurveData, ...]


class StandingData(Data):
    """A method over the datasets: its mean mIoU by dataset, and its mean rank, 1 the best."""

    method: str
    miou: dict[str, Number | None]
    mean_rank: Number | None
    mean_rank_low: Number | None
    mean_rank_high: Number | None


class ClaimData(Data):
    """The difference of two methods by dataset and over the datasets, each of which is one draw.

    `low` and `high` are at `level`, adjusted (Holm) for all claims; `datasets_needed` in all would decide.
    """

    one: str
    other: str = Field(serialization_alias="with")
    relation: Relation
    by_dataset: dict[str, Number] = field_at("judged.by_dataset")
    difference: Number = field_at("judged.decision.difference.estimate")
    low: Number = field_at("judged.decision.interval.low")
    high: Number = field_at("judged.decision.interval.high")
    level: Number = field_at("judged.decision.level")
    verdict: Verdict = field_at("judged.decision.verdict")
    datasets_needed: int | None = field_at("judged.needed")


class AcrossData(Data):
    """The rankings of a benchmark, named by their numbers, that differ in the dataset only."""

    benchmark: str
    subset: str
    datasets: tuple[str, ...]
    groups: tuple[int, ...]
    methods: tuple[StandingData, ...]
    claims: tuple[ClaimData, ...]


class DosePointData(Data):
    """A method at a dose, with its difference to the twin and those of its placebos by their kinds."""

    dose: Number
    row: str = field_at("gain.row.name")
    gain: ComparisonData
    placebos: dict[str, ComparisonData]


class DosesData(Data):
    """A method of the ranking `group` at several doses, `unit` "weight" or "ratio", beside its `twin`."""

    group: int
    method: str
    twin: str
    unit: Literal["weight", "ratio"]
    points: tuple[DosePointData, ...]


class CellData(Data):
    """A cell that is in no ranking."""

    key: str
    benchmark: str
    dataset: str
    subset: str
    method: str
    seed: int
    status: str
    cause: str | None = field_at("error.cause")
    plugin: str | None = field_at("error.plugin")


class ReportData(Data):
    """All of a report: `helpers` are auxiliary cells, `passports` define the scores, `people` are votes.

    `incomplete` says which cross-validated seeds lack test folds, and so are not ranked.
    """

    rows: tuple[ReportRow, ...]
    label_efficiency: tuple[EfficiencyData, ...]
    across_datasets: tuple[AcrossData, ...]
    passports: dict[str, MetricDefinition]
    helpers: tuple[CellData, ...]
    without_result: tuple[CellData, ...]
    problems: tuple[str, ...]
    records: tuple[str, ...]
    people: tuple[PeopleData, ...] = ()
    doses: tuple[DosesData, ...] = ()
    incomplete: tuple[str, ...] = ()


class ReportWithPairsData(ReportData):
    """All of a report, and all pairs of rows of its rankings."""

    pairs: tuple[PairData, ...]


def report_data(report: Report) -> ReportData:
    """Return all of a report."""
    return ReportData(
        rows=[build_row(number, group, row) for number, group in enumerate(report.groups) for row in group.rows],
        label_efficiency=[_efficiency(efficiency) for efficiency in report.efficiencies],
        across_datasets=[_across(found) for found in report.across],
        passports=metric_definitions([row for group in report.groups for row in group.rows]),
        helpers=report.auxiliary,
        without_result=report.without_result,
        problems=[str(problem) for problem in report.problems],
        records=[str(folder) for folder in report.folders],
        people=[people_data(one) for one in report.people],
        doses=[
            DosesData(group=number, **{**vars(curve), "points": list(curve.points)})
            for number, group in enumerate(report.groups)
            for curve in find_doses(group)
        ],
        incomplete=[str(seed) for seed in report.incomplete],
    )


def _efficiency(efficiency: Efficiency) -> EfficiencyData:
    curves = [
        {"method": curve.method, "twin": curve.twin, "points": [_point(curve, fraction) for fraction in curve.rows]}
        for curve in efficiency.curves
    ]
    return EfficiencyData(
        benchmark=efficiency.benchmark,
        dataset=efficiency.dataset,
        split=efficiency.split,
        groups=efficiency.groups,
        methods=curves,
    )


def _across(found: AcrossDatasets) -> AcrossData:
    return AcrossData(**{**found._asdict(), "methods": [_standing(one) for one in found.methods]})


def _standing(one: Standing) -> StandingData:
    interval = one.rank.interval if one.rank else None
    return StandingData(
        method=one.name,
        miou={dataset: row.score("miou").mean for dataset, row in one.rows.items()},
        mean_rank=one.rank.mean if one.rank else None,
        mean_rank_low=interval.low if interval else None,
        mean_rank_high=interval.high if interval else None,
    )


def _point(curve: Curve, fraction: float) -> PointData:
    row, exchange = curve.rows[fraction], curve.exchange(fraction)
    return PointData(
        fraction=fraction,
        seeds=row.seeds,
        miou=row.score("miou").mean,
        miou_interval=interval_data(row.statistics),
        exchange_rate=exchange.rate if exchange else None,
        exchange_seeds=exchange.seeds if exchange else (),
        exchange_missing=exchange.missing if exchange else None,
    )
