from __future__ import annotations

from segbench.report.formats.layout import Document, Section
from segbench.report.formats.markdown import to_markdown
from segbench.report.numbers import Table

from .conftest import lines_of


def test_tables_escape_pipes_and_have_as_many_cells_as_headers(folder, whole_text):
    text = whole_text(folder, "markdown")
    tables = [line.replace("\\|", "") for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == {5, 7, 8}
    assert "fpn\\|r18 (a)" in text


def test_the_best_of_a_tier_is_bold(measured, whole_text):
    bold = [line for line in lines_of(whole_text(measured, "markdown"), "unet") if "**" in line]
    assert [line.split("|")[2].count("**") for line in bold] == [2] * len(bold) != []
    assert not any("frozen" in line for line in bold)


def test_two_tildes_strike_nothing_out():
    section = Section("", (), (Table(["method"], [["a~b~c"]]),), ())
    assert r"a\~b\~c" in to_markdown(Document((section,), (), ()))
