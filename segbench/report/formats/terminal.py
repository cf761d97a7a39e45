"""A report as plain text for a terminal of some width."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

from segbench.shown import clean, clean_line

from .text_table import draw_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.report.numbers import Table

    from .layout import Document, Section

# Longer lines of prose are hard to read.
PROSE_WIDTH = 100


def to_terminal(document: Document, width: int | None = None) -> str:
    """Return plain text for a terminal of so many columns; without a width, tables are as wide as their cells."""
    parts = [_section(section, width) for section in document.sections]
    if document.failures:
        parts.append("\n".join(["Cells without a result:", *(f"  {clean_line(line)}" for line in document.failures)]))
    return "\n\n".join([*parts, terminal_lines(document.closing, width)]) + "\n"


def terminal_table(table: Table, width: int | None = None) -> str:
    """Return a table as plain text, under its title if it has one, with its notes; without rows only these."""
    title = wrap(table.title, width) if table.title else ""
    rows = draw_table(table, width) if table.rows else ""
    return "\n\n".join(filter(None, [title, rows, terminal_lines(table.notes, width)]))


def terminal_lines(lines: Sequence[str], width: int | None = None) -> str:
    """Return lines of prose, the long ones broken."""
    return "\n".join(wrap(line, width) for line in lines)


def wrap(line: str, width: int | None = None) -> str:
    """Break a long line at spaces; the name of a folder stays whole."""
    most = min(width or PROSE_WIDTH, PROSE_WIDTH)
    return fill(clean(line), most, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _section(section: Section, width: int | None) -> str:
    heading = "\n".join(wrap(clean_line(line), width) for line in (section.title, *section.conditions))
    lines = [terminal_lines(found, width) for found in (section.lead, section.notes)]
    tables = [terminal_table(table, width) for table in section.tables]
    return "\n\n".join(filter(None, [heading, lines[0], *tables, lines[1]]))
