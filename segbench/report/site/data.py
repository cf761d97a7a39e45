"""A leaderboard as data: what leaderboard.json holds, whose JSON Schema is leaderboard.schema.json."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

from segbench.config.attribution import Attribution
from segbench.report import cell_spec
from segbench.report.folds import folds_of
from segbench.report.formats.as_csv import list_lines, write_csv
from segbench.report.formats.as_json import CellData
from segbench.report.formats.row_data import Data, ReportRow, build_row
from segbench.report.page.answer import question
from segbench.report.ranking.groups import split_by_benchmark
from segbench.report.records import identity
from segbench.store.verification import Outcome  # noqa: TC001 - pydantic reads it when it runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from segbench.report.ranking.groups import Group, Report
    from segbench.report.ranking.rows import Row
    from segbench.report.verification import Marks
    from segbench.store.record import Record

    from .admission import Admitted


class VerifiedSeed(Data):
    """How the cell of one seed came out when it was run again, and when.

    `before` and `after` are the recorded and the new value of `score`, `low` and `high` the interval of one more seed,
    which counts on another kind of processor.
    """

    seed: int
    key: str
    outcome: Outcome
    date: str
    score: str
    before: float | None
    after: float | None
    low: float | None
    high: float | None


class RankedRow(Data):
    """A row of a ranking, its method's page, whose method it is, and where its records come from.

    `entries` are the submissions that records came with; empty where all come from results folders.
    """

    page: str
    attribution: Attribution | None
    entries: tuple[str, ...]
    verified: tuple[VerifiedSeed, ...]
    row: ReportRow


class RankingData(Data):
    """Rows that may be ranked together, best first; `number` is the `group` of its rows.

    `conditions` are those of most rows, `machines` the devices that scores come from. `apart` says in what it differs
    from the other rankings of its benchmark; empty if there is one.
    """

    number: int
    dataset: str
    data: str
    protocol: str
    conditions: str | None
    machines: tuple[str, ...]
    apart: str
    rows: tuple[RankedRow, ...]


class BenchmarkData(Data):
    """A benchmark: its page, what it asks, whose it is, its rankings, and its cells without a result."""

    name: str
    page: str
    question: str
    attribution: Attribution | None
    rankings: tuple[RankingData, ...]
    without_result: tuple[CellData, ...]


class MethodData(Data):
    """A method by its name, its page, and the benchmarks in which it is."""

    name: str
    page: str
    attribution: Attribution | None
    benchmarks: tuple[str, ...]


class RefusedData(Data):
    """What was not taken of a submission, and why; without a method it is the whole of it, or a file."""

    source: str
    benchmark: str | None
    method: str | None
    seed: int | None
    key: str | None
    reason: str


class LeaderboardData(Data):
    """All of a leaderboard. Pages are relative to the folder of the file."""

    format: Literal["segbench leaderboard"] = "segbench leaderboard"
    version: Literal[1] = 1
    segbench: str
    benchmarks: tuple[BenchmarkData, ...]
    methods: tuple[MethodData, ...]
    refused: tuple[RefusedData, ...]
    problems: tuple[str, ...]


def leaderboard_data(report: Report, admitted: Admitted, marks: Marks) -> LeaderboardData:
    """Return the data of the leaderboard of a report."""
    parts = {part.records[0].benchmark: part for part in split_by_benchmark(report)}
    return LeaderboardData(
        segbench=version("segbench"),
        benchmarks=tuple(_benchmark(name, question(part)[0], report, admitted, marks) for name, part in parts.items()),
        methods=tuple(_methods(report)),
        refused=tuple(
            RefusedData(
                source=one.source,
                reason=one.reason,
                **{name: getattr(one.record, name, None) for name in ("benchmark", "method", "seed", "key")},
            )
            for one in admitted.refusals
        ),
        problems=tuple(map(str, report.problems)),
    )


def to_json(content: LeaderboardData) -> str:
    """Return the content as JSON; what is not known is null."""
    dumped = content.model_dump(mode="json", by_alias=True)
    return json.dumps(dumped, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def json_schema() -> str:
    """Return the JSON Schema of leaderboard.json (draft 2020-12)."""
    schema = LeaderboardData.model_json_schema(by_alias=True, mode="serialization")
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps({**dialect, **schema}, indent=1) + "\n"


def to_csv(report: Report, content: LeaderboardData) -> str:
    """Return one line for each row of each ranking: the columns of a report's CSV, and those of the leaderboard."""
    ranked = [row for benchmark in content.benchmarks for ranking in benchmark.rankings for row in ranking.rows]
    by_row = {(one.row.group, one.row.name): one for one in ranked}
    lines = []
    for line in list_lines(report):
        one = by_row[line["group"], line["name"]]
        own = one.attribution or Attribution()
        more = {
            "page": one.page,
            "entries": " ".join(one.entries),
            "verified": "; ".join(f"seed {seed.seed} {seed.outcome} {seed.date[:10]}" for seed in one.verified),
            "authors": "; ".join(own.authors),
            "paper": own.paper,
            "code": own.code,
            "licence": own.licence,
        }
        lines.append({**line, **more})
    return write_csv(lines, list(dict.fromkeys(column for line in lines for column in line)))


