from __future__ import annotations

import pytest

from segbench.errors import RecordError
from segbench.report import load
from segbench.report.records import identity, read_sources
from segbench.report.verification import choose_records, other_seeds
from segbench.store.verification import Verification, write_verification


@pytest.fixture
def sources(trained, scored, failed, results):
    """Two methods of three seeds, a third that failed, and label maps of another tool."""
    records = [trained(name, seed, 0.5 + seed / 10) for name in ("unet", "fpn") for seed in range(3)]
    return read_sources([results(*records, scored(), failed("psp"))])


def test_a_draw_depends_on_its_seed_and_not_on_the_order_of_folders(sources):
    drawn = [[one.key for one in choose_records(sources, 2, None, seed)] for seed in (0, 0, 1, 2, 3)]
    assert drawn[0] == drawn[1]
    assert len({tuple(keys) for keys in drawn}) > 1
    assert all(len(keys) == 2 for keys in drawn)


def test_only_what_was_trained_and_finished_is_drawn(sources):
    assert {one.method for one in choose_records(sources, None, None, 0)} == {"unet", "fpn"}
    assert {one.method for one in choose_records(sources, 99, "fpn", 0)} == {"fpn"}
    with pytest.raises(RecordError, match="no finished cell of a method 'fqn'"):
        choose_records(sources, 1, "fqn", 0)


def test_no_method_is_drawn_twice_before_each_is_drawn_once(sources):
    for seed in range(9):
        assert {one.method for one in choose_records(sources, 2, None, seed)} == {"unet", "fpn"}
    drawn = [one.method for one in choose_records(sources, 4, None, 0)]
    assert sorted(drawn) == ["fpn", "fpn", "unet", "unet"]


def test_other_seeds_of_a_recipe_are_those_of_its_data_and_settings(sources, trained):
    (record, *_) = choose_records(sources, None, "unet", 0)
    assert [sorted(one.seed for one in group) for group in other_seeds(sources, record)] == [
        sorted({0, 1, 2} - {record.seed})
    ]
    other = trained("unet", 7, options={"encoder": "resnet34"})
    assert other_seeds(sources, other) == []


def test_other_seeds_stand_by_their_test_folds(trained, results):
    folds = [f"test fold {fold}/2" for fold in (1, 2)]
    records = [trained("unet", seed, 0.5, subset=fold) for seed in range(3) for fold in folds]
    sources = read_sources([results(*records)])
    (record,) = [one for one in sources.ranked if (one.seed, one.subset) == (1, folds[1])]
    groups = [[(one.seed, one.subset) for one in group] for group in other_seeds(sources, record)]
    assert [(seed, folds[0]) for seed in (0, 1, 2)] in groups
    assert [(seed, folds[1]) for seed in (0, 2)] in groups


def test_a_row_says_which_seeds_were_verified_and_when(sources):
    for seed, outcome in ((0, "same bits"), (2, "not reproduced")):
        record = next(one for one in sources.ranked if (one.method, one.seed) == ("unet", seed))
        mark = Verification(
            key=record.key,
            outcome=outcome,
            date="2026-11-29T08:00:00+00:00",
            score="miou",
            before=0.5,
            after=0.5,
            seeds=3,
            recorded=record.scores,
            machine={},
        )
        write_verification(sources.cell_folders[identity(record)], mark)
    rows = {row.method: row for group in load(sources.folders).groups for row in group.rows}
    assert rows["fpn"].notes == ()
    assert rows["unet"].notes[-1] == (
        "verified by running again, 2 of 3 seeds: seed 0 reproduced, same bits (2026-11-29), "
        "seed 2 NOT reproduced (2026-11-29)"
    )
