"""The page of a report: one HTML file that works offline, for each benchmark a section with its rooms."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import cache, partial, wraps
from typing import TYPE_CHECKING, Any

from segbench.shown import clean

from .answer import Card, answer, cards, describe_run, question
from .chart_rooms import curves, differences, gains, scores
from .datasets import datasets
from .embedding import USUAL, Allowance
from .families import DARK, LIGHT
from .games import games
from .leaderboard import leaderboard
from .parts import Room
from .people import people
from .pictures import pictures
from .policy import HERE, chart_library, content_policy, read_asset
from .trust import trust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from jinja2 import Environment

    from segbench.report.numbers import Table
    from segbench.report.ranking.groups import Report
    from segbench.store.record import Record

    MakeRoom = Callable[[Report], Room | None]

# In the order of the page. Each gets the report of one benchmark; None leaves a room out.
ROOMS: tuple[MakeRoom, ...] = (
    differences,
    leaderboard,
    datasets,
    pictures,
    people,
    scores,
    curves,
    gains,
    games,
    trust,
)
# The rooms among them that hold pictures; they share what the page may hold among themselves.
WITH_PICTURES = (pictures, games)

# Tables with more cells are put into the document when they are opened.
MOST_CELLS_AT_ONCE = 50


@dataclass(frozen=True)
class Section:
    """A benchmark on the page: its question, what was run, the answer, cards, and rooms."""

    id: str
    title: str
    facts: tuple[str, ...]
    question: str
    background: str
    answers: tuple[str, ...]
    cards: tuple[Card, ...]
    rooms: tuple[Room, ...]


def to_html(report: Report, rooms: Iterable[MakeRoom] = ROOMS, allowance: Allowance = USUAL, home: str = "") -> str:
    """Return the page of a report, with the pictures that it is allowed to hold.

    `home` is the address of the page that leads to this one, if one does. A room that cannot be made is named in its
    place, with the cause, and the others are shown.
    """
    parts = list(split_by_benchmark(report))
    made = tuple(_allow(rooms, allowance.shared_by(len(parts))))
    sections = [_section(f"b{number}", part, made) for number, part in enumerate(parts)]
    charts = {
        f"{section.id}-{chart.id}": chart.spec
        for section in sections
        for room in section.rooms
        for chart in room.charts
    }
    script = read_asset("page.js") + read_asset("pictures.js")
    scripts = [chart_library(), script] if charts else [script]
    style = read_asset("style.css") + read_asset("pictures.css")
    return (
        templates()
        .get_template("page.html.j2")
        .render(
            sections=sections,
            home=home,
            problems=report.problems,
            folders=report.folders,
            charts=as_data({"specs": charts, "looks": {"light": LIGHT, "dark": DARK} if charts else {}}),
            scripts=scripts,
            style=style,
            policy=content_policy(scripts, [style]),
        )
    )


def _allow(rooms: Iterable[MakeRoom], allowance: Allowance) -> Iterator[MakeRoom]:
    """Yield the rooms, those with pictures so that they hold what is allowed."""
    for make in rooms:
        yield wraps(make)(partial(make, allowance=allowance)) if make in WITH_PICTURES else make


def split_by_benchmark(report: Report) -> Iterator[Report]:
    """Return the report of each benchmark by itself; the report as it is if there is one."""
    records = _outside_rankings(report)
    names = dict.fromkeys([*(group.data.benchmark for group in report.groups), *(one.benchmark for one in records)])
    for name in names:
        places = [place for place, group in enumerate(report.groups) if group.data.benchmark == name]
        yield replace(
            report,
            groups=tuple(report.groups[place] for place in places),
            auxiliary=tuple(one for one in report.auxiliary if one.benchmark == name),
            without_result=tuple(one for one in report.without_result if one.benchmark == name),
            incomplete=tuple(one for one in report.incomplete if one.record.benchmark == name),
            efficiencies=tuple(
                one._replace(groups=tuple(map(places.index, one.groups)))
                for one in report.efficiencies
                if one.benchmark == name
            ),
            people=tuple(one for one in report.people if one.plan.benchmark == name),
            across=tuple(
                one._replace(groups=tuple(map(places.index, one.groups)))
                for one in report.across
                if one.benchmark == name
            ),
        )


@cache
def templates() -> Environment:
    """Return the templates of the page; all text in them is escaped and cleaned."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: clean(value) if type(value) is str else value,
    )
    found.globals["is_long"] = is_long
    found.filters["initial"] = initial_value
    found.filters["unbroken"] = keep_intervals_whole
    return found


def is_long(table: Table) -> bool:
    """Tell whether a table is put into the document only when it is opened."""
    return len(table.rows) * len(table.headers) > MOST_CELLS_AT_ONCE


def keep_intervals_whole(text: str) -> str:
    r"""Return a sentence whose intervals are on one line with their means.

    >>> keep_intervals_whole("gains +0.8 [-2.1, +3.7] points")
    'gains +0.8\xa0[-2.1,\xa0+3.7] points'
    """
    return re.sub(r"((?<=\d) )?\[[^\[\]]*\]", lambda interval: interval.group().replace(" ", "\u00a0"), text)


def initial_value(spec: Mapping[str, Any], parameter: str) -> Any:
    """Return the value that a parameter of a chart's specification begins with."""
    return next((one.get("value") for one in spec["params"] if one["name"] == parameter), None)


def as_data(content: object) -> Any:
    """Return content as JSON that ends no script element."""
    from markupsafe import Markup

    return Markup(clean(json.dumps(content, ensure_ascii=False, allow_nan=False)).replace("<", "\\u003c"))


def _section(id: str, report: Report, rooms: tuple[MakeRoom, ...]) -> Section:
    asked, background = question(report)
    return Section(
        id=id,
        title=_benchmark(report),
        facts=tuple(describe_run(report)),
        question=asked,
        background=background,
        answers=tuple(answer(report)),
        cards=tuple(cards(report)),
        rooms=tuple(room for make in rooms if (room := _make_room(make, report)) is not None),
    )


def _outside_rankings(report: Report) -> tuple[Record, ...]:
    return (*report.without_result, *report.auxiliary, *(seed.record for seed in report.incomplete))


def _benchmark(report: Report) -> str:
    return next(
        (group.data.benchmark for group in report.groups),
        next((one.benchmark for one in _outside_rankings(report)), ""),
    )


def _make_room(make: MakeRoom, report: Report) -> Room | None:
    """Return a room; where it cannot be made, one that says so: the other rooms are worth a page."""
    try:
        return make(report)
    except Exception as error:
        name = getattr(make, "__name__", "room").replace("_", " ").strip()
        cause = f"This part could not be made: {type(error).__name__}: {error}"
        return Room(id=name.replace(" ", "-"), title=name.capitalize(), notes=(cause,))
