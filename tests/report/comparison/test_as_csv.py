from __future__ import annotations

import csv
import io
import json

import pytest

from segbench.report.comparison.as_csv import to_csv
from segbench.report.comparison.as_json import to_json
from segbench.report.comparison.compare import compare_methods

from .conftest import QUICK, counted


@pytest.fixture
def comparisons(two_methods, tmp_path):
    """The comparison of unet+critic and unet."""
    return compare_methods([tmp_path / "results"], ("unet+critic", "unet"), settings=QUICK)


def lines_of(comparisons):
    return list(csv.DictReader(io.StringIO(to_csv(comparisons))))


def test_a_line_for_each_difference_has_the_numbers_of_json(comparisons):
    lines, (data,) = lines_of(comparisons), json.loads(to_json(comparisons))["comparisons"]
    claim, found = lines[0], data["contrasts"][0]
    assert (claim["what"], claim["one"], claim["other"], claim["verdict"]) == (
        "claim",
        "unet+critic",
        "unet",
        found["verdict"],
    )
    assert [float(claim[name]) for name in ("difference", "low", "high")] == [found["difference"], *found["interval"]]
    by_kind = {what: [line["name"] for line in lines if line["what"] == what] for what in ("seed", "class", "score")}
    assert by_kind == {
        "seed": ["0", "1", "2"],
        "class": ["sky", "road", "pole"],
        "score": [score["name"] for score in data["scores"]],
    }
    parts = [line for line in lines if line["what"] == "part"]
    assert [float(line["adds"]) for line in parts] == [part["adds"] for part in data["parts"]]
    assert [line["name"] for line in lines if line["what"] == "cost"][:2] == ["training_seconds", "parameters"]


def test_a_formula_stays_text(store, trained, tmp_path):
    for seed in range(3):
        store(trained("+1+cmd", seed), counted(70, seed=seed))
        store(trained("unet", seed), counted(76, seed=seed))
    found = compare_methods([tmp_path / "results"], ("+1+cmd", "unet"), settings=QUICK)
    assert {line["one"] for line in lines_of(found)} == {"'+1+cmd"}
