"""The folder of a leaderboard: an index, a page for each benchmark and each method, and the data."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from segbench.files import read_file
from segbench.report.build import build_report
from segbench.report.page.page import ROOMS, to_html
from segbench.report.page.parts import Room
from segbench.report.ranking.groups import split_by_benchmark
from segbench.report.ranking.pooling import pool_folds
from segbench.report.verification import read_marks
from segbench.store.whole_folder import replacing_folder, write_file

from .admission import admit
from .data import json_schema, leaderboard_data, to_csv, to_json
from .pages import find_benchmark, index_page, method_page, standing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from segbench.report.ranking.groups import Report

    from .admission import Refusal
    from .data import BenchmarkData, LeaderboardData

DATA = "leaderboard.json"


def is_site(folder: Path) -> bool:
    """Tell whether a folder is a leaderboard that segbench has written."""
    try:
        content = json.loads(read_file(folder / DATA))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("format") == "segbench leaderboard"


def write_site(directories: Sequence[Path], output: Path) -> tuple[LeaderboardData, tuple[Refusal, ...]]:
    """Write the leaderboard of results folders and submissions, whole or not at all; return its data, and refusals.

    The same records give the same files. Raises RecordError if a folder is missing, nothing is left to be shown, or
    the output is neither new, empty nor a leaderboard.
    """
    with replacing_folder(output, is_site) as folder:
        admitted = admit(directories)
        report = _without_places(build_report(pool_folds(admitted.sources)))
        marks, _ = read_marks(admitted.sources)
        content = leaderboard_data(report, admitted, marks)
        pages = {
            DATA: to_json(content),
            "leaderboard.schema.json": json_schema(),
            "leaderboard.csv": to_csv(report, content),
            "index.html": index_page(report, content, admitted.refusals),
            **dict(_benchmark_pages(report, content, admitted.refusals)),
            **{one.page: method_page(one, content, report, marks) for one in content.methods},
        }
        for name, text in pages.items():
            write_file(folder / name, text.encode("utf-8", "backslashreplace"))
    return content, admitted.refusals


def _without_places(report: Report) -> Report:
    """Return a report that names folders and files without where they lie on the machine of whoever publishes it."""
    folders = tuple(Path(folder.parent.name, folder.name) for folder in report.folders)
    problems = tuple(
        replace(one, path=Path(one.path.name), cause=one.cause.replace(f"{one.path.parent}/", ""))
        for one in report.problems
    )
    return replace(report, folders=folders, problems=problems)


def _benchmark_pages(
    report: Report, content: LeaderboardData, refusals: Sequence[Refusal]
) -> Iterator[tuple[str, str]]:
    """Yield the path and the text of the page of each benchmark."""
    for part in split_by_benchmark(report):
        benchmark = find_benchmark(part, content)
        *first, last = ROOMS
        room = partial(_standing_room, benchmark, [one for one in refusals if _is_of(one, benchmark)])
        yield benchmark.page, to_html(part, (*first, room, last), home="../index.html")


def _standing_room(benchmark: BenchmarkData, refusals: Sequence[Refusal], report: Report) -> Room:
    lead = "Whose the methods are, where their records come from, and which cells came out again when they were run."
    return Room(id="standing", title="Methods and submissions", lead=lead, html=standing(benchmark, refusals))


def _is_of(refusal: Refusal, benchmark: BenchmarkData) -> bool:
    return refusal.record is not None and refusal.record.benchmark == benchmark.name