def page_of(kind: Literal["benchmarks", "methods"], name: str) -> str:
    """Return the path of a page in the leaderboard's folder, whatever the name is.

    >>> page_of("methods", "unet+critic"), page_of("methods", "a/b")
    ('methods/unet+critic.html', 'methods/a_b-c14cddc0.html')
    """
    safe = re.sub(r"[^a-z0-9.+_-]", "_", name.lower())[:60].strip(".")
    return f"{kind}/{safe if safe == name != '' else f'{safe}-{sha256(name.encode()).hexdigest()[:8]}'}.html"


def latest_attribution(
    records: Iterable[Record], read: Callable[[Record], Attribution | None] = cell_spec.method_attribution
) -> Attribution | None:
    """Return what the record that was begun last, of those that say so, tells of whose a method or benchmark is."""
    told = [(cell_spec.start_time(record), whose) for record in records if (whose := read(record)) is not None]
    return max(told, key=lambda one: one[0])[1] if told else None


def _benchmark(name: str, asked: str, report: Report, admitted: Admitted, marks: Marks) -> BenchmarkData:
    groups = {number: group for number, group in enumerate(report.groups) if group.data.benchmark == name}
    apart = explain_apart(list(groups.values()))
    return BenchmarkData(
        name=name,
        page=page_of("benchmarks", name),
        question=asked,
        attribution=latest_attribution(
            (one for one in report.records if one.benchmark == name), cell_spec.benchmark_attribution
        ),
        rankings=tuple(
            RankingData(
                number=number,
                dataset=group.data.dataset,
                data=group.data.heading,
                protocol=group.protocol,
                conditions=group.conditions and group.conditions.heading,
                machines=tuple(dict.fromkeys(where.essentials[0] for where in group.machines)),
                apart=why,
                rows=tuple(_row(number, group, row, admitted, marks) for row in group.rows),
            )
            for (number, group), why in zip(groups.items(), apart, strict=True)
        ),
        without_result=tuple(CellData.model_validate(one) for one in report.without_result if one.benchmark == name),
    )


def _row(number: int, group: Group, row: Row, admitted: Admitted, marks: Marks) -> RankedRow:
    networks = {identity(one): one for record in row.records for one in folds_of(record)}
    verified = [(record, marks[key]) for key, record in networks.items() if key in marks]
    return RankedRow(
        page=page_of("methods", row.method),
        attribution=latest_attribution(row.records),
        entries=tuple(sorted({admitted.entries[key] for key in networks if key in admitted.entries})),
        verified=tuple(
            VerifiedSeed(seed=record.seed, **mark.model_dump(include=set(VerifiedSeed.model_fields)))
            for record, mark in verified
        ),
        row=build_row(number, group, row),
    )


def _methods(report: Report) -> Iterable[MethodData]:
    records: dict[str, list[Record]] = {}
    for row in (row for group in report.groups for row in group.rows):
        records.setdefault(row.method, []).extend(row.records)
    for name, found in records.items():
        yield MethodData(
            name=name,
            page=page_of("methods", name),
            attribution=latest_attribution(found),
            benchmarks=tuple(dict.fromkeys(record.benchmark for record in found)),
        )


def explain_apart(groups: Sequence[Group]) -> list[str]:
    """Say of each ranking of a benchmark in what it differs from the others, so that they are not ranked together."""
    told: list[Mapping[str, str | None]] = [
        {
            "dataset": group.data.dataset,
            "data": group.data.heading,
            "protocol": group.protocol or None,
            "scored with": group.conditions.scoring.heading if group.conditions else None,
        }
        for group in groups
    ]
    differing = [key for key in ("dataset", "data", "protocol", "scored with") if len({one[key] for one in told}) > 1]
    return ["; ".join(f"{key}: {one[key] or 'as usual'}" for key in differing) for one in told]
