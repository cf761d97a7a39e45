from __future__ import annotations

from dataclasses import replace

import pytest

from segbench.errors import RecordError, StatisticsError
from segbench.report import load, render
from segbench.report.comparison.compare import compare_methods
from segbench.report.folds import folds_of
from segbench.report.ranking.pooling import pool_folds
from segbench.report.records import identity, read_sources
from segbench.report.selection import Selector, restrict
from segbench.stats.scores import scores
from segbench.store.counts import read_counts
from segbench.store.record import Health, Train

H200 = {"device": "cuda:0", "device_name": "NVIDIA H200", "threads": 8}
CPU = {"device": "cpu", "device_name": "AMD EPYC 9554", "threads": 2}
RIGHT = {1: (0.9, 0.8), 2: (0.7, 0.6), 3: (0.5, 0.9)}


@pytest.fixture
def fold(trained, counted):
    """Make the record of a test fold of three with the counts of two images of its own."""

    def make(number, method="unet", seed=0, right=None, make=trained, of=3, **choices):
        choices = {"subset": f"test fold {number}/{of}", "folds": {"count": of}, **choices}
        record, counts = counted(make(method, seed, **choices), right or RIGHT[number])
        return record, replace(counts, ids=tuple(f"{number} {image}" for image in counts.ids))

    return make


def seed_of(fold, *args, **choices):
    return [fold(number, *args, **choices) for number in (1, 2, 3)]


def pooled(folder):
    return pool_folds(read_sources([folder]))


def test_a_seed_is_scored_by_the_images_of_all_its_folds(fold, counted, trained, results):
    cells = seed_of(fold)
    sources = pooled(results(*cells))
    (record,) = sources.records
    # As if one network had been tested on all six images.
    whole, counts = counted(trained(), [share for number in (1, 2, 3) for share in RIGHT[number]])
    assert record.scores.miou == pytest.approx(whole.scores.miou, abs=1e-12)
    assert record.per_class.iou == pytest.approx(whole.per_class.iou)
    assert (record.subset, record.evaluated.images) == ("all", 6)
    assert record.scores == scores(counts)
    assert sources.counts(record).ids == tuple(image for _, one in cells for image in one.ids)
    (confusions,) = sources.confusions([record])
    assert (confusions.confusion == sources.counts(record).confusion).all()
    assert [one.subset for one in folds_of(record)] == ["test fold 1/3", "test fold 2/3", "test fold 3/3"]


def test_each_fold_of_the_seeds_tells_how_seeds_differ(fold, results):
    shares = {(seed, number): (0.9 - 0.1 * seed * number, 0.8) for seed in (0, 1) for number in (1, 2, 3)}
    cells = [fold(number, seed=seed, right=right) for (seed, number), right in shares.items()]
    (row,) = load([results(*cells)]).groups[0].rows
    found = row.statistics.estimate.components
    assert (found.seeds, found.seed_freedom) == (2, pytest.approx(3, rel=0.05))


def test_the_order_of_folders_changes_nothing(fold, results):
    one, two, three = seed_of(fold)
    apart = results(three, root="b"), results(one, two, root="a")
    forth, back = (pool_folds(read_sources(order)) for order in (apart, apart[::-1]))
    assert forth.records == back.records
    assert (forth.counts(forth.records[0]).confusion == back.counts(back.records[0]).confusion).all()


def test_a_seed_without_all_folds_is_not_ranked_and_the_report_says_which_are_missing(fold, results):
    folder = results(*seed_of(fold), fold(2, seed=1))
    report = load([folder])
    assert [row.seeds for group in report.groups for row in group.rows] == [(0,)]
    assert list(map(str, report.incomplete)) == [
        "camvid / camvid / unet, seed 1: test folds 1 and 3 of 3 are missing, so it is not ranked"
    ]
    assert "incomplete: camvid / camvid / unet, seed 1: test folds 1 and 3" in render([folder])


def test_a_fold_whose_counts_are_not_its_own_is_missing(fold, results):
    one, two, three = seed_of(fold)
    sources = pooled(results(one, two, (three[0], two[1])))
    assert [str(seed).partition(": ")[2] for seed in sources.incomplete] == [
        "test fold 3 of 3 is missing, so it is not ranked"
    ]
    (problem,) = sources.problems
    assert problem.path.name == f"{three[0].key}.json"


def test_records_of_other_divisions_recipes_and_subsets_are_not_pooled(fold, results):
    cells = [
        *seed_of(fold),
        *seed_of(fold, options={"encoder": "resnet34"}),
        *(fold(number, of=2) for number in (1, 2)),
        *(fold(n, subset=f"test fold {n}/3, labels 0.5", recipe={"labels": (0.5, 1.0)}) for n in (1, 2, 3)),
    ]
    sources = pooled(results(*cells))
    assert sorted((len(folds_of(record)), record.subset) for record in sources.records) == [
        (2, "all"),
        (3, "all"),
        (3, "all"),
        (3, "labels 0.5"),
    ]
    assert sources.incomplete == ()


