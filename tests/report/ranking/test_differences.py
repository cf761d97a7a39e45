from __future__ import annotations

import numpy as np
import pytest

from segbench.config.recipe import Adversarial
from segbench.report import load
from segbench.report.ranking.groups import rank_records
from segbench.report.records import Sources, read_sources
from segbench.stats.difference import difference
from segbench.stats.evidence import iou_evidence
from segbench.store.record import Timing

H200 = {"device": "cuda", "device_name": "NVIDIA H200", "threads": 8}
SHARES = np.random.default_rng(5).uniform(0.5, 0.9, size=30)


def compared(*records):
    """Return the comparisons of the one ranking that the records make, without counts."""
    (group,) = rank_records(Sources(records, (), ()))
    return group.comparisons


def judged(folder):
    (group,) = load([folder]).groups
    return {(one.row.method, one.other_name): one for one in group.comparisons}


def test_differences_are_taken_seed_by_seed(trained, adversarial):
    twin = [trained("unet", seed, miou) for seed, miou in enumerate([0.25, 0.5, 0.75])]
    critic = [adversarial(seed=seed, miou=miou) for seed, miou in [(1, 0.625), (2, 0.625), (3, 0.9)]]
    (one,) = compared(*twin, *critic)
    assert one.other.method == "unet"
    assert one.seeds == (1, 2)
    assert one.miou == (0.0, pytest.approx(0.03125**0.5), 2)


def test_training_time_is_compared_over_the_seeds_in_common(trained, adversarial):
    def seconds(record, value):
        return record.model_copy(update={"train": record.train.model_copy(update={"seconds": value})})

    twin = [seconds(trained("unet", 0), 10.0), seconds(trained("unet", 1), 1000.0)]
    (one,) = compared(*twin, seconds(adversarial(seed=0), 25.0))
    assert one.time_ratio == 2.5


def test_what_is_left_over_its_placebos_follows_a_method_and_its_placebos_after_it(trained, adversarial):
    def placebo(kind, miou):
        return adversarial(f"unet+critic~{kind}", miou=miou, recipe={"placebo_of": "unet+critic"})

    found = compared(
        trained("unet", miou=0.6),
        placebo("noise", 0.9),
        placebo("frozen", 0.1),
        adversarial(miou=0.7),
        adversarial("other", miou=0.8),
    )
    assert [(one.row.method, one.other_name, one.relation) for one in found] == [
        ("other", "unet", "twin"),
        ("unet+critic", "unet", "twin"),
        ("unet+critic", "unet+critic~frozen", "placebo"),
        ("unet+critic", "unet+critic~noise", "placebo"),
        ("unet+critic~frozen", "unet", "twin"),
        ("unet+critic~noise", "unet", "twin"),
    ]
    assert found[2].miou.mean == pytest.approx(0.6)


def test_a_method_is_compared_with_all_that_claims_name_the_twin_once(trained, adversarial):
    found = compared(
        trained("unet"), trained("fpn"), adversarial(recipe={"against": ("unet", "fpn")}), adversarial("lone")
    )
    assert [(one.row.method, one.other_name, one.relation) for one in found] == [
        ("lone", "unet", "twin"),
        ("unet+critic", "unet", "twin"),
        ("unet+critic", "fpn", "claim"),
    ]


def test_a_method_with_a_twin_and_no_critic_is_compared_too(trained):
    (one,) = compared(trained("unet"), trained("unet+dice", miou=0.7, recipe={"twin": "unet"}))
    assert one.miou.mean == pytest.approx(0.1)


def test_a_method_with_a_critic_and_no_twin_stands_alone(trained, adversarial):
    (one,) = compared(trained("unet"), adversarial(recipe={"twin": None}))
    assert (one.other_name, one.relation, one.other) == (None, "none", None)
    assert one.time_ratio is None
    assert one.seeds == ()


def test_a_twin_that_is_not_in_the_ranking_is_not_compared_with(trained, adversarial, scored):
    (one,) = compared(trained("fpn"), scored("unet"), adversarial())
    assert (one.other_name, one.other) == ("unet", None)


def test_a_claim_is_paired_with_the_twin_and_placebo_of_its_own_recipe(trained, adversarial):
    frozen = {"placebo_of": "unet+critic", "adversarial": Adversarial(use="gan/hinge", placebo="frozen")}

    def with_code(record, code):
        spec = {**record.spec, "sources": {"smp": code}}
        return record.model_copy(update={"key": f"{code}{record.key[1:]}", "spec": spec})

    makers = (trained, adversarial, lambda: adversarial("unet+critic~frozen", recipe=frozen))
    found = compared(*(with_code(make(), code) for code in "ab" for make in makers))
    pairs = [
        (one.row.records[0].key[0], one.row.method, one.other.records[0].key[0], one.other.method) for one in found
    ]
    assert sorted(pairs) == [
        (code, *names)
        for code in "ab"
        for one, *others in (("unet+critic", "unet", "unet+critic~frozen"), ("unet+critic~frozen", "unet"))
        for names in ((one, code, other) for other in others)
    ]


def test_a_twin_with_other_settings_of_its_own_is_nearest_by_all_else_and_then_the_latest(trained, adversarial):
    old, new = ({"environment": {**H200, "started": f"2026-11-{day}T08:00:00+00:00"}} for day in (20, 21))
    twins = trained("unet", options={"width": 2}, **new), trained("unet", options={"width": 1}, **old)
    for width, nearest in ((1, 1), (2, 2), (3, 2)):
        (one,) = compared(*twins, adversarial(options={"width": width}))
        assert one.other.records[0].spec["method"]["generator"]["options"] == {"width": nearest}


