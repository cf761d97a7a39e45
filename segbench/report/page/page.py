"""The page of a report: one HTML file that works offline, for each benchmark a section with its rooms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial, wraps
from typing import TYPE_CHECKING

from segbench.report.ranking.groups import outside_rankings, split_by_benchmark

from .answer import Card, answer, cards, describe_run, question
from .chart_rooms import curves, datasets, differences, gains, scores
from .embedding import USUAL, Allowance
from .families import DARK, LIGHT
from .games import games
from .leaderboard import leaderboard
from .parts import Room
from .people import people
from .pictures import pictures
from .templates import as_data, chart_library, content_policy, read_asset, templates
from .trust import trust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from segbench.report.ranking.groups import Report

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


def _benchmark(report: Report) -> str:
    return next(
        (group.data.benchmark for group in report.groups),
        next((one.benchmark for one in outside_rankings(report)), ""),
    )


def _make_room(make: MakeRoom, report: Report) -> Room | None:
    """Return a room; where it cannot be made, one that says so: the other rooms are worth a page."""
    try:
        return make(report)
    except Exception as error:
        name = getattr(make, "__name__", "room").replace("_", " ").strip()
        cause = f"This part could not be made: {type(error).__name__}: {error}"
        return Room(id=name.replace(" ", "-"), title=name.capitalize(), notes=(cause,))
