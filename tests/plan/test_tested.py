from __future__ import annotations

import pytest

from segbench.config.recipe import Benchmark, DatasetUse
from segbench.contract import Dataset
from segbench.plan.power import compute_design_power
from segbench.plan.tested import compare_tested

from .conftest import method

METHODS = {one.name: one for one in (method("unet"), method("gan", twin="unet"))}
NUCLEI = Dataset(["a"], [(0, 0, 0)], splits={"train": [None] * 36, "val": [None] * 8, "test": [None] * 16}, channels=1)


def plan(folds=None, seeds=(0, 1, 2)):
    use = DatasetUse(use="toy/shapes", folds=folds)
    return Benchmark(name="test", source="test.yaml", datasets={"nuclei": use}, seeds=seeds, methods=METHODS)


def designs_of(benchmark, scores=None):
    return compare_tested(benchmark, {"nuclei": NUCLEI}, compute_design_power(benchmark, scores or {}))


def test_a_fixed_split_is_shown_beside_folds_of_all_images():
    assert [one[1:4] for one in designs_of(plan())] == [(16, 1, True), (60, 5, False)]
    assert [one[1:4] for one in designs_of(plan(folds={"count": 3, "pool": ["train", "val"]}))] == [
        (16, 1, False),
        (44, 3, True),
    ]


def test_networks_of_folds_are_averaged_and_images_add_to_seeds():
    fixed, folds = designs_of(plan())
    # Differences of seeds have sd sqrt(2) or 1/sqrt(2) points: over three seeds, and five networks a seed, and with
    # images of sd 3 over 16 and 60 of them, standard errors are these.
    of_fixed = [(0.5 / 3 + 9 / 16) ** 0.5, (2 / 3 + 9 / 16) ** 0.5]
    of_folds = [(0.5 / 15 + 9 / 60) ** 0.5, (2 / 15 + 9 / 60) ** 0.5]
    # With images alone 80 % power takes 2.0 + 0.8 standard errors or more, with seeds alone 5.7 (t of 2 degrees).
    for smallest, errors in ((fixed.smallest, of_fixed), (folds.smallest, of_folds)):
        for found, error in zip(smallest, errors, strict=True):
            assert 2.8 < 100 * found / error < 5.7
    assert all(less < 0.55 * more for less, more in zip(folds.smallest, fixed.smallest, strict=True))


def test_noise_between_seeds_is_the_same_by_whichever_design_it_was_measured():
    scores = {("nuclei", "all", "unet"): {0: 0.5, 1: 0.5, 2: 0.5}, ("nuclei", "all", "gan"): {0: 0.5, 1: 0.53, 2: 0.56}}
    by_split, by_folds = designs_of(plan(), scores), designs_of(plan(folds=5), scores)
    # What one network a seed moved by so much moves less as a mean of five; what a mean of five did, one moves more.
    assert by_split[1].smallest < by_folds[1].smallest < by_folds[0].smallest
    # Three seeds of sd 3, and images of sd 3: the t of 2 degrees takes 5.7 errors where seeds alone matter, of 10 3.1.
    fixed, folds = (100 * one.smallest[0] for one in (by_split[0], by_folds[1]))
    assert fixed == pytest.approx(5.6 * (9 / 3 + 9 / 16) ** 0.5, rel=0.05)
    assert folds == pytest.approx(3.1 * (9 / 3 + 9 / 60) ** 0.5, rel=0.03)


def test_one_seed_detects_nothing():
    assert designs_of(plan(seeds=(0,))) == []
