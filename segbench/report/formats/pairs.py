"""All pairs of a ranking as text and as data: each difference judged on its own and among all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from segbench.report.numbers import Table, points
from segbench.shown import write_json

from .as_csv import write_csv
from .as_json import ReportWithPairsData, report_data
from .row_data import JudgedData, PairData

if TYPE_CHECKING:
    from segbench.report.ranking.groups import Group, Report
    from segbench.report.ranking.pairs import RankedPair
    from segbench.stats.verdict import Decision, Verdict

    from .layout import Document


SIGNS: dict[Verdict, str] = {"better": ">", "worse": "<", "equivalent": "=", "undecided": "?"}


def add_pair_tables(document: Document, report: Report) -> Document:
    """Add the matrix of all pairs to the section of every ranking that has tiers."""
    sections = list(document.sections)
    for place, group in enumerate(report.groups[: len(sections)]):
        if group.pairs:
            sections[place] = replace(sections[place], tables=(*sections[place].tables, pair_matrix(group)))
    return replace(document, sections=tuple(sections))


def pair_matrix(group: Group) -> Table:
    """Return the matrix of a ranking: in each row a method minus those below it, with the signs of both verdicts."""
    cells = {(pair.one, pair.other): _cell(pair) for pair in group.pairs}
    names = list(dict.fromkeys(name for pair in cells for name in pair))
    lines = [
        [f"{place} {one}", *(cells.get((one, other), "") for other in names[1:])]
        for place, one in enumerate(names, start=1)
    ]
    title = (
        f"All {len(cells)} pairs: row - column in points of mIoU, the verdict on the pair alone and that among all, "
        "as of tiers, each at 95 % (> better, < worse, = equivalent, ? undecided)"
    )
    return Table(["", *(f"- {place}" for place in range(2, len(names) + 1))], lines, title, name="pairs")


def _cell(pair: RankedPair) -> str:
    signs = f"{SIGNS[pair.alone.verdict]}{SIGNS[pair.among_all.verdict]}"
    return f"{points(pair.among_all.difference.estimate)} {signs}"


def pairs_to_csv(report: Report) -> str:
    """Return one line for each pair of rows of each ranking, under the names of `PairData`."""
    columns = [*(name for name in PairData.model_fields if name not in JUDGED), *_JUDGED_COLUMNS]
    return write_csv([_flatten(pair) for pair in list_pairs(report)], columns)


def pairs_to_json(report: Report) -> str:
    """Return what `to_json` does, and `pairs`, the pairs of all rankings under the names of `PairData`."""
    found = ReportWithPairsData(**dict(report_data(report)), pairs=list_pairs(report))
    return write_json(found.model_dump(mode="json", by_alias=True))


def list_pairs(report: Report) -> list[PairData]:
    """Return the pairs of all rankings, the rankings numbered from 0."""
    return [
        PairData(
            group=number,
            benchmark=group.data.benchmark,
            dataset=group.data.dataset,
            one=pair.one,
            other=pair.other,
            difference=pair.among_all.difference.estimate,
            seeds=pair.among_all.difference.seeds,
            alone=_judged(pair.alone),
            among_all=_judged(pair.among_all),
        )
        for number, group in enumerate(report.groups)
        for pair in group.pairs
    ]


def _judged(found: Decision) -> JudgedData:
    return JudgedData(level=found.level, low=found.interval.low, high=found.interval.high, verdict=found.verdict)


JUDGED = ("alone", "among_all")
_JUDGED_COLUMNS = [f"{which}_{name}" for which in JUDGED for name in JudgedData.model_fields]


def _flatten(pair: PairData) -> dict[str, object]:
    data = pair.model_dump()
    for which in JUDGED:
        data |= {f"{which}_{name}": value for name, value in data.pop(which).items()}
    return data
