"""The index of a leaderboard, and what it adds to the page of a benchmark."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.config.attribution import web_address
from segbench.report import cell_spec
from segbench.report.numbers import MISSING, percent, percent_interval, plural
from segbench.report.page.page import templates
from segbench.report.page.policy import HERE, content_policy, read_asset
from segbench.stats.summary import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Environment

    from segbench.report.ranking.groups import Report
    from segbench.report.ranking.rows import Row

    from .admission import Refusal
    from .data import BenchmarkData, LeaderboardData, RankedRow, VerifiedSeed


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
    days = sorted({day[:10] for record in report.records if (day := cell_spec.start_text(record))})
    shown = [" to ".join(dict.fromkeys((days[0], days[-1])))] if days else []
    return render(
        "index.html.j2",
        **{"benchmarks": lines, "methods": content.methods, "refusals": refusals},
        **{"summary": summary, "days": shown, "version": content.segbench},
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
