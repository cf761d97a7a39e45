"""What the page is made of: charts with their numbers, and rooms that hold them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segbench.report.numbers import Table


@dataclass(frozen=True)
class Choice:
    """A parameter of a chart that the reader sets with a select element: its label, and the labels of its values.

    The chart begins with the value that the parameter has in its specification.
    """

    parameter: str
    label: str
    options: Mapping[str, str]


@dataclass(frozen=True)
class Chart:
    """A chart as a Vega-Lite specification, and its numbers as a table.

    `id` stands in file names: lower-case letters, digits and dashes; `numbered` makes it unique on the page. The
    specification has the parameter `filter`, a text that the names of the rows shown contain. Where it has the
    parameter `focus`, keys walk its points: the page sets it to the `name` of a row of the data set "points". `note`
    says what a reader must know.
    """

    id: str
    title: str
    spec: dict[str, Any]
    table: Table
    note: str = ""
    choices: tuple[Choice, ...] = ()

    def numbered(self, place: int) -> Chart:
        """Return the chart with an id of its own beside those of other rankings; `place` counts them from 0."""
        return self if place == 0 else replace(self, id=f"{self.id}-{place + 1}")


@dataclass(frozen=True)
class Room:
    """A part of the page: what it shows in a sentence, its charts, tables and notes, and HTML of its own.

    `html` is escaped already: the output of a template.
    """

    id: str
    title: str
    lead: str = ""
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    html: str = ""
    notes: tuple[str, ...] = ()
