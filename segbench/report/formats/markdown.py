"""A report as Markdown with pipe tables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from segbench.shown import clean_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.report.numbers import Table

    from .layout import Document, Section


def to_markdown(document: Document) -> str:
    """Return Markdown with pipe tables, the best of a tier bold."""
    parts = [_section(section) for section in document.sections]
    if document.failures:
        parts.append(f"### Cells without a result\n\n{_list(document.failures)}")
    return "\n\n".join([*parts, _list(document.closing)]) + "\n"


def _section(section: Section) -> str:
    above, lead, notes = map(_lines, (section.conditions, section.lead, section.notes))
    tables = [_table(table) for table in section.tables]
    return "\n\n".join(filter(None, [f"### {_escape(section.title)}", above, lead, *tables, notes]))


def _table(table: Table) -> str:
    headers = [_escape(header.replace("\n", " ")) for header in table.headers]
    rules = [":--" if place in table.words else "--:" for place in range(len(headers))]
    rows = [[_escape(cell) for cell in row] for row in table.rows]
    for line, place in table.bold:
        rows[line][place] = f"**{rows[line][place]}**"
    lines = "\n".join(f"| {' | '.join(row)} |" for row in [headers, rules, *rows]) if rows else ""
    title = f"**{_escape(table.title)}**" if table.title else ""
    return "\n\n".join(filter(None, [title, lines, _lines(table.notes)]))


def _lines(lines: Sequence[str]) -> str:
    return "  \n".join(map(_escape, lines))


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {_escape(line)}" for line in lines)


def _escape(text: str) -> str:
    """Escape what Markdown would take for marks."""
    return re.sub(r"([\\`*_|<>&~$]|(?<=\])\(|^#)", r"\\\1", clean_line(text))
