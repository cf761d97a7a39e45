"""A report as text: for the terminal, as Markdown, as LaTeX."""

from __future__ import annotations

import re
from textwrap import fill
from typing import TYPE_CHECKING

from .layout import closing, closing_in_short, failures, sections

if TYPE_CHECKING:
    from collections.abc import Iterable

    from segbench.report.numbers import Table
    from segbench.report.ranking.groups import Report

    from .layout import Section


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
}


def terminal(report: Report) -> str:
    """Return plain text for a terminal."""
    parts = [_terminal_section(section) for section in sections(report)]
    if lines := failures(report):
        parts.append("\n".join(["Cells without a result:", *(f"  {line}" for line in lines)]))
    return "\n\n".join([*parts, "\n".join(wrapped(line) for line in closing_in_short(report))]) + "\n"


def markdown(report: Report) -> str:
    """Return Markdown with pipe tables."""
    parts = [_markdown_section(section) for section in sections(report)]
    if lines := failures(report):
        parts.append("\n".join(["### Cells without a result", "", *_markdown_list(lines)]))
    return "\n\n".join([*parts, "\n".join(_markdown_list(closing(report)))]) + "\n"


def latex(report: Report) -> str:
    """Return LaTeX tables that need the package booktabs."""
    parts = [r"% needs \usepackage{booktabs}", *(_latex_section(section) for section in sections(report))]
    if lines := failures(report):
        parts.append("\n".join(["\\paragraph{Cells without a result}", *_latex_list(lines)]))
    return "\n\n".join([*parts, "\n".join(_latex_list(closing(report)))]) + "\n"


def _terminal_section(section: Section) -> str:
    heading = "\n".join([section.title, *section.conditions])
    tables = [terminal_table(table) for table in section.tables]
    footnotes = "\n".join(wrapped(line) for line in section.footnotes)
    return "\n\n".join([heading, *tables, *([footnotes] if footnotes else [])])


def terminal_table(table: Table) -> str:
    """Return a table as plain text, under its title if it has one."""
    from tabulate import tabulate

    lines = tabulate(table.rows, table.headers, tablefmt="simple", disable_numparse=True, colalign=_alignment(table))
    return f"{table.title}\n\n{lines}" if table.title else str(lines)


def wrapped(line: str) -> str:
    """Break a long line at spaces; the name of a folder stays whole."""
    return fill(line, TERMINAL_WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _markdown_section(section: Section) -> str:
    conditions = "  \n".join(_markdown(line) for line in section.conditions)
    footnotes = "  \n".join(_markdown(line) for line in section.footnotes)
    tables = [_markdown_table(table) for table in section.tables]
    return "\n\n".join([f"### {_markdown(section.title)}", conditions, *tables, *([footnotes] if footnotes else [])])


def _markdown_table(table: Table) -> str:
    from tabulate import tabulate

    headers = [_markdown(header.replace("\n", " ")) for header in table.headers]
    rows = [[_markdown(cell) for cell in row] for row in table.rows]
    lines = tabulate(rows, headers, tablefmt="pipe", disable_numparse=True, colalign=_alignment(table))
    return f"**{_markdown(table.title)}**\n\n{lines}" if table.title else str(lines)


def _markdown_list(lines: Iterable[str]) -> list[str]:
    return [f"- {_markdown(line)}" for line in lines]


def _markdown(text: str) -> str:
    """Escape what Markdown would take for marks."""
    return re.sub(r"([\\`*_|<>]|(?<=\])\()", r"\\\1", text)


def _latex_section(section: Section) -> str:
    caption = ". ".join([section.title, *section.conditions])
    tables = [_latex_table(table) for table in section.tables]
    footnotes = [f"\\par\\footnotesize {_latex(line)}" for line in section.footnotes]
    body = "\n\\par\\medskip\n".join(tables)
    return "\n".join(
        ["\\begin{table}", "\\centering", f"\\caption{{{_latex(caption)}}}", body, *footnotes, "\\end{table}"]
    )


def _latex_table(table: Table) -> str:
    rows = [" & ".join(_latex(cell) for cell in row) + r" \\" for row in table.rows]
    header = " & ".join(_latex(header.replace("\n", " ")) for header in table.headers) + r" \\"
    columns = "l" + "r" * (len(table.headers) - 1)
    title = [f"\\textit{{{_latex(table.title)}}}\\par"] if table.title else []
    top = [f"\\begin{{tabular}}{{{columns}}}", r"\toprule", header, r"\midrule"]
    return "\n".join([*title, *top, *rows, r"\bottomrule", r"\end{tabular}"])


def _latex_list(lines: Iterable[str]) -> list[str]:
    return [r"\begin{itemize}", *(f"\\item {_latex(line)}" for line in lines), r"\end{itemize}"]


def _latex(text: str) -> str:
    """Escape what LaTeX would take for commands."""
    return "".join(LATEX_ESCAPES.get(character, character) for character in text)


def _alignment(table: Table) -> list[str]:
    return ["left", *["right"] * (len(table.headers) - 1)]
