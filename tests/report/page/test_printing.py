from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from segbench.errors import RecordError
from segbench.report import load
from segbench.report.page.printing import write_figures

pytestmark = pytest.mark.usefixtures("nothing_printed")
NASTY = '<script>alert("1")</script> & ]]> ' + "x" * 300


@pytest.fixture
def report(trained, adversarial, counted, results):
    """A method with a name that is no XML, and its twin, in two benchmarks."""

    def load_benchmarks(*benchmarks):
        shares = np.linspace(0.5, 0.8, 12)
        recipe = {"twin": "unet"}
        return load(
            [
                results(
                    *(
                        counted(cell, shares + 0.01 * seed)
                        for name in benchmarks
                        for seed in range(3)
                        for cell in (
                            trained("unet", seed, benchmark=name),
                            adversarial(NASTY, seed, benchmark=name, recipe=recipe),
                        )
                    )
                )
            ]
        )

    return load_benchmarks


def test_each_chart_is_a_file_of_the_width_of_one_and_of_two_columns(report, tmp_path):
    written = write_figures(report("camvid"), tmp_path / "figures" / "paper")
    names = {path.name for path in written}
    charts = ("differences", "pareto", "classes", "seeds", "gain-classes")
    assert names == {
        f"{chart}-{width}.{end}" for chart in charts for width in ("single", "double") for end in ("svg", "pdf")
    }
    for path in written:
        millimetres = 85 if "single" in path.name else 178
        if path.suffix == ".svg":
            assert ElementTree.parse(path).getroot().get("width") == f"{millimetres}mm"
        else:
            (width,) = re.findall(rb"/MediaBox *\[0 0 ([\d.]+) ", path.read_bytes())
            assert float(width) == pytest.approx(millimetres / 25.4 * 72, abs=0.2)


def test_names_stay_text(report, tmp_path):
    write_figures(report("camvid"), tmp_path)
    tree = ElementTree.parse(tmp_path / "differences-double.svg")
    texts = [element.text for element in tree.iter() if element.tag.endswith("text") and element.text]
    assert any(text.startswith('<script>alert("1")</script> & ]]> xx') for text in texts)
    assert not [element for element in tree.iter() if element.tag.endswith("script")]


def test_what_no_xml_may_hold_is_written_as_its_code(trained, counted, results, tmp_path):
    name = "a\x00\u202eb\uffff"
    cells = [counted(trained(name, seed), [0.5, 0.6]) for seed in range(3)]
    written = write_figures(load([results(*cells)]), tmp_path)
    drawn = [path.read_text() for path in written if path.suffix == ".svg"]
    assert any("a\\u0000\\u202eb\\uffff" in text for text in drawn)


def test_charts_of_several_benchmarks_are_named_after_them(report, tmp_path):
    names = {path.name for path in write_figures(report("A b.c", "a_b-c"), tmp_path)}
    assert {"a-b-c-1-pareto-single.pdf", "a-b-c-2-pareto-single.pdf"} <= names


def test_a_folder_that_cannot_be_written_is_named(report, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="file/figures"):
        write_figures(report("camvid"), tmp_path / "file" / "figures")
