from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segbench.report import records
from segbench.report.comparison.compare import compare_methods
from segbench.stats.scores import miou
from segbench.store.counts import read_counts

from .conftest import IMAGES, QUICK, SEEDS, counted


def test_the_difference_is_that_of_the_scores_seed_by_seed(two_methods, compared):
    found = compared()
    expected = {
        seed: miou(counted(76, seed=seed + 3).confusion.sum(axis=0))
        - miou(counted(70, seed=seed).confusion.sum(axis=0))
        for seed in SEEDS
    }
    assert found.claim.difference.by_seed == pytest.approx(expected)
    assert found.claim.difference.estimate == pytest.approx(np.mean([*expected.values()]))
    assert found.summaries[0].mean - found.summaries[1].mean == pytest.approx(found.claim.difference.estimate)
    assert found.claim.judgement.verdict == "better"
    assert found.seeds == (0, 1, 2)


def test_the_same_records_give_the_same_text(two_methods, text):
    first, second = text(), text()
    assert first == second
    assert max(map(len, first.splitlines()[:-1])) <= 100
    told = " ".join(first.split())
    assert "unet is the twin of unet+critic: the same without the claimed part. Both were trained for equal" in told
    assert "Scores: miou/union@1" in told
    assert "400 resamples" in told


def test_only_the_counts_of_the_methods_that_are_compared_are_opened(
    two_methods, store, trained, compared, monkeypatch
):
    opened = []
    monkeypatch.setattr(records, "read_counts", lambda folder: opened.append(folder) or read_counts(folder))
    for seed in SEEDS:
        store(trained("other", seed), counted(60, seed=seed))
    compared()
    assert len(opened) == 2 * len(SEEDS)


def test_one_against_the_other_is_the_other_way_round_with_the_opposite_sign(two_methods, compared):
    there, back = compared(), compared("unet", "unet+critic")
    assert back.claim.difference.estimate == pytest.approx(-there.claim.difference.estimate)
    assert back.claim.judgement.verdict == "worse"
    assert back.relation.startswith("unet is the twin of unet+critic")


def test_one_seed_is_never_decided_and_says_so(store, trained, adversarial, compared, text):
    store(trained(), counted(50))
    store(adversarial(), counted(80))
    found = compared()
    assert found.claim.judgement.verdict == "undecided"
    said = " ".join(text().split())
    assert "there is only one seed in common" in said
    assert "covers the images only" in said


def test_methods_that_are_equal_with_every_seed_are_undecided(store, trained, adversarial, compared):
    for seed in SEEDS:
        store(trained(seed=seed), counted(70, seed=seed))
        store(adversarial(seed=seed), counted(70, seed=seed))
    found = compared()
    assert (found.claim.judgement.verdict, found.claim.judgement.obstacle) == ("undecided", "no variance")
    assert found.gains.images.gained == found.gains.images.lost == ()


def test_images_of_a_sequence_are_drawn_together_and_it_is_said(store, trained, adversarial, compared, text):
    sequences = tuple(f"sequence {i % 4}" for i in range(IMAGES))
    for seed in SEEDS:
        store(trained(seed=seed), replace(counted(70, seed=seed), clusters=sequences))
        store(adversarial(seed=seed), replace(counted(76, seed=seed + 3), clusters=sequences))
    assert compared().clusters == 4
    said = " ".join(text().split())
    assert "12 images in 4 groups (such as sequences) that are drawn as a whole" in said


def test_label_maps_made_elsewhere_are_compared_over_images_and_have_no_cost(two_methods, store, scored, compared):
    store(scored("theirs"), counted(74))
    found = compared(other="theirs")
    assert found.claim.judgement.verdict == "undecided"
    assert (found.claim.terms, found.cost.seconds_ratio, found.cost.timed) == ("unknown", None, False)
    assert any("label maps made elsewhere" in note for note in found.notes)


def test_a_comparison_of_the_twin_refers_to_the_placebos(two_methods, store, adversarial, compared):
    store(adversarial("unet+critic~noise", recipe={"placebo_of": "unet+critic"}), counted(72))
    assert compared("unet", "unet+critic").notes[-1].endswith("see `segbench compare unet+critic unet`")


def test_among_many_records_only_those_that_have_to_do_with_the_two_are_read(
    two_methods, store, trained, adversarial, compared, refusal, monkeypatch
):
    for seed in SEEDS:
        placebo = adversarial("unet+critic~frozen", seed=seed, recipe={"placebo_of": "unet+critic"})
        store(placebo, counted(72, seed=seed + 6))
        store(trained("fpn", seed=seed), counted(60, seed=seed))
    everything = compared()
    monkeypatch.setattr("segbench.report.comparison.compare.MOST_CELLS", 11)
    few = compared()
    assert (everything.pairs, few.pairs, few.among_all) == (6, None, None)
    assert [found.judgement for found in few.contrasts] == [found.judgement for found in everything.contrasts]
    assert {row.method for row in few.ranking.group.rows} == {"unet", "unet+critic", "unet+critic~frozen"}
    assert "fpn" in refusal(other="fpm")


def test_methods_that_ran_on_two_machines_are_compared_and_it_says_so(store, trained, adversarial, compared, text):
    cpu = {"device": "cpu", "device_name": "AMD EPYC", "threads": 2, "torch": "2.15.0"}
    for seed in SEEDS:
        store(trained(seed=seed), counted(70, seed=seed))
        store(adversarial(seed=seed, environment=cpu), counted(76, seed=seed + 3))
    found = compared()
    assert found.claim.judgement.verdict == "better"
    assert (found.cost.seconds_ratio, found.cost.speeds) == (None, ())
    told = " ".join(text().split())
    assert (
        "Numerics differ: unet+critic ran on cpu: AMD EPYC · 2 threads, unet on cuda: NVIDIA H200 · 8 threads." in told
    )
    assert "Inference: they ran under different conditions, so there is no ratio." in told


def test_one_recipe_that_ran_on_two_machines_is_compared_by_its_folders(trained, store, tmp_path):
    cpu = {"device": "cpu", "device_name": "AMD EPYC", "threads": 2, "torch": "2.15.0"}
    for seed in SEEDS:
        store(trained(seed=seed), counted(70, seed=seed))
    here = (tmp_path / "results").rename(tmp_path / "here")
    for seed in SEEDS:
        store(trained(seed=seed, environment=cpu), counted(76, seed=seed + 3))
    there = (tmp_path / "results").rename(tmp_path / "there")
    (found,) = compare_methods([], (f"unet={there}", f"unet={here}"), settings=QUICK).found
    assert found.claim.judgement.verdict == "better"
    assert found.names == ("unet", f"unet={here}")
    assert found.relation.endswith("are one recipe.")
    assert any(note.startswith("Numerics differ") for note in found.notes)
