"""A complete report: rankings with intervals, tiers, verdicts and label efficiency, from records and their counts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from segbench.store.folder import without_collecting

from .ranking.across_datasets import measure_across_datasets
from .ranking.groups import Report, rank_records
from .ranking.intervals import read_evidence
from .ranking.label_efficiency import measure_label_efficiency
from .ranking.people import read_people
from .records import identity
from .verification import note_marks, read_marks

if TYPE_CHECKING:
    from .records import Sources


def build_report(sources: Sources) -> Report:
    """Sort pooled records into rankings; those whose counts are damaged are among the problems and in no ranking."""
    with without_collecting():
        evidence = read_evidence(sources, sources.ranked)
    usable = tuple(record for record in sources.records if identity(record) not in evidence.damaged)
    sources = replace(sources, records=usable, problems=(*sources.problems, *evidence.damaged.values()))
    marks, unread_marks = read_marks(sources)
    groups = rank_records(sources, evidence)
    people, unread_votes = read_people(sources.folders, groups)
    return Report(
        groups=note_marks(groups, marks),
        auxiliary=sources.auxiliary,
        without_result=sources.without_result,
        incomplete=sources.incomplete,
        problems=(*sources.problems, *unread_marks, *unread_votes),
        folders=sources.folders,
        efficiencies=measure_label_efficiency(groups, evidence),
        across=measure_across_datasets(groups, evidence),
        cell_folders=sources.cell_folders,
        people=people,
    )
