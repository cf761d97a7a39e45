"""The first figures of the page: paired differences, and accuracy against speed and cost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .differences_chart import draw_differences
from .pareto import draw_trade_off
from .parts import Room

if TYPE_CHECKING:
    from segbench.report.ranking.groups import Report


def figures(report: Report) -> Room | None:
    """Return the differences and the trade-off of each ranking; its data is named where there are several."""
    charts = []
    for place, group in enumerate(report.groups):
        found = [chart for draw in (draw_differences, draw_trade_off) if (chart := draw(group, place))]
        data = f"{group.data.dataset}, {group.data.heading}: " if len(report.groups) > 1 else ""
        charts += [replace(chart, title=f"{data}{chart.title}") for chart in found]
    return Room(id="figures", title="Differences and trade-off", charts=tuple(charts)) if charts else None
