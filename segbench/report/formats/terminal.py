"""A report as plain text for a terminal of some width: cells wrap, columns that do not fit stand below the others."""

from __future__ import annotations

import re
from textwrap import fill
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len, chop_cells

from segbench.shown import clean, clean_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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


GAP = "  "
LEAST_WIDTH = 40  # narrower terminals break lines themselves
LEAST_WORDS = 14  # to which a column of words may be narrowed
MOST_LINES = 3  # of one word; the middle of a longer one is left out
# Where words may break: behind spaces, and before the marks that join the parts of a name.
_WORDS = re.compile(r"[+~@/=_(\[-]*[^\s+~@/=_(\[-]*\s*")
# Numbers break before their interval or their number of runs only.
_NUMBERS = re.compile(r"(?<= )(?=[\[(])")


class _Column(NamedTuple):
    """A column of a table, its texts cleaned."""

    header: str
    cells: tuple[str, ...]
    is_words: bool

    @property
    def natural(self) -> int:
        """The width at which nothing breaks but the header, and that where it says."""
        return max(map(cell_len, (*self.header.split("\n"), *self.cells)))

    @property
    def least(self) -> int:
        """The width at which the column can still be read."""
        header = max(map(cell_len, self.header.split()), default=0)
        if self.is_words:
            return max(header, min(self.natural, LEAST_WORDS))
        return max([header, *(cell_len(part.rstrip()) for cell in self.cells for part in _NUMBERS.split(cell))])

    def break_header(self, width: int) -> list[str]:
        """Return the lines of the header."""
        lines = self.header.split("\n")
        return lines if max(map(cell_len, lines)) <= width else _break(_WORDS.findall(" ".join(lines)), width, "")

    def break_cell(self, cell: str, width: int) -> list[str]:
        """Return the lines of a cell; those of words that go on are indented, as the next row is not."""
        if cell_len(cell) <= width:
            return [cell]
        if not self.is_words:
            return _break(_NUMBERS.split(cell), width, "")
        return _break(_WORDS.findall(" ".join(_shorten(word, width) for word in cell.split(" "))), width, " ")


def draw_table(table: Table, width: int | None = None) -> str:
    """Return the header, a rule and the rows, in lines of at most `width` columns of a terminal (None: any).

    Columns that do not fit beside the others follow in a block of their own, each with the first column before it.
    """
    columns = [
        _Column(clean_line_breaks(header), tuple(clean_line(row[place]) for row in table.rows), place in table.words)
        for place, header in enumerate(table.headers)
    ]
    blocks = [columns] if width is None else _split(columns, max(width, LEAST_WIDTH))
    return "\n\n".join(_draw(block, width and max(width, LEAST_WIDTH)) for block in blocks)


def clean_line_breaks(header: str) -> str:
    """Return a header whose own line breaks stay."""
    return "\n".join(map(clean_line, header.split("\n")))


def _split(columns: Sequence[_Column], width: int) -> Iterable[list[_Column]]:
    first, *rest = columns
    block = [first]
    for column in rest:
        if len(block) > 1 and _with_gaps(one.least for one in (*block, column)) > width:
            yield block
            block = [first]
        block.append(column)
    yield block


def _draw(columns: Sequence[_Column], width: int | None) -> str:
    widths = [column.natural for column in columns] if width is None else _share_out(columns, width)
    header = [column.break_header(most) for column, most in zip(columns, widths, strict=True)]
    rows = [
        [column.break_cell(cell, most) for column, cell, most in zip(columns, cells, widths, strict=True)]
        for cells in zip(*(column.cells for column in columns), strict=True)
    ]
    used = [max(cell_len(line) for cell in cells for line in cell) for cells in zip(header, *rows, strict=True)]
    return "\n".join(
        [
            *_lines(header, columns, used),
            GAP.join("-" * most for most in used),
            *(line for row in rows for line in _lines(row, columns, used)),
        ]
    )


def _share_out(columns: Sequence[_Column], width: int) -> list[int]:
    """Return widths that fit: first numbers get what they need to stay whole, then words as much as is left."""
    widths = [column.least for column in columns]
    left = width - _with_gaps(widths)
    for place in sorted(range(len(columns)), key=lambda place: (columns[place].is_words, columns[place].natural)):
        wanted = columns[place].natural - widths[place]
        if wanted <= left or columns[place].is_words:
            widths[place] += max(0, min(wanted, left))
            left -= max(0, min(wanted, left))
    return widths


def _with_gaps(widths: Iterable[int]) -> int:
    found = list(widths)
    return sum(found) + len(GAP) * (len(found) - 1)


def _lines(row: Sequence[Sequence[str]], columns: Sequence[_Column], widths: Sequence[int]) -> list[str]:
    """Return the lines of a row whose cells have lines each."""
    lines = []
    for number in range(max(map(len, row))):
        parts = [cell[number] if number < len(cell) else "" for cell in row]
        padding = [" " * (width - cell_len(part)) for part, width in zip(parts, widths, strict=True)]
        padded = [
            part + space if column.is_words else space + part
            for column, part, space in zip(columns, parts, padding, strict=True)
        ]
        lines.append(GAP.join(padded).rstrip())
    return lines


def _break(parts: Iterable[str], width: int, indent: str) -> list[str]:
    """Return lines of at most `width` made of parts that stay whole where they fit."""
    lines = [""]
    for part in filter(None, parts):
        if lines[-1].strip() and cell_len((lines[-1] + part).rstrip()) > width:
            lines.append(indent)
        lines[-1] += part
    return [piece for line in lines for piece in chop_cells(line.rstrip(), width) or [""]]


def _shorten(word: str, width: int) -> str:
    """Return a word, without its middle if it would take too many lines."""
    most = MOST_LINES * (width - 2)
    return word if cell_len(word) <= most else f"{word[: most // 2]}…{word[-(most // 2) + 1 :]}"
