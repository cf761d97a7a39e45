from __future__ import annotations

from math import sqrt

import pytest

from segbench.config.recipe import Benchmark, DatasetUse
from segbench.contract import Dataset
from segbench.plan.power import (
    assume_noise,
    compare_tested,
    compute_design_power,
    list_pairs,
    measure_noise,
    read_recorded_scores,
)
from segbench.store.folder import ResultsFolder
from segbench.store.record import Record, Scores

from .conftest import cell, method


def benchmark(*methods, seeds=(0, 1, 2)):
    return Benchmark(
        name="test",
        source="test.yaml",
        datasets={"shapes": DatasetUse(use="toy/shapes")},
        seeds=seeds,
        methods={one.name: one for one in methods},
    )


CLAIMED = (
    method("unet"),
    method("other"),
    method("gan", twin="unet", against=("other",)),
    method("gan~frozen", twin="unet", placebo_of="gan"),
)


def pairs(*methods):
    return set(list_pairs({one.name: one for one in methods}))


def test_methods_are_compared_with_twins_with_what_claims_name_and_with_their_placebos():
    assert pairs(*CLAIMED) == {("gan", "unet"), ("gan", "other"), ("gan", "gan~frozen"), ("gan~frozen", "unet")}


def test_a_pair_counts_once_though_it_is_named_twice():
    assert pairs(method("unet"), method("gan", twin="unet", against=("unet",))) == {("gan", "unet")}


def test_what_is_not_there_is_not_trained_for_itself_or_has_no_miou_is_not_compared():
    trial = method("gan trial 1/2", twin="unet", trial_of="gan")
    images = method("generator", twin="unet", maps="noise -> image")
    assert pairs(method("unet"), trial, images, method("gan", twin="missing")) == set()


def test_methods_that_paint_palette_colours_are_scored_and_compared():
    assert pairs(method("unet"), method("colours", twin="unet", maps="image -> image")) == {("colours", "unet")}


def test_a_ranking_holds_one_fraction_of_the_labels():
    everything, eighth = method("unet", labels=(1.0, 0.125)), method("gan", twin="unet", labels=(0.125,))
    apart = method("all", twin="gan")
    assert pairs(everything, eighth, apart) == {("gan", "unet")}


def test_without_two_methods_to_compare_there_is_nothing_to_show():
    assert compute_design_power(benchmark(method("unet")), {}) is None


def test_what_can_be_seen_comes_from_the_level_of_the_first_step():
    found = compute_design_power(benchmark(*CLAIMED, seeds=range(6)), {})
    assert (found.seeds, found.comparisons, found.sign_flip_floor) == (6, 4, 2 / 2**6)
    assert found.level == pytest.approx(1 - 0.05 / 4)
    little, much = found.sights
    assert little.noise.difference_sd == pytest.approx(0.005 * sqrt(2))
    # A t-test of six seeds at 1 - .05/4 finds 2.0053 sd with 80 % power, by numerical integration over the sd.
    assert little.smallest == pytest.approx(2.0053 * 0.005 * sqrt(2), rel=1e-4)
    assert much.smallest == pytest.approx(2 * little.smallest)


def test_for_one_comparison_the_seeds_are_those_of_a_paired_t_test():
    # A paired t-test at 5 % with 80 % power: sd .5 takes 18 seeds for .5 and 7 for 1; sd 1 takes 65 and 18.
    found = compute_design_power(benchmark(method("unet"), method("gan", twin="unet")), {})
    assert [list(sight.seeds_for.values()) for sight in found.sights] == [[18, 7], [65, 18]]


def test_one_seed_sees_nothing():
    found = compute_design_power(benchmark(*CLAIMED, seeds=(0,)), {})
    assert [sight.smallest for sight in found.sights] == [None, None]
    assert found.sign_flip_floor == 1


def test_measured_noise_is_that_of_paired_differences_pooled():
    scores = {
        ("shapes", "all", "a"): {0: 0.50, 1: 0.56, 2: 0.52},
        ("shapes", "all", "b"): {0: 0.40, 1: 0.40, 2: 0.40, 3: 0.9},
        ("shapes", "all", "c"): {0: 0.40, 1: 0.42},
        ("shapes", "all", "d"): {0: 0.40},
        ("disks", "all", "a"): {0: 0.5},
    }
    (found,) = measure_noise([("a", "b"), ("c", "b"), ("d", "b")], scores)
    # Differences of .10 .16 .12 with squares about their mean of .00186667, and of .00 .02 with .0002; 2 + 1 degrees.
    assert found.source == "measured on shapes"
    assert found.freedom == 3
    assert found.difference_sd == pytest.approx(sqrt((0.00186667 + 0.0002) / 3), rel=1e-4)


def test_what_is_measured_takes_the_place_of_what_is_assumed():
    scores = {("shapes", "all", name): {0: 0.5, 1: 0.5 + more} for name, more in (("unet", 0.0), ("gan", 0.03))}
    found = compute_design_power(benchmark(*CLAIMED), scores)
    assert [sight.noise.source for sight in found.sights] == ["measured on shapes"]
    assert [noise.freedom for noise in assume_noise()] == [None, None]


def write_score(folder, key, miou):
    scores = Scores(miou=miou, pixel_accuracy=None, mean_accuracy=None, fwiou=None, dice=None)
    facts = {"dataset": "shapes", "subset": "all", "method": "net", "seed": 0, "spec": {}, "environment": {}}
    folder.write(Record(key=key, benchmark="test", status="ok", scores=scores, **facts))


def test_scores_are_read_from_the_records_of_the_planned_cells(tmp_path):
    folder = ResultsFolder(tmp_path, "test")
    keys = {
        name: f"{place:016x}" for place, name in enumerate(["good", "other seed", "unscored", "fold", "torn", "new"])
    }
    write_score(folder, keys["good"], 0.25)
    write_score(folder, keys["other seed"], 0.75)
    write_score(folder, keys["unscored"], None)
    write_score(folder, keys["fold"], 0.5)
    folder.record_path(keys["torn"]).write_text("{")
    cells = [
        cell(key=keys["good"]),
        cell(key=keys["other seed"], seed=1),
        cell(key=keys["unscored"], seed=2),
        cell(key=keys["fold"], seed=3, subset="fold 1/5"),
        cell(key=keys["torn"], seed=4),
        cell(key=keys["new"], seed=5),
        cell(key=None, seed=6),
    ]
    assert read_recorded_scores(cells, folder) == {("shapes", "all", "net"): {0: 0.25, 1: 0.75}}


def test_the_score_of_a_cross_validated_dataset_is_over_all_its_test_folds(tmp_path):
    folder = ResultsFolder(tmp_path, "test")
    cells = []
    for place, (seed, fold, miou) in enumerate([(0, 1, 0.25), (0, 2, 0.75), (1, 1, 0.5)]):
        cells.append(cell(key=f"{place:016x}", seed=seed, subset=f"test fold {fold}/2, labels 0.5"))
        write_score(folder, cells[-1].key, miou)
    assert read_recorded_scores(cells, folder) == {("shapes", "labels 0.5", "net"): {0: 0.5}}


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
