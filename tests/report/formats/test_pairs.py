from __future__ import annotations

import csv
import io
import json

import pytest

from segbench.report import load, render
from segbench.report.formats.layout import lay_out_all
from segbench.report.formats.markdown import to_markdown
from segbench.report.formats.pairs import add_pair_tables, pairs_to_csv, pairs_to_json
from segbench.report.formats.terminal import to_terminal


@pytest.fixture
def report(measured):
    return load([measured])


def test_the_matrix_has_both_verdicts_of_every_pair_above_its_diagonal(report, measured):
    text = to_terminal(add_pair_tables(lay_out_all(report), report))
    assert text.count("All 3 pairs: row - column in points of mIoU") == len(report.groups) == 2
    group = report.groups[0]
    signs = {"better": ">", "worse": "<", "equivalent": "=", "undecided": "?"}
    lines = [line.split() for line in text.splitlines()]
    for place, row in enumerate(group.rows, start=1):
        cells = [
            [
                f"{100 * pair.among_all.difference.estimate:+.2f}",
                signs[pair.alone.verdict] + signs[pair.among_all.verdict],
            ]
            for pair in group.pairs
            if pair.one == row.name
        ]
        assert [str(place), row.name, *(word for cell in cells for word in cell)] in lines
    assert "All 3 pairs" in to_markdown(add_pair_tables(lay_out_all(report), report))
    assert "All 3 pairs" not in render([measured], format="markdown")


def test_data_has_one_entry_a_pair_with_both_intervals(report):
    content = json.loads(pairs_to_json(report))
    assert {key: value for key, value in content.items() if key != "pairs"} == json.loads(
        render(report.folders, format="json")
    )
    lines = list(csv.DictReader(io.StringIO(pairs_to_csv(report))))
    assert len(lines) == len(content["pairs"]) == 6
    for line, pair in zip(lines, content["pairs"], strict=True):
        assert (int(line["group"]), line["one"], line["other"]) == (pair["group"], pair["one"], pair["other"])
        assert float(line["difference"]) == pair["difference"]
        for which in ("alone", "among_all"):
            assert line[f"{which}_verdict"] == pair[which]["verdict"]
            assert [float(line[f"{which}_{end}"]) for end in ("low", "high")] == [
                pair[which]["low"],
                pair[which]["high"],
            ]
        assert pair["alone"]["level"] == 0.95 <= pair["among_all"]["level"]
