import csv
import io
import json

import numpy as np
import pytest

from segbench.report.comparison.as_data import to_csv, to_json
from segbench.report.comparison.compare import compare_methods
from segbench.stats.scores import miou
from tests.report.comparison.conftest import QUICK, SEEDS, counted


@pytest.fixture
def content(two_methods, tmp_path):
    """What the JSON says of unet+critic and unet."""
    return json.loads(to_json(compare_methods([tmp_path / "results"], ("unet+critic", "unet"), settings=QUICK)))


def test_the_names_are_stable(content, tmp_path):
    assert list(content) == ["schema", "comparisons", "refused", "records"]
    assert content["records"] == [str(tmp_path / "results" / "camvid")]
    (comparison,) = content["comparisons"]
    assert list(comparison) == [
        *("one", "other", "benchmark", "dataset", "fingerprint", "subset", "split", "images", "groups", "seeds"),
        *(
            "device",
            "ran_on",
            "definition",
            "resamples",
            "margin",
            "level",
            "relation",
            "overrides",
            "notes",
            "set_aside",
        ),
        *("miou", "by_seed", "contrasts", "among_all", "scores", "classes", "parts", "missing", "gained", "lost"),
        *("images_better", "images_worse", "images_scored", "cost"),
    ]
    assert list(comparison["contrasts"][0]) == [
        *("role", "one", "other", "terms", "seeds", "difference", "level", "interval", "verdict", "collapsed"),
        *(
            "constant",
            "probability",
            "probability_interval",
            "p",
            "sign_flip_p",
            "sign_flip_floor",
            "smallest_effect",
            "seeds_needed",
        ),
    ]


def test_the_numbers_are_those_that_the_counts_give(content):
    (found,) = content["comparisons"]
    ours = [miou(counted(76, seed=seed + 3).confusion.sum(axis=0)) for seed in SEEDS]
    theirs = [miou(counted(70, seed=seed).confusion.sum(axis=0)) for seed in SEEDS]
    assert found["miou"]["one"] == pytest.approx({"mean": np.mean(ours), "sd": np.std(ours, ddof=1), "n": 3})
    assert [line["difference"] for line in found["by_seed"]] == pytest.approx(np.subtract(ours, theirs))
    (claim,) = found["contrasts"]
    assert claim["difference"] == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert (claim["role"], claim["sign_flip_floor"]) == ("claim", 0.25)
    assert [line["pixels"] for line in found["classes"]] == pytest.approx([0.5, 0.45, 0.05])
    assert found["cost"]["training_seconds"] == pytest.approx({"one": 1218.6, "other": 812.4, "ratio": 1.5})


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
