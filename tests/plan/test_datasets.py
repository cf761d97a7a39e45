from __future__ import annotations

import numpy as np
import pytest

from segbench.contracts import Dataset, Sample
from segbench.errors import DataError, SpecError
from segbench.plan.datasets import check_tuning, known, open_datasets, take_fingerprints
from segbench.spec.recipe import Benchmark, DatasetUse, Tuning

from .conftest import method


def benchmark(**datasets):
    return Benchmark(name="t", source="t.yaml", datasets=datasets, seeds=(0,), methods={"net": method()})


def test_datasets_that_are_at_hand_are_opened_and_the_others_say_why_not(toy, tmp_path):
    opened = open_datasets(
        benchmark(
            here=DatasetUse(use="toy/shapes", options={"images": 3}),
            gone=DatasetUse(use="toy/pictures", root=str(tmp_path / "nowhere")),
        ),
        toy.registry(),
    )
    assert isinstance(opened["here"], Dataset)
    assert len(opened["here"].splits["train"]) == 3
    assert isinstance(opened["gone"], DataError)
    assert "nowhere" in str(opened["gone"])
    fingerprints = take_fingerprints(opened)
    assert isinstance(fingerprints["here"], str)
    assert fingerprints["gone"] is opened["gone"]
    assert known(fingerprints) == {"here": fingerprints["here"], "gone": None}


def dataset(*splits):
    sample = Sample(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8), "a")
    return Dataset(["a", "b"], [(0, 0, 0), (9, 9, 9)], {split: [sample] for split in splits}, channels=1)


def test_methods_are_tuned_on_a_val_split_only():
    plain = benchmark()
    tuning = Tuning(seed=9, trials={"net#1": {}})
    tuned = plain.model_copy(update={"methods": {"net": method(tuning=tuning)}})
    without = {"good": dataset("train", "val"), "bad": dataset("train", "test")}
    check_tuning(plain, without)
    check_tuning(tuned, {"good": without["good"], "gone": DataError("not here")})
    with pytest.raises(SpecError, match=r"t.yaml: datasets.bad: methods are tuned on val, .* it has train, test\."):
        check_tuning(tuned, without)


def test_the_fingerprint_follows_the_content(toy):
    opened = open_datasets(
        benchmark(
            two=DatasetUse(use="toy/shapes", options={"images": 2}),
            same=DatasetUse(use="toy/shapes", options={"images": 2}),
            three=DatasetUse(use="toy/shapes", options={"images": 3}),
        ),
        toy.registry(),
    )
    fingerprints = take_fingerprints(opened)
    assert fingerprints["two"] == fingerprints["same"] != fingerprints["three"]


class Lost:
    """A split that names a file that is not there."""

    def __init__(self, path):
        self.ids = ["a"]
        self.files = [(path,)]

    def __len__(self):
        return 1


def test_files_that_cannot_be_read_leave_the_fingerprint_unknown(tmp_path):
    lost = Dataset(classes=["a"], palette=[(0, 0, 0)], splits={"train": Lost(tmp_path / "gone.png")})
    fingerprints = take_fingerprints({"lost": lost})
    assert isinstance(fingerprints["lost"], DataError)
    assert "gone.png" in str(fingerprints["lost"])
