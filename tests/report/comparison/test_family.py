from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segbench.report import load
from segbench.report.comparison.family import Settings
from segbench.store.counts import COUNTS, write_counts
from segbench.store.record import Train

from .conftest import IMAGES, SEEDS, counted


def test_compare_and_report_say_the_same_of_a_family_of_one(two_methods, compared, tmp_path):
    (group,) = load([tmp_path / "results"]).groups
    (reported,) = group.comparisons
    claim = compared(settings=Settings()).claim
    assert claim.judgement == reported.judgement
    assert claim.interval == reported.interval


def test_no_interval_is_wider_than_a_difference_can_be(store, trained, adversarial, compared):
    for seed, (right, other) in enumerate([(20, 89), (89, 20)]):
        store(trained(seed=seed), counted(right, seed=seed))
        store(adversarial(seed=seed), counted(other, seed=seed))
    assert compared().claim.interval == (-1.0, 1.0)


def test_what_is_left_over_a_placebo_and_what_it_gains_make_up_the_whole(
    two_methods, store, adversarial, compared, text
):
    for seed in SEEDS:
        placebo = adversarial("unet+critic~frozen", seed=seed, recipe={"placebo_of": "unet+critic"})
        store(placebo, counted(72, seed=seed + 6))
    found = compared()
    assert [contrast.relation for contrast in found.contrasts] == ["claim", "placebo's gain", "placebo"]
    ((placebo, left),) = found.triplets
    assert (placebo.row.method, placebo.other.method) == ("unet+critic~frozen", "unet")
    whole = placebo.difference.estimate + left.difference.estimate
    assert whole == pytest.approx(found.claim.difference.estimate)
    assert found.claim.judgement.level > 0.95
    said = " ".join(text().split())
    assert f"remain over the placebo unet+critic~frozen ({left.judgement.verdict})." in said


def test_a_placebo_with_fewer_seeds_changes_nothing_of_the_claim(two_methods, store, adversarial, compared):
    store(adversarial("unet+critic~noise", seed=1, recipe={"placebo_of": "unet+critic"}), counted(72))
    found = compared()
    assert found.claim.difference.seeds == 3
    assert [contrast.difference.seeds for contrast in found.contrasts[1:]] == [1, 1]


def test_a_placebo_without_a_common_seed_is_named(two_methods, store, adversarial, compared):
    store(adversarial("unet+critic~noise", seed=9, recipe={"placebo_of": "unet+critic"}), counted(72))
    found = compared()
    assert len(found.contrasts) == 1
    assert any(note.startswith("unet+critic~noise is not compared: no seed in common") for note in found.notes)


def test_the_twin_of_equal_seconds_is_compared_beside_that_of_equal_steps(two_methods, store, trained, compared):
    longer = Train(steps=13_000, seconds=1218.6, images_per_second=95.2)
    for seed in SEEDS:
        like = {"protocol": {"budget": {"like": "unet+critic", "in": "seconds"}}, "overrides": ("budget",)}
        store(
            trained("unet-long", seed=seed, recipe={"twin": "unet"}, **like), counted(73, seed=seed + 9), train=longer
        )
    found = compared()
    assert [(one.relation, one.other.method, one.terms) for one in found.contrasts] == [
        ("claim", "unet", "equal steps"),
        ("opponent", "unet-long", "equal seconds"),
    ]
    assert found.contrasts[1].difference.estimate < found.claim.difference.estimate
    back = compared(other="unet-long")
    assert back.relation == "unet-long was trained for as many seconds as unet+critic took."
    assert [(one.other.method, one.terms) for one in back.contrasts] == [
        ("unet-long", "equal seconds"),
        ("unet", "equal steps"),
    ]
    assert any("overrides the benchmark's protocol: budget" in note for note in back.notes)


def test_a_record_with_damaged_counts_is_ignored_and_the_rest_goes_on(two_methods, store, trained, compared):
    folder = store(trained(seed=1), counted(70))
    (folder / COUNTS).write_bytes(b"no parquet")
    found = compared()
    assert found.seeds == (0, 2)
    (line,) = found.ignored
    assert line.startswith("unet, seed 1: cannot read the counts in")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (replace(counted(70), void=np.ones(IMAGES, dtype=np.int64)), "do not add up to its size"),
        (counted(60), "its counts belong to something else (mIoU"),
        (replace(counted(70, seed=1), split="val"), "split test in the record and val in the counts"),
    ],
)
def test_counts_that_do_not_add_up_or_are_of_something_else_are_ignored(
    two_methods, store, trained, compared, wrong, message
):
    folder = store(trained(seed=1), counted(70, seed=1))
    write_counts(folder, wrong)
    assert message in compared().ignored[0]


def test_one_image_is_too_little_to_judge(store, trained, adversarial, refusal):
    one = counted(70)
    alone = replace(
        one, **{name: getattr(one, name)[:1] for name in ("ids", "confusion", "sizes", "void", "band", "small")}
    )
    store(trained(), alone)
    store(adversarial(), alone)
    assert "an interval needs at least 2" in refusal()


def test_with_nothing_left_it_is_an_error(store, trained, adversarial, refusal):
    folder = store(trained(), counted(70))
    store(adversarial(), counted(70))
    (folder / COUNTS).unlink()
    assert "nothing of 'unet' is left to compare (unet, seed 0: no counts at" in refusal()


def test_no_common_seed_is_an_error_with_the_seeds_of_both(store, trained, adversarial, refusal):
    store(trained(seed=0), counted(70))
    store(adversarial(seed=1), counted(70))
    assert "no seed in common (unet+critic: 1; unet: 0)" in refusal()


def test_other_labels_of_the_same_images_are_refused(store, trained, adversarial, refusal):
    counts = counted(70)
    confusion = counts.confusion.copy()
    confusion[3, 0, 0], confusion[3, 1, 1] = 101, confusion[3, 1, 1] - 1
    store(trained(), counts)
    store(adversarial(), replace(counts, confusion=confusion))
    assert "scored with different labels (image 'image 03'" in refusal()
