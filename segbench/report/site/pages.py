"""The pages of a leaderboard: its index, what it adds to the page of a benchmark, and the page of each method."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.config.attribution import web_address
from segbench.errors import RecordError
from segbench.files import read_file
from segbench.plan.repeat import read_cell
from segbench.report import cell_spec
from segbench.report.folds import folds_of
from segbench.report.numbers import MISSING, Table, percent, percent_interval, plural, significant
from segbench.report.page.templates import HERE, content_policy, read_asset, templates
from segbench.report.page.trust import list_sources
from segbench.report.recipe import write_recipe
from segbench.report.records import identity
from segbench.stats.summary import Interval

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jinja2 import Environment

    from segbench.report.ranking.groups import Report
    from segbench.report.ranking.rows import Row
    from segbench.report.verification import Marks
    from segbench.store.record import Record

    from .admission import Refusal
    from .data import BenchmarkData, LeaderboardData, MethodData, RankedRow, RankingData, VerifiedSeed


class Line(NamedTuple):
    """A benchmark in the index; the best row is that of its first ranking."""

    name: str
    page: str
    data: str
    best: str
    miou: str
    interval: str
    methods: int
    rankings: int
    cells: int
    reproduced: str
    question: str


def index_page(report: Report, content: LeaderboardData, refusals: Sequence[Refusal]) -> str:
    """Return the page that leads to all others, and says what was refused."""
    lines = [_line(one, report) for one in content.benchmarks]
    cells = sum(line.cells for line in lines)
    summary = (
        f"{plural(len(lines), 'benchmark')}, {plural(len(content.methods), 'method')}, {plural(cells, 'cell')}"
        f"{f'; {len(refusals)} not taken' if refusals else ''}. "
        "Rows of one tier do not differ significantly; rows that may not be ranked together stay apart."
    )
    days = cell_spec.days(report.records)
    return render(
        "index.html.j2",
        **{"benchmarks": lines, "methods": content.methods, "refusals": refusals},
        **{"summary": summary, "days": days, "version": content.segbench},
    )


def standing(benchmark: BenchmarkData, refusals: Sequence[Refusal]) -> str:
    """Return, as HTML, the rows of a benchmark with links to their methods' pages, and its refusals."""
    return render("standing.html.j2", benchmark=benchmark, refusals=refusals, marks=describe_verified)


def find_benchmark(report: Report, content: LeaderboardData) -> BenchmarkData:
    """Return the data of the one benchmark that a report is of."""
    name = report.records[0].benchmark
    return next(one for one in content.benchmarks if one.name == name)


def describe_verified(row: RankedRow) -> str:
    """Say which seeds of a row were run again, how they came out and when."""
    return "; ".join(map(_describe_seed, row.verified)) or MISSING


def _describe_seed(one: VerifiedSeed) -> str:
    numbers = ""
    if one.outcome != "same bits" and one.score == "miou":
        reach = "" if one.low is None or one.high is None else f" in {percent_interval(Interval(one.low, one.high))}"
        numbers = f" ({percent(one.before)}, now {percent(one.after)}{reach})"
    return f"seed {one.seed}: {one.outcome}{numbers}, {one.date[:10]}"


def render(name: str, **content: Any) -> str:
    """Return a page, or a part of one, of a template of this folder; all text in it is escaped and cleaned."""
    style, script = read_asset("style.css"), read_asset("page.js")
    frame = {"style": style, "script": script, "policy": content_policy([script], [style]), "web_address": web_address}
    return _templates().get_template(name).render(**frame, **content)


@cache
def _templates() -> Environment:
    from jinja2 import FileSystemLoader

    return templates().overlay(loader=FileSystemLoader([Path(__file__).parent, HERE]))


def _line(benchmark: BenchmarkData, report: Report) -> Line:
    groups = [group for group in report.groups if group.data.benchmark == benchmark.name]
    rows = [row for group in groups for row in group.rows]
    best = next((row for row in rows if not row.placebo_of and row.score("miou").mean is not None), None)
    verified = [one for ranking in benchmark.rankings for row in ranking.rows for one in row.verified]
    good = sum(one.outcome in ("same bits", "within seeds") for one in verified)
    return Line(
        name=benchmark.name,
        page=benchmark.page,
        data=", ".join(dict.fromkeys(group.data.dataset for group in groups)),
        best=best.name if best else MISSING,
        miou=percent(best.score("miou").mean) if best else MISSING,
        interval=interval_text(best) if best else MISSING,
        methods=len({row.method for row in rows}),
        rankings=len(groups),
        cells=sum(len(row.records) for row in rows),
        reproduced=f"{good} of {len(verified)}" if verified else MISSING,
        question=benchmark.question,
    )


