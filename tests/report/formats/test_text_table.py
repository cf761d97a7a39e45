from __future__ import annotations

import pytest
from rich.cells import cell_len

from segbench.report.formats.text_table import draw_table
from segbench.report.numbers import Table

WIDTHS = (60, 80, 120, 200)
HEADERS = ["method", "mIoU [%]", "95 % interval", "A - twin\n[points]", "verdict", "images/s\nbatch 8"]
ROW = ["unet+critic~frozen", "57.48 ± 3.85", "[44.93, 70.03]", "-2.11 [-8.36, +4.14]", "undecided", "20.0"]


def table(*rows, headers=HEADERS, words=(0, 4)):
    return Table(headers, [list(row) for row in rows], words=words)


def widest(text):
    return max(map(cell_len, text.splitlines()))


def test_without_a_width_a_table_is_as_wide_as_its_cells():
    text = draw_table(table(ROW))
    assert text.splitlines()[-1] == "  ".join(
        ["unet+critic~frozen", "57.48 ± 3.85", "[44.93, 70.03]", "-2.11 [-8.36, +4.14]", "undecided", "    20.0"]
    )
    assert draw_table(table(ROW), 200) == text


@pytest.mark.parametrize("width", WIDTHS)
def test_a_table_fits_the_width_and_keeps_every_header_and_cell(width):
    text = draw_table(table(ROW, ["plain", "49.66 ± 7.13", "-", "-", "-", "95.2"]), width)
    assert widest(text) <= width
    whole = "".join(text.split())
    assert all(part in whole for header in HEADERS for part in header.split())
    assert all(part in whole for cell in ROW for part in cell.split())


def test_columns_that_do_not_fit_stand_below_behind_the_first():
    headers = ["method", *(f"class {number}" for number in range(12))]
    text = draw_table(Table(headers, [["unet", *(f"{number}.25" for number in range(12))]]), 60)
    blocks = text.split("\n\n")
    assert len(blocks) == 2
    assert [block.split()[0] for block in blocks] == ["method", "method"]
    assert all(f"{number}.25" in text for number in range(12))
    assert widest(text) <= 60


def test_a_long_name_breaks_at_its_marks_and_goes_on_indented():
    name = "smp/unet_efficientnet_b7+critic~frozen"
    lines = draw_table(table([name, *ROW[1:]]), 100).splitlines()
    started = next(place for place, line in enumerate(lines) if line.startswith("smp/unet"))
    assert lines[started + 1].startswith(" ")
    assert "57.48 ± 3.85" in lines[started]
    assert "".join(line[:20].strip() for line in lines[started : started + 4] if line).startswith("smp/unet")


def test_numbers_break_before_their_interval_only():
    lines = draw_table(Table(["", "difference"], [["x" * 35, "-2.11 [-8.36, +4.14]"]]), 54).splitlines()
    assert any(line.endswith("-2.11 [-8.36, +4.14]") for line in lines)
    narrow = Table(["", *"abc"], [["name", *["-2.11 [-8.36, +4.14]"] * 3]])
    assert [line.split() for line in draw_table(narrow, 55).splitlines()[2:]] == [
        ["name", "-2.11", "-2.11", "-2.11"],
        ["[-8.36,", "+4.14]"] * 3,
    ]


def test_a_word_without_end_loses_its_middle_and_says_so():
    text = draw_table(Table(["method", "tier"], [["a" * 300 + "b" * 300, "1"]]), 60)
    assert "…" in text
    assert text.count("\n") < 8
    assert widest(text) <= 60


def test_wide_characters_count_twice():
    text = draw_table(Table(["方法", "tier"], [["分割网络" * 20, "1"]]), 60)
    assert widest(text) <= 60


def test_a_terminal_narrower_than_a_table_can_be_gets_forty_columns():
    assert draw_table(table(ROW), 1) == draw_table(table(ROW), 40)
