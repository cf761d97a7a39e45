"""What tells the rankings of a benchmark apart, in as few words as that takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.report import cell_spec

if TYPE_CHECKING:
    from segbench.report.ranking.groups import Group, Report


def name_rankings(report: Report) -> list[str]:
    """Return for each ranking what tells it from the others, its dataset first; empty where there is one only."""
    facts = [_facts(group) for group in report.groups]
    names: list[tuple[str, ...]] = [()] * len(facts)
    for values in zip(*facts, strict=True):
        if len(set(values)) > 1 and len(set(names)) < len(names):
            names = [(*name, value) for name, value in zip(names, values, strict=True)]
    return [" · ".join(filter(None, name)) for name in names]


def _facts(group: Group) -> tuple[str, ...]:
    data = group.data
    return (
        data.dataset,
        "all labels" if data.subset == "all" else cell_spec.subset_text(data.subset),
        data.scored_on,
        group.protocol,
        f"data {data.fingerprint[:12]}" if data.fingerprint else "data not identified",
        group.conditions.heading if group.conditions else "scored only",
    )
