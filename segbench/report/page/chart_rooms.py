"""The rooms of charts, each with its charts of every ranking of a report, and that of what holds over datasets."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from segbench.report.formats.across_datasets import across_tables, explain_across, summarize_across
from segbench.report.formats.layout import describe_conditions
from segbench.report.numbers import Table
from segbench.report.ranking.groups import name_rankings

from .class_chart import draw_classes
from .curves import draw_curves
from .differences_chart import draw_differences
from .dose_chart import draw_doses
from .efficiency_chart import draw_efficiency
from .gains import draw_gains, list_left_out
from .pareto import draw_trade_off
from .parts import Chart, Room
from .seeds_chart import draw_seeds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from segbench.report.ranking.groups import Group, Report


def differences(report: Report) -> Room | None:
    """Return paired differences, those over doses, and the trade-off of accuracy with cost; below what was run how."""
    found = _of_rankings(report, lambda group: (draw_differences(group), *draw_doses(group), draw_trade_off(group)))
    protocols = [_protocol(group, name) for group, name in zip(report.groups, name_rankings(report), strict=True)]
    if not found and not protocols:
        return None
    return Room("figures", "Differences and trade-off", charts=tuple(found), tables=tuple(protocols))


def _protocol(group: Group, name: str) -> Table:
    """Return under what conditions and protocol a ranking was run; what methods override is beside their names."""
    shared = [[key, str(value)] for key, value in sorted(group.shared.items()) if value is not None]
    rows = [["conditions", line] for line in describe_conditions(group)]
    return Table(["", ""], [*rows, *shared], f"Protocol and hardware{f': {name}' if name else ''}", (0, 1))


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


def scores(report: Report) -> Room | None:
    """Return the scores by class and by seed, and what a share of the labels comes to."""
    found = _of_rankings(report, lambda group: (draw_classes(group), draw_seeds(group)))
    efficiencies = [draw_efficiency(one).numbered(place) for place, one in enumerate(report.efficiencies)]
    return _room("scores", "Classes, seeds and labels", "", [*efficiencies, *found])


def curves(report: Report) -> Room | None:
    """Return the curves over the steps of training: loss, mIoU on val, and the adversarial game."""
    lead = "Lines: the median over the seeds. Bands hold all seeds."
    return _room("curves", "Training curves", lead, _of_rankings(report, partial(draw_curves, report)))


def gains(report: Report) -> Room | None:
    """Return where the gains of claims lie."""
    charts = _of_rankings(report, partial(draw_gains, report))
    notes = tuple(line for group in report.groups for line in list_left_out(report, group))
    return Room("gains", "Where the gain lies", charts=tuple(charts), notes=notes) if charts or notes else None


def _of_rankings(report: Report, draw: Callable[[Group], Iterable[Chart | None]]) -> list[Chart]:
    """Return the charts of each ranking, which their titles name where there are several."""
    found = []
    for place, (group, name) in enumerate(zip(report.groups, name_rankings(report), strict=True)):
        suffix = f": {name}" if name else ""
        charts = [chart.numbered(place) for chart in draw(group) if chart]
        found += [replace(chart, title=f"{chart.title}{suffix}") for chart in charts]
    return found


def _room(id: str, title: str, lead: str, charts: list[Chart]) -> Room | None:
    return Room(id, title, lead, tuple(charts)) if charts else None
