from __future__ import annotations

import json

import numpy as np
import pytest

from segbench.report.comparison.as_json import to_json
from segbench.report.comparison.compare import compare_methods
from segbench.stats.scores import miou

from .conftest import QUICK, SEEDS, counted


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
