"""A report as LaTeX: a table environment with caption and label for each table, with no package needed."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from segbench.shown import clean_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.report.numbers import Table

    from .layout import Document, Section

ESCAPES = {
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
    '"': r"\symbol{34}",
    "'": "{'}",
    "`": "{`}",
    "[": "{[}",  # after a line break or an item, LaTeX would read it as an option
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "−": "$-$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\rightarrow$",
    "…": r"\ldots{}",
    "Δ": r"$\Delta$",
    "†": r"$\dagger$",
}
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu "
    "nu xi . pi rho . sigma tau upsilon phi chi psi omega"
)
ESCAPES |= {chr(ord("α") + place): rf"$\{name}$" for place, name in enumerate(_GREEK.split()) if name != "."}
# What pdfLaTeX prints without a package, as found by trying; at others it stops.
_LETTERS = re.compile("[ -~¡-ª¬-º¼-ÏÑ-Ýß-ïñ-ýÿ-ăĆ-ďĒ-ėĚ-ĥĨ-ĭİ-ķĹ-ľŁ-ňŌ-ťŨ-űŴ-ž‐-―‘’“”†-•]")
_OTHER = r"\otherletter"
_DEFINE_OTHER = (
    r"% XeLaTeX and LuaLaTeX print letters that pdfLaTeX has not; it prints their codes." + "\n"
    rf"\providecommand{{{_OTHER}}}[2]{{\ifdefined\Umathchar #1\else\texttt{{U+#2}}\fi}}"
)
# A minus sign, not a hyphen: before a number, and between the names of a difference.
_MINUS = re.compile(r"(?<![^\s\[(/])-(?=\d)|(?<= )-(?= )")


def to_latex(document: Document) -> str:
    """Return a table environment for each table, then what failed and the closing lines as lists."""
    parts = [_section(section) for section in document.sections]
    if document.failures:
        parts.append(f"\\paragraph{{Cells without a result}}\n{_list(document.failures)}")
    text = "\n\n".join([*parts, _list(document.closing)]) + "\n"
    head = ["% needs no packages", *([_DEFINE_OTHER] if _OTHER in text else [])]
    return "\n".join([*head, "", _with_unique_labels(text)])


def _section(section: Section) -> str:
    """Return the tables of a section, its notes below the first; a list if no table has rows."""
    empty = [line for table in section.tables if not table.rows for line in filter(None, (table.title, *table.notes))]
    filled = [table for table in section.tables if table.rows]
    if not filled:
        return _list([section.title, *section.lead, *empty, *section.notes])
    first, *rest = filled
    notes = (*section.lead, *first.notes, *empty, *section.notes)
    return "\n\n".join([_table(section, first._replace(notes=notes)), *(_table(section, table) for table in rest)])


def _table(section: Section, table: Table) -> str:
    """Return a table with caption, label and notes, the rows that stand apart below a rule."""
    caption = ". ".join([": ".join(filter(None, [section.title, table.title])), *section.conditions])
    header = " & ".join(_cell(header.replace("\n", " ")) for header in table.headers) + r" \\"
    columns = "".join("l" if place in table.words else "r" for place in range(len(table.headers)))
    among, apart = (
        [line for line in range(len(table.rows)) if (line in table.apart) is there] for there in (False, True)
    )
    lines = [
        r"\begin{table}",
        r"\centering",
        f"\\caption{{{_escape(caption)}}}",
        f"\\label{{{_label(section.name, table.name or table.title)}}}",
        f"\\begin{{tabular}}{{{columns}}}",
        r"\hline",
        header,
        r"\hline",
        *(_row(table, line) for line in among),
        *([r"\hline"] if among and apart else []),
        *(_row(table, line) for line in apart),
        r"\hline",
        r"\end{tabular}",
        *(f"\\par\\footnotesize {_escape(line)}" for line in table.notes),
        r"\end{table}",
    ]
    return "\n".join(lines)


def _row(table: Table, line: int) -> str:
    cells = [
        rf"\textbf{{{_cell(cell)}}}" if (line, place) in table.bold else _cell(cell)
        for place, cell in enumerate(table.rows[line])
    ]
    return " & ".join(cells) + r" \\"


def _cell(cell: str) -> str:
    """Return the text of a cell, a dash where there is no value."""
    return "--" if cell == "-" else _escape(cell)


def _label(*names: str) -> str:
    """Return the label of a table by the names of its ranking and of what it shows.

    >>> _label("camvid-camvid", "miou"), _label("Größe_1/a b", "")
    ('tab:camvid-camvid-miou', 'tab:gr-e-1-a-b')
    """
    plain = "-".join(filter(None, names)).lower().encode("ascii", "replace").decode()
    return f"tab:{re.sub('[^a-z0-9]+', '-', plain).strip('-')}"


def _with_unique_labels(text: str) -> str:
    """Number the labels that stand for several tables, as of rankings on one dataset, from the second on."""
    seen: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        label = match[1]
        seen[label] = seen.get(label, 0) + 1
        return f"\\label{{{label}}}" if seen[label] == 1 else f"\\label{{{label}-{seen[label]}}}"

    return re.sub(r"^\\label\{(.*)\}$", number, text, flags=re.MULTILINE)


def _list(lines: Sequence[str]) -> str:
    return "\n".join([r"\begin{itemize}", *(f"\\item {_escape(line)}" for line in lines), r"\end{itemize}"])


def _escape(text: str) -> str:
    """Escape what LaTeX would take for commands, and what pdfLaTeX cannot print; minus signs are no hyphens."""
    return "".join(map(_character, _MINUS.sub("−", unicodedata.normalize("NFC", clean_line(text)))))


def _character(character: str) -> str:
    if character in ESCAPES:
        return ESCAPES[character]
    return character if _LETTERS.fullmatch(character) else f"{_OTHER}{{{character}}}{{{ord(character):04X}}}"