def interval_text(row: Row) -> str:
    """Return the interval of a row's mIoU in percent."""
    return percent_interval(row.statistics.interval)


LARGEST_SOURCE = 1 << 18  # bytes of a plugin file that a page shows


class Result(NamedTuple):
    """A row of the method in a ranking, in words."""

    benchmark: str
    page: str
    ranking: str
    name: str
    miou: str
    interval: str
    tier: str
    of: int
    seeds: int
    speed: str
    parameters: str
    marks: str


class Text(NamedTuple):
    """A recipe or a plugin file: its title, its text, and what to know of it."""

    title: str
    text: str
    note: str = ""


def method_page(method: MethodData, content: LeaderboardData, report: Report, marks: Marks) -> str:
    """Return the page of a method."""
    rows = [
        (benchmark.page, ranking, ranked, _find_row(report, ranking, ranked))
        for benchmark in content.benchmarks
        for ranking in benchmark.rankings
        for ranked in ranking.rows
        if ranked.row.method == method.name
    ]
    records = list({id(one): one for *_, row in rows for record in row.records for one in folds_of(record)}.values())
    return render(
        "method.html.j2",
        method=method,
        results=[_result(page, ranking, ranked, row) for page, ranking, ranked, row in rows],
        recipes=list(_recipes([row for *_, row in rows])),
        sources=list_sources(records),
        files=list(_files(records, report)),
        cells=_cells(records, marks),
    )


def _find_row(report: Report, ranking: RankingData, ranked: RankedRow) -> Row:
    return next(row for row in report.groups[ranking.number].rows if row.name == ranked.row.name)


def _result(page: str, ranking: RankingData, ranked: RankedRow, row: Row) -> Result:
    timing = row.inference.get(1)
    return Result(
        benchmark=ranked.row.benchmark,
        page=page,
        ranking=" · ".join(filter(None, [ranking.dataset, ranking.data, ranking.apart and ranking.protocol])),
        name=row.name,
        miou=percent(row.score("miou").mean),
        interval=interval_text(row),
        tier=str(row.statistics.tier or MISSING),
        of=len(ranking.rows),
        seeds=len(row.seeds),
        speed=significant(timing.images_per_second if timing else None),
        parameters=MISSING if row.cost("parameters") is None else f"{row.cost('parameters'):,}",
        marks=describe_verified(ranked),
    )


def _recipes(rows: list[Row]) -> Iterator[Text]:
    """Yield the benchmark file of each recipe of a method, once; its spec where that alone makes no file."""
    seen: set[str] = set()
    for row in rows:
        if row.scored_only:
            yield Text(f"{row.name} in {row.records[0].benchmark}", "", "Label maps of another tool were scored.")
            continue
        title = f"{row.name} in {row.records[0].benchmark}, key {row.records[0].key}"
        try:
            text, note = write_recipe([read_cell(record) for record in row.records]), ""
        except RecordError as error:
            text, note = json.dumps(row.records[0].spec.get("method"), indent=1, ensure_ascii=False), str(error)
        if text not in seen:
            seen.add(text)
            yield Text(title, text, note)


def _files(records: list[Record], report: Report) -> Iterator[Text]:
    """Yield the plugin files that cells of a method were made with, as they kept them."""
    seen: set[str] = set()
    for record in records:
        for file in record.plugin_files:
            if file.sha256 in seen:
                continue
            seen.add(file.sha256)
            title = f"{file.plugin}.py, SHA-256 {file.sha256}"
            folder = report.folder_of(record)
            path = folder / file.copy_path if folder else None
            try:
                if path is None or folder is None or not path.resolve().is_relative_to(folder.resolve()):
                    raise OSError("there is no copy")
                source = read_file(path, LARGEST_SOURCE)
            except OSError as error:
                yield Text(title, "", f"It is not shown: {error.strerror or error}.")
                continue
            same = hashlib.sha256(source).hexdigest() == file.sha256
            note = "" if same else "This copy is not what the cells were made with: its SHA-256 is another one."
            yield Text(title, source.decode("utf-8", "replace"), note)


def _cells(records: list[Record], marks: Marks) -> Table:
    rows = []
    for record in records:
        mark = marks.get(identity(record))
        environment = record.environment
        rows.append(
            [
                record.key,
                record.benchmark,
                record.dataset,
                record.subset,
                str(record.seed),
                percent(record.scores.miou if record.scores else None),
                str(environment.get("device_name") or environment.get("cpu") or MISSING),
                cell_spec.start_text(record) or MISSING,
                f"{mark.outcome}, {mark.date[:10]}" if mark else MISSING,
            ]
        )
    headers = ["key", "benchmark", "dataset", "subset", "seed", "mIoU [%]", "machine", "begun", "run again"]
    return Table(headers, rows, "Every cell", (0, 1, 2, 3, 6, 8))
