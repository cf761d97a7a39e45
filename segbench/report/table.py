"""A table and its columns, before any format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from .numbers import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Line = TypeVar("Line")


class Table(NamedTuple):
    """Headers and cells; the first column is text, the others are numbers. A header may hold line breaks."""

    headers: list[str]
    rows: list[list[str]]
    title: str = ""


class Column(NamedTuple, Generic[Line]):
    """A column: its header, and the cell of a line."""

    header: str
    cell: Callable[[Line], str]


def table(columns: Sequence[Column[Line]], lines: Sequence[Line], title: str = "") -> Table:
    """Return the table of some lines."""
    cells = [[column.cell(line) for column in columns] for line in lines]
    return Table([column.header for column in columns], cells, title)


def filled(columns: Sequence[Column[Line]], lines: Sequence[Line]) -> list[Column[Line]]:
    """Return the columns that hold anything."""
    return [column for column in columns if any(column.cell(line) != MISSING for line in lines)]
