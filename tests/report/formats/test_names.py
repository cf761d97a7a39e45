"""Names from anywhere come out as text in every format: no mark-up, no formula, no command, nothing lost."""

from __future__ import annotations

import csv
import io
import json
import re
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len

from segbench.report import load
from segbench.report.formats.as_csv import guard, to_csv
from segbench.report.formats.as_json import to_json
from segbench.report.formats.first_screen import lay_out_first_screen
from segbench.report.formats.latex import to_latex
from segbench.report.formats.layout import lay_out_all
from segbench.report.formats.markdown import to_markdown
from segbench.report.formats.terminal import draw_table, to_terminal
from segbench.shown import clean, clean_line

WIDTHS = (60, 80, 120, 200)
TOLD = [
    "<script>alert(1)</script>",
    "\"'`quotes`'\"",
    '=HYPERLINK("http://x")',
    "+1+cmd|' /C calc'!A0",
    "@sum",
    "a;=1+1",
    "-2+3",
    "w" * 400,
    "שלום עולם",
    "مرحبا",
    "\u202eevil",
    "a|b\\|c\\\\",
    "**b** _i_ ~x~ ~y~ $m$ &lt; [l](u) ![i](u)",
    "100 % of_$x^2 {#}~",
    "分割网络",
    "\x1b[31mred\x07",
    "two\nlines\r\n\t",
]
NAMES = st.sampled_from(TOLD) | st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)


@pytest.fixture
def report_of(trained, counted, results):
    """Return the report of two methods, the first of this name, and a folder of its own for each call."""
    calls = iter(range(10**6))

    def make(name):
        shares = [0.5, 0.6, 0.7, 0.8]
        cells = [counted(trained(one, seed, dataset=name), shares) for one in (name, "unet") for seed in (0, 1)]
        return load([results(*cells, root=f"results{next(calls)}")])

    return make


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES)
def test_a_name_is_text_in_every_format(report_of, name):
    report = report_of(name)
    check_terminal(report, name)
    check_markdown(report, name)
    check_latex(report, name)
    check_data(report, name)


@pytest.mark.parametrize("name", TOLD)
def test_such_a_name_is_text_in_every_format(report_of, name):
    test_a_name_is_text_in_every_format.hypothesis.inner_test(report_of, name)


def check_terminal(report, name):
    whole = to_terminal(lay_out_all(report))
    assert clean(whole) == whole
    assert clean_line(name).rstrip() in whole
    for width in WIDTHS:
        document = lay_out_first_screen(report)
        assert clean(to_terminal(document, width)) == to_terminal(document, width)
        tables = [draw_table(table, width) for section in document.sections for table in section.tables]
        assert max(cell_len(line) for table in tables for line in table.splitlines()) <= width


def check_markdown(report, name):
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(to_markdown(lay_out_all(report)))
    marks = {child.type for token in tokens for child in token.children or ()}
    assert marks <= {"text", "text_special", "softbreak", "hardbreak", "strong_open", "strong_close"}
    assert "html_block" not in {token.type for token in tokens}
    cells = [
        "".join(child.content for child in token.children)
        for before, token in pairwise(tokens)
        if before.type == "td_open"
    ]
    assert any(cell.startswith(clean_line(name).strip()) for cell in cells)


def check_latex(report, name):
    text = to_latex(lay_out_all(report))
    commands = set(re.findall(r"\\([a-zA-Z]+|.)", text, flags=re.DOTALL))
    assert not commands & {"input", "include", "write", "openout", "def", "let", "csname", "catcode"}
    plain = text.replace(r"\{", "").replace(r"\}", "")
    assert plain.count("{") == plain.count("}")
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len({line.replace(r"\&", "").count("&") for line in rows}) <= text.count(r"\begin{table}")


def check_data(report, name):
    assert name in {row["method"] for row in json.loads(to_json(report))["rows"]}
    methods = {line["method"] for line in csv.DictReader(io.StringIO(to_csv(report)))}
    assert guard(name) in methods
    assert not any(method.startswith(("=", "@")) for method in methods)
