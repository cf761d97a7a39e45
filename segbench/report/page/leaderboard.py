"""The leaderboard of the page: the rows of each ranking in columns to choose from, with intervals drawn."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

from segbench.report.formats import tables
from segbench.report.formats.as_csv import to_csv
from segbench.report.formats.columns import of_twin
from segbench.report.formats.first_screen import PLACEBO, verdict_in_words
from segbench.report.formats.layout import (
    explain_places,
    explain_trade_off,
    list_places,
    mark_notes,
    note_lines,
    select_segmenting,
)
from segbench.report.numbers import MISSING, Column
from segbench.report.ranking.groups import name_rankings

from .families import LOOKS, family_of
from .parts import Room
from .templates import templates

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from segbench.report.conditions import Conditions
    from segbench.report.ranking.groups import Group, Report
    from segbench.report.ranking.rows import Row

    from .families import Family

# The width of a drawn interval in units of its own, and the room left at both ends.
WIDTH, EDGE = 120.0, 4.0
# The shapes of families, by the names that Vega has for them, in a square of 10 units.
SHAPES = {
    "circle": "M1 5a4 4 0 1 0 8 0a4 4 0 1 0-8 0",
    "square": "M1 1h8v8h-8z",
    "diamond": "M5 0L10 5L5 10L0 5z",
    "triangle-up": "M5 1L9.5 9h-9z",
    "triangle-down": "M5 9L9.5 1h-9z",
    "cross": "M3.5 0h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5v-3h3.5z",
}


class Drawn(NamedTuple):
    """A mean and its interval as places on a line of `WIDTH` units; None where there is none."""

    mean: float
    low: float | None
    high: float | None


class Choice(NamedTuple):
    """A column: its header, whether it is shown at first, and whether it is aligned left."""

    header: str
    is_shown: bool
    is_text: bool


class Line(NamedTuple):
    """A row: its name, as it is marked, its family, of what it is a placebo, the drawn interval, further cells."""

    name: str
    marked: str
    family: Family
    placebo_of: str | None
    drawn: Drawn | None
    cells: list[str]


class Board(NamedTuple):
    """The table of a ranking: its title, whether intervals are drawn, columns after that, rows, and notes below."""

    title: str
    drawn: bool
    columns: list[Choice]
    lines: list[Line]
    notes: list[str]


def leaderboard(report: Report) -> Room | None:
    """Return the table of each ranking, of methods with label maps and of those that make images."""
    names = name_rankings(report)
    boards = [board for group, name in zip(report.groups, names, strict=True) for board in _boards(group, name)]
    if not boards:
        return None
    csv = base64.b64encode(to_csv(report).encode("utf-8", "backslashreplace")).decode()
    file = f"{report.groups[0].data.benchmark}.csv"
    html = (
        templates()
        .get_template("leaderboard.html.j2")
        .render(boards=boards, file=file, csv=csv, width=WIDTH, looks=LOOKS, shapes=SHAPES)
    )
    lead = (
        "Tiers, not ranks: methods of one tier do not differ significantly. The line is the 95 % interval of the mean, "
        "over seeds and images. Click a header to sort."
    )
    return Room(id="leaderboard", title="Leaderboard", lead=lead, html=html)


def _boards(group: Group, name: str) -> Iterator[Board]:
    """Return a table of methods with label maps, one of methods that make images, and what was measured elsewhere."""
    letters = mark_notes(group.rows)
    marked = tables.marked_name(letters)
    placebos = [PLACEBO] if any(row.placebo_of for row in group.rows) else []
    notes = [*placebos, *explain_trade_off(group), *note_lines(letters), *_places(group)]
    if predicting := select_segmenting(group.rows):
        yield _board(name, predicting, marked, _columns(group), notes)
    if generating := [row for row in group.rows if row.generates_images]:
        columns = [(one, True) for one in (*tables.image_scores(generating), tables.SEEDS, tables.HEALTH)]
        title = f"{name}: generated images" if name else "Generated images"
        yield _board(
            title, generating, marked, [*columns, *_costs(group.conditions, generating)], [] if predicting else notes
        )
    for where in group.places[1:]:
        rows = [row for row in group.under(where) if row.conditions]
        places = [one for one in group.places if one != where]
        yield _board(f"Measured under {where.describe_beside(places)}", rows, marked, _costs(where, rows), [])


def _places(group: Group) -> Iterator[str]:
    if len(group.places) > 1 and group.conditions:
        yield from (f"Ran under {line}." for line in list_places(group))
        yield from explain_places(group)


def _board(
    title: str, rows: Sequence[Row], name: Column[Row], columns: Sequence[tuple[Column[Row], bool]], notes: list[str]
) -> Board:
    """Return the table of some rows; columns without any value are left out."""
    drawn = _draw(rows) if any(one is tables.MIOU for one, _ in columns) else {}
    kept = [(one, shown) for one, shown in columns if any(one.cell(row) != MISSING for row in rows)]
    lines = [
        Line(
            row.name,
            name.cell(row),
            family_of(row),
            row.placebo_of,
            drawn.get(row.name),
            [one.cell(row) for one, _ in kept],
        )
        for row in rows
    ]
    return Board(
        title, bool(drawn), [Choice(one.header, shown, one.header in _WORDS) for one, shown in kept], lines, notes
    )


def _columns(group: Group) -> list[tuple[Column[Row], bool]]:
    """Return the columns of methods that predict label maps, each with whether it is shown at first."""
    return [
        (tables.MIOU, True),
        (tables.INTERVAL, False),
        (tables.TIER, True),
        (Column("Δ twin\n[points]", of_twin(group, tables.difference_text)), True),
        (
            Column(_VERDICT, of_twin(group, lambda one: verdict_in_words(one).replace("A is ", "").partition(";")[0])),
            True,
        ),
        (tables.SEEDS, True),
        (tables.PIXEL_ACCURACY, False),
        *((one, False) for one in tables.quality_columns()),
        *((one, True) for one in tables.ran_under(group)),
        *_costs(group.conditions, group.rows),
        (tables.HEALTH, True),
    ]


def _costs(where: Conditions | None, rows: Sequence[Row]) -> list[tuple[Column[Row], bool]]:
    """Return the columns of speed and cost, measured under some conditions."""
    batch = (where and where.batch_size) or 1
    return [
        (tables.throughput(batch), True),
        (tables.latency(1), True),
        *([(tables.throughput(1), False)] if batch > 1 else []),
        (tables.TRAINING_SPEED, False),
        (tables.TRAINING_SECONDS, True),
        (tables.PARAMETERS, True),
        (tables.flops(rows), False),
        (tables.INFERENCE_MEMORY, False),
        (tables.TRAINING_MEMORY, False),
    ]


_VERDICT = "verdict"
_WORDS = (tables.HEALTH.header, _VERDICT)


def _draw(rows: Sequence[Row]) -> dict[str, Drawn]:
    """Return mean and interval of each row on one line that holds all of them."""
    means = {row.name: mean for row in rows if (mean := row.score("miou").mean) is not None}
    intervals = {row.name: row.statistics.interval for row in rows}
    ends = [*means.values(), *(end for interval in intervals.values() if interval for end in interval)]
    if not means:
        return {}
    low, high = min(ends), max(ends)

    def place(value: float) -> float:
        return round(EDGE + (WIDTH - 2 * EDGE) * ((value - low) / (high - low) if high > low else 0.5), 1)

    found = {}
    for name, mean in means.items():
        interval = intervals[name]
        ends_of = (place(interval.low), place(interval.high)) if interval else (None, None)
        found[name] = Drawn(place(mean), *ends_of)
    return found