def test_rows_by_folds_and_rows_of_the_fixed_split_are_in_rankings_of_their_own(fold, counted, trained, results):
    fixed = counted(trained("unet"), [share for number in (1, 2, 3) for share in RIGHT[number]])
    report = load([results(*seed_of(fold), fixed)])
    assert [group.data.heading.partition(" · data")[0] for group in report.groups] == [
        "test, 6 images",
        "3 folds, 6 images",
    ]


def test_a_method_by_folds_is_not_compared_with_one_by_the_fixed_split(fold, counted, trained, results):
    fixed = counted(trained("fpn"), [share for number in (1, 2, 3) for share in RIGHT[number]])
    with pytest.raises(StatisticsError, match=r"cross-validation: 3 folds \(unet\) and none \(fpn\)"):
        compare_methods([results(*seed_of(fold), fixed)], ("unet", "fpn"))


def test_a_method_without_a_whole_seed_has_no_result_and_its_folds_are_named(fold, results):
    folder = results(*seed_of(fold), fold(1, "fpn"))
    with pytest.raises(RecordError, match=r"'fpn' has no result: .*seed 0: test folds 2 and 3 of 3 are missing"):
        compare_methods([folder], ("unet", "fpn"))


def test_folds_of_one_kind_of_machine_are_pooled_before_those_of_several(fold, results):
    cells = [*seed_of(fold, environment=H200), *seed_of(fold, environment=CPU)[:2]]
    (record,) = pooled(results(*cells[:3], root="a")).records
    both = pool_folds(read_sources([results(*cells[:3], root="a"), results(*cells[3:], root="b")]))
    assert both.records == (record,)
    mixed = pool_folds(read_sources([results(cells[0], root="c"), results(*cells[3:], fold(3), root="d")]))
    assert len(mixed.records) == 1


def test_seconds_of_several_machines_are_not_averaged(fold, results):
    cells = [fold(1, environment=CPU), fold(2), fold(3)]
    (record,) = pooled(results(*cells)).records
    assert record.train is None


@pytest.fixture
def judged_fold(fold, adversarial):
    """The cell of a fold with a verdict on its critic."""

    def cell(number, verdict, seconds=1.0):
        health = Health(verdict=verdict, reason="why", numbers={"ratio": float(number)}, curve=[])
        fields = {"health": health, "train": Train(steps=90, seconds=seconds, images_per_second=None)}
        return fold(number, "unet+critic", make=adversarial, fields=fields)

    return cell


def test_seconds_are_the_mean_and_health_is_that_of_the_worst_fold(judged_fold, results):
    folder = results(judged_fold(1, "healthy", 10.0), judged_fold(2, "collapsed", 20.0), judged_fold(3, "inert", 60.0))
    (record,) = pooled(folder).records
    assert (record.train.steps, record.train.seconds) == (90, 30.0)
    assert record.health.verdict == "collapsed"
    assert record.health.reason == "test fold 2/3: why (1 of 3 folds collapsed)"
    assert record.health.numbers == {"ratio": 2.0}


@pytest.mark.parametrize(
    ("verdicts", "reason"),
    [
        (("inert", "inert", "healthy"), "test fold 1/3: why (2 of 3 folds inert)"),
        (("inert", "inert", "oscillating"), "test fold 1/3: why (2 of 3 folds inert)"),
        (("inert", "inert", "collapsed"), "test fold 3/3: why (1 of 3 folds collapsed)"),
        (("healthy", "healthy", "inert"), "test fold 1/3: why (2 of 3 folds healthy)"),
    ],
)
def test_a_critic_has_no_say_in_a_seed_if_it_has_none_in_most_folds(judged_fold, results, verdicts, reason):
    (record,) = pooled(results(*(judged_fold(*one) for one in enumerate(verdicts, start=1)))).records
    assert record.health.reason == reason


def test_a_key_of_any_fold_selects_the_recipe(fold, results):
    cells = seed_of(fold)
    sources = pooled(results(*cells))
    found = restrict(sources, [Selector("unet", cells[1][0].key)])
    assert found.records == sources.records
    assert identity(sources.records[0])[0] == cells[0][0].key


def test_a_row_names_the_keys_of_all_its_cells(fold, results):
    cells = seed_of(fold)
    report = load([results(*cells)])
    assert [record.key for record in report.records] == [record.key for record, _ in cells]


def test_what_is_not_cross_validated_is_left_as_it_is(trained, counted, results):
    sources = read_sources([results(counted(trained(), [0.5, 0.7]))])
    assert pool_folds(sources) == sources


def test_counts_of_a_fold_stay_where_they_are(fold, results):
    cells = seed_of(fold)
    sources = pooled(results(*cells))
    folders = sources.folders_of(sources.records[0])
    assert [read_counts(folder).ids for folder in folders] == [counts.ids for _, counts in cells]
