"""A report with what chance adds to its scores and differences, from the counts beside the records."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from segbench.report.ranking.differences import compare_rows
from segbench.report.ranking.groups import rank_records
from segbench.report.ranking.intervals import drawn, read_overlaps, standings
from segbench.report.ranking.label_efficiency import efficiencies

from . import cell_spec
from .records import identity

if TYPE_CHECKING:
    from segbench.report.ranking.groups import Group, Report
    from segbench.report.ranking.intervals import Overlaps

    from .records import Sources


def build_report(sources: Sources) -> Report:
    """Sort records into rankings, with intervals, tiers, verdicts and label efficiency.

    Records whose counts are damaged are among the problems and in no ranking.
    """
    ranked = [record for record in sources.records if record.status == "ok" and not cell_spec.is_auxiliary(record)]
    overlaps = read_overlaps(sources, ranked)
    usable = tuple(record for record in sources.records if identity(record) not in overlaps.damaged)
    problems = (*sources.problems, *overlaps.damaged.values())
    report = rank_records(replace(sources, records=usable, problems=problems))
    groups = tuple(_judged(group, overlaps) for group in report.groups)
    return replace(report, groups=groups, efficiencies=efficiencies(groups, overlaps))


def _judged(group: Group, overlaps: Overlaps) -> Group:
    draws = drawn(group.rows, overlaps)
    zipped = zip(group.rows, standings(group.rows, draws), strict=True)
    rows = tuple(replace(row, statistics=found) for row, found in zipped)
    return replace(group, rows=rows, comparisons=compare_rows(rows, draws))
