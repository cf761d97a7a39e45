"""The room of a benchmark with several datasets: methods by dataset, and claims judged over the datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.report.formats.across_datasets import across_tables, explain_across, summarize_across

from .parts import Room

if TYPE_CHECKING:
    from segbench.report.ranking.groups import Report


def datasets(report: Report) -> Room | None:
    """Return the tables of what holds over the datasets; None with one dataset."""
    if not report.across:
        return None
    return Room(
        id="datasets",
        title="Across datasets",
        lead=" ".join(map(summarize_across, report.across)),
        tables=tuple(table for found in report.across for table in across_tables(found)),
        notes=tuple(dict.fromkeys(note for found in report.across for note in explain_across(found))),
    )
