from __future__ import annotations

import pytest

from segbench import Dataset
from segbench.config.recipe import Benchmark, DatasetUse
from segbench.errors import SpecError
from segbench.plan.folds import check_folds, fold_warnings, keep_folds

from .conftest import cell, method


def use_of(folds, name="toy/shapes"):
    return DatasetUse.model_validate({"use": name, "folds": folds})


def dataset_of(**images):
    return Dataset(["a"], [(0, 0, 0)], {name: [None] * count for name, count in images.items()})


def check(folds, **images):
    made = Benchmark(
        name="test", source="bench.yaml", datasets={"d": use_of(folds)}, seeds=(0,), methods={"net": method()}
    )
    check_folds(made, {"d": dataset_of(**images)})


def test_images_of_the_pool_are_as_many_as_folds_or_more():
    check({"count": 5}, train=3, test=2)
    with pytest.raises(
        SpecError, match=r"^bench.yaml: datasets.d.folds: 4 images cannot be divided into 5 folds; take "
    ):
        check({"count": 5, "pool": ["train", "val"]}, train=3, val=1, test=9)


def test_a_pool_of_splits_that_the_dataset_lacks_is_refused():
    with pytest.raises(
        SpecError, match=r"^bench.yaml: datasets.d.folds: the pool names val, but this dataset has only"
    ):
        check({"count": 5, "pool": ["train", "val"]}, train=9, test=9)


def test_pooling_a_split_on_which_papers_report_is_warned_of():
    camvid = dataset_of(train=3, val=3, test=3)
    [warning] = fold_warnings(use_of({"count": 5}, "data/camvid"), camvid)
    assert "papers report scores on the test split of data/camvid" in warning
    assert warning.endswith("pool: [train, val] keeps it apart")
    assert fold_warnings(use_of({"count": 5, "pool": ["train", "val"]}, "data/camvid"), camvid) == []
    assert fold_warnings(use_of({"count": 5}), camvid) == fold_warnings(use_of(None, "data/camvid"), camvid) == []


def test_a_fold_that_takes_the_place_of_val_is_told():
    [warning] = fold_warnings(use_of({"count": 5, "val": True}), dataset_of(train=9))
    assert warning.endswith("so networks learn from 3 of 5 folds")


def test_cells_of_some_test_folds_are_kept_and_those_of_other_datasets():
    cells = [cell(subset=subset) for subset in ("all", "test fold 1/3", "test fold 2/3, labels 0.5, fold 1/2")]
    assert [one.subset for one in keep_folds(cells, [2])] == ["all", "test fold 2/3, labels 0.5, fold 1/2"]
    with pytest.raises(SpecError, match=r"--folds 3: there is no such test fold; there are 1 to 2"):
        keep_folds(cells, [1, 3])
    with pytest.raises(SpecError, match=r"--folds 1: there is no such test fold; no dataset here is cross-validated"):
        keep_folds(cells[:1], [1])
