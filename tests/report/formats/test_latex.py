from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from segbench.report.formats.latex import to_latex
from segbench.report.formats.layout import Document, Section
from segbench.report.numbers import Table

LETTERS = "Größe Łódź naïve λ=0.1 μ ≤ → 分割 שלום مرحبا 😀 e\u0301 ﬁ"


def of(*tables, notes=(), name="camvid camvid", title="camvid / camvid"):
    return to_latex(Document((Section(title, (), tables, notes, name=name),), (), ("end",)))


def test_every_table_has_a_caption_and_a_label_of_its_own(folder, two_rankings, whole_text):
    for records in (folder, two_rankings):
        text = whole_text(records, "latex")
        labels = re.findall(r"\\label\{(.*)\}", text)
        assert labels[:3] == ["tab:camvid-camvid-miou", "tab:camvid-camvid-costs", "tab:camvid-camvid-training"]
        assert len(labels) == len(set(labels)) == text.count(r"\begin{table}") == text.count(r"\caption{")


def test_no_package_is_needed(folder, whole_text):
    text = whole_text(folder, "latex")
    assert text.startswith("% needs no packages\n")
    assert r"\toprule" not in text
    assert r"unet\_r18 & 71.00 $\pm$ 1.41 & 2 & 90.00 & 250 & 500 & 812 \\" in text
    assert r"deep\&wide" in text
    assert r"mIoU {[}\%]" in text
    assert text.count("{") == text.count("}")


def test_minus_signs_are_no_hyphens_and_names_keep_theirs():
    text = of(Table(["A - B", "points"], [["fast-scnn - u-net-2", "-2.11 [-8.36, -1.00]"], ["x", "-"]]))
    assert r"A $-$ B & points \\" in text
    assert r"fast-scnn $-$ u-net-2 & $-$2.11 {[}$-$8.36, $-$1.00] \\" in text
    assert r"x & -- \\" in text


def test_placebos_stand_below_a_rule_and_the_best_of_a_tier_is_bold(measured, whole_text):
    text = whole_text(measured, "latex")
    table = text[text.index(r"\begin{tabular}") : text.index(r"\end{tabular}")]
    rows = [line for line in table.splitlines() if line.startswith("unet")]
    assert rows[-1].startswith(r"unet+critic\textasciitilde{}frozen")
    assert table.split(r"\hline")[3].strip() == rows[-1]
    assert [row.split(" &")[0] for row in rows if r"\textbf{" in row] == ["unet+critic", "unet"]  # of two tiers


def test_names_make_no_commands():
    text = of(Table(["method"], [["\\\\\\input{/etc/passwd}%<b>&~^|$#_`'\""], ["分"]]), title="\\end{table}")
    assert r"\input" not in text
    assert text.count(r"\end{table}") == 1
    assert "分" not in text.replace(r"\otherletter{分}{5206}", "")
    assert r"\providecommand{\otherletter}" in text


def test_a_section_without_rows_leaves_no_table_and_keeps_its_notes():
    text = of(notes=("nothing was measured",))
    assert r"\begin{table}" not in text
    assert "nothing was measured" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex")
def test_latex_compiles(measured, whole_text, tmp_path):
    names = [[LETTERS], ["\\\\\\input{/etc/passwd}%<b>&~^|$#_`'\" [x]"], ["".join(map(chr, range(0xA0, 0x250)))]]
    hostile = of(Table(["method"], names), title=LETTERS, notes=(LETTERS,))
    body = (
        f"\\documentclass{{article}}\n\\begin{{document}}\n{whole_text(measured, 'latex')}\n{hostile}\\end{{document}}"
    )
    (tmp_path / "a.tex").write_text(body, encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "a.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "a.pdf").is_file()
