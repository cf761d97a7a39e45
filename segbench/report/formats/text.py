"""A report as text: for the terminal, as Markdown, as LaTeX."""

from __future__ import annotations

import re
from textwrap import fill
from typing import TYPE_CHECKING, NamedTuple

from segbench.shown import clean, clean_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segbench.report.numbers import Table

    from .layout import Document, Section

TERMINAL_WIDTH = 100
LATEX_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after a line break or an item, LaTeX would read it as an option
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "†": r"$\dagger$",
}


class _Marks(NamedTuple):
    """How a format writes a section, some lines under a title, and lines alone."""

    section: Callable[[Section], str]
    titled: Callable[[str, Sequence[str]], str]
    lines: Callable[[Sequence[str]], str]


def to_terminal(document: Document) -> str:
    """Return plain text for a terminal."""
    return _write(document, _Marks(_terminal_section, _terminal_titled, _terminal_lines))


def to_markdown(document: Document) -> str:
    """Return Markdown with pipe tables."""
    return _write(document, _Marks(_markdown_section, _markdown_titled, _markdown_list))


def to_latex(document: Document) -> str:
    """Return LaTeX tables that need the package booktabs."""
    text = _write(document, _Marks(_latex_section, _latex_titled, _latex_list))
    return f"% needs \\usepackage{{booktabs}}\n\n{text}"


def _write(document: Document, marks: _Marks) -> str:
    parts = [marks.section(section) for section in document.sections]
    if document.failures:
        parts.append(marks.titled("Cells without a result", document.failures))
    return "\n\n".join([*parts, marks.lines(document.closing)]) + "\n"


def _terminal_section(section: Section) -> str:
    heading = "\n".join(map(clean_line, [section.title, *section.conditions]))
    tables = [terminal_table(table) for table in section.tables]
    return "\n\n".join([heading, *tables, *([_terminal_lines(section.notes)] if section.notes else [])])


def _terminal_titled(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"{title}:", *(f"  {clean_line(line)}" for line in lines)])


def _terminal_lines(lines: Sequence[str]) -> str:
    return "\n".join(map(wrap, lines))


def terminal_table(table: Table) -> str:
    """Return a table as plain text, under its title if it has one."""
    from tabulate import tabulate

    rows, headers = [list(map(clean_line, row)) for row in table.rows], list(map(clean, table.headers))
    lines = tabulate(rows, headers, tablefmt="simple", disable_numparse=True, colalign=_alignment(table))
    return f"{table.title}\n\n{lines}" if table.title else str(lines)


def wrap(line: str) -> str:
    """Break a long line at spaces; the name of a folder stays whole."""
    return fill(clean(line), TERMINAL_WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _markdown_section(section: Section) -> str:
    conditions = "  \n".join(_markdown(line) for line in section.conditions)
    notes = "  \n".join(_markdown(line) for line in section.notes)
    tables = [_markdown_table(table) for table in section.tables]
    return "\n\n".join([f"### {_markdown(section.title)}", conditions, *tables, *([notes] if notes else [])])


def _markdown_table(table: Table) -> str:
    from tabulate import tabulate

    headers = [_markdown(header.replace("\n", " ")) for header in table.headers]
    rows = [[_markdown(cell) for cell in row] for row in table.rows]
    lines = tabulate(rows, headers, tablefmt="pipe", disable_numparse=True, colalign=_alignment(table))
    return f"**{_markdown(table.title)}**\n\n{lines}" if table.title else str(lines)


def _markdown_titled(title: str, lines: Sequence[str]) -> str:
    return f"### {title}\n\n{_markdown_list(lines)}"


def _markdown_list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {_markdown(line)}" for line in lines)


def _markdown(text: str) -> str:
    """Escape what Markdown would take for marks."""
    return re.sub(r"([\\`*_|<>]|(?<=\])\(|^#)", r"\\\1", clean_line(text))


def _latex_section(section: Section) -> str:
    caption = ". ".join([section.title, *section.conditions])
    tables = [_latex_table(table) for table in section.tables]
    notes = [f"\\par\\footnotesize {_latex(line)}" for line in section.notes]
    body = "\n\\par\\medskip\n".join(tables)
    return "\n".join(["\\begin{table}", "\\centering", f"\\caption{{{_latex(caption)}}}", body, *notes, "\\end{table}"])


def _latex_table(table: Table) -> str:
    rows = [" & ".join(_latex(cell) for cell in row) + r" \\" for row in table.rows]
    header = " & ".join(_latex(header.replace("\n", " ")) for header in table.headers) + r" \\"
    columns = "".join(side[0] for side in _alignment(table))
    title = [f"\\textit{{{_latex(table.title)}}}\\par"] if table.title else []
    top = [f"\\begin{{tabular}}{{{columns}}}", r"\toprule", header, r"\midrule"]
    return "\n".join([*title, *top, *rows, r"\bottomrule", r"\end{tabular}"])


def _latex_titled(title: str, lines: Sequence[str]) -> str:
    return f"\\paragraph{{{title}}}\n{_latex_list(lines)}"


def _latex_list(lines: Sequence[str]) -> str:
    return "\n".join([r"\begin{itemize}", *(f"\\item {_latex(line)}" for line in lines), r"\end{itemize}"])


def _latex(text: str) -> str:
    """Escape what LaTeX would take for commands."""
    return "".join(LATEX_ESCAPES.get(character, character) for character in clean_line(text))


def _alignment(table: Table) -> list[str]:
    return ["left" if place in table.words else "right" for place in range(len(table.headers))]