def test_methods_that_generate_images_are_not_compared_by_miou(trained, generating):
    assert compared(trained("unet"), generating()) == ()


@pytest.fixture
def triplet(trained, adversarial, counted, results):
    """A twin, a claim 10 points of pixels better, and its placebo that is 9.5 points better, of 6 seeds each."""
    placebo = {"placebo_of": "unet+critic"}
    noise = np.random.default_rng(6).normal(0, 0.002, size=(3, 6, 30))
    return results(
        *(counted(trained("unet", seed), SHARES + noise[0, seed] - 0.1) for seed in range(6)),
        *(counted(adversarial(seed=seed), SHARES + noise[1, seed]) for seed in range(6)),
        *(
            counted(adversarial("unet+critic~frozen", seed, recipe=placebo), SHARES + noise[2, seed] - 0.005)
            for seed in range(6)
        ),
    )


def test_a_claim_that_is_better_is_found_and_little_is_left_over_a_good_placebo(triplet):
    found = judged(triplet)
    claim, left = found["unet+critic", "unet"], found["unet+critic", "unet+critic~frozen"]
    assert claim.judgement.verdict == "better"
    assert claim.interval.low > 0.05
    assert left.miou.mean < 0.01
    assert left.interval.high < claim.interval.low


def test_all_that_is_shown_is_one_family(triplet):
    found = judged(triplet)
    # Holm over three: the first is judged at 1 - 0.05/3, the last at 1 - 0.05 if the others differ significantly
    assert sorted(round(one.judgement.level, 4) for one in found.values()) == [0.95, 0.975, 0.9833]


def test_the_difference_is_that_of_the_two_alone(triplet, counted, trained, adversarial):
    found = judged(triplet)["unet+critic", "unet"].judgement.difference
    sources = read_sources([triplet])
    counts = {
        method: {one.seed: sources.counts(one) for one in sources.records if one.method == method}
        for method in ("unet+critic", "unet")
    }
    alone = difference(iou_evidence(counts), "unet+critic", "unet")
    assert found == alone


def test_the_seeds_in_common_that_collapsed_are_told(trained, adversarial):
    twins = [trained("unet", seed) for seed in range(3)]
    critics = [adversarial(seed=seed, verdict="healthy" if seed == 1 else "collapsed") for seed in range(4)]
    (one,) = compared(*twins, *critics)
    assert one.collapsed == {"unet+critic": (0, 2)}


def test_the_seeds_in_common_in_which_a_critic_had_no_say_are_told_but_not_of_placebos(trained, adversarial):
    twins = [trained("unet", seed) for seed in range(3)]
    critics = [adversarial(seed=seed, verdict="healthy" if seed == 1 else "inert") for seed in range(3)]
    recipe = {"placebo_of": "unet+critic", "twin": "unet"}
    placebos = [adversarial("unet+critic~frozen", seed, verdict="inert", recipe=recipe) for seed in range(3)]
    found = {(one.row.name, one.relation): one.inert for one in compared(*twins, *critics, *placebos)}
    assert found == {
        ("unet+critic", "twin"): {"unet+critic": (0, 2)},
        ("unet+critic", "placebo"): {"unet+critic": (0, 2)},
        ("unet+critic~frozen", "twin"): {},
    }


def test_one_seed_has_an_interval_over_images_only_and_no_verdict(trained, adversarial, counted, results):
    folder = results(counted(trained("unet"), SHARES - 0.1), counted(adversarial(), SHARES))
    (one,) = judged(folder).values()
    assert one.is_over_images_only
    assert one.interval.low > 0
    assert one.judgement.verdict == "undecided"


def test_without_counts_of_one_of_them_the_difference_has_no_interval_and_says_why(
    trained, adversarial, counted, results
):
    bare = trained("unet", 1, fields={"evaluated": counted(trained("unet", 1), SHARES)[0].evaluated})
    unet = counted(trained("unet", 0), SHARES)
    folder = results(unet, bare, *(counted(adversarial(seed=seed), SHARES) for seed in range(2)))
    (one,) = judged(folder).values()
    assert (one.judgement, one.interval) == (None, None)
    assert "there are no counts of seed 1" in one.missing
    assert one.seeds == (0, 1)


def test_methods_without_a_common_seed_are_not_judged(trained, adversarial, counted, results):
    folder = results(counted(trained("unet", 0), SHARES), counted(adversarial(seed=1), SHARES))
    (one,) = judged(folder).values()
    assert one.judgement is None
    assert "no seed in common" in one.missing
    assert one.miou.n == 0


def test_speed_is_compared_only_where_both_were_timed_in_turn(trained, adversarial, timing):
    def timed(record, session, blocks):
        rows = [timing(8, 16.0).model_copy(update={"blocks": blocks})]
        told = Timing(session=session, rivals=["unet", "unet+critic"], threads=8, steady=True)
        return record.model_copy(update={"inference": rows, "timing": told})

    unet = timed(trained("unet"), "one", [100.0, 110.0, 90.0])
    (one,) = compared(unet, timed(adversarial(), "one", [50.0, 55.0, 45.0]))
    assert one.speed_ratio(8) == pytest.approx((0.5, 0.5, 0.5))
    assert one.speed_ratio(1) is None
    (other,) = compared(unet, timed(adversarial(), "other", [50.0, 55.0, 45.0]))
    assert other.speed_ratio(8) is None
