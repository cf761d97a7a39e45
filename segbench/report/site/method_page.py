"""The page of a method: its results in all benchmarks, its recipe, its code, and its cells."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import RecordError
from segbench.files import read_file
from segbench.plan.repeat import read_cell
from segbench.report import cell_spec
from segbench.report.folds import folds_of
from segbench.report.numbers import MISSING, Table, percent, significant
from segbench.report.page.trust import list_sources
from segbench.report.recipe import write_recipe
from segbench.report.records import identity

from .pages import describe_verified, interval_text, render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from segbench.report.ranking.groups import Report
    from segbench.report.ranking.rows import Row
    from segbench.report.verification import Marks
    from segbench.store.record import Record

    from .data import LeaderboardData, MethodData, RankedRow, RankingData

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
