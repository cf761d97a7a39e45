from __future__ import annotations

from dataclasses import replace

import pytest

from .conftest import CLASSES, IMAGES, SEEDS, counted


def test_a_gain_in_the_band_alone_is_found_in_the_band(store, trained, adversarial, compared):
    for seed in SEEDS:
        store(trained(seed=seed), counted(70, band_wrong=range(seed, IMAGES), seed=seed))
        store(adversarial(seed=seed), counted(70, seed=seed))
    parts = {part.name: part for part in compared().gains.parts}
    assert parts["band"].adds.estimate == pytest.approx(compared().claim.difference.estimate)
    assert parts["interior"].adds.estimate == 0
    assert parts["band"].pixels == pytest.approx(40 / 200)
    assert parts["interior"].within.estimate == 0


def test_a_gain_on_the_rare_class_is_found_there(store, trained, adversarial, compared):
    for seed in SEEDS:
        store(trained(seed=seed), counted(70, rare_right=2, seed=seed))
        store(adversarial(seed=seed), counted(70, rare_right=8, seed=seed))
    found = compared()
    parts = {part.name: part for part in found.gains.parts}
    assert found.gains.rare == ("pole",)
    assert parts["rare"].within.estimate == pytest.approx(0.6)
    assert parts["rare"].adds.estimate == pytest.approx(0.2)
    assert parts["rare"].adds.estimate + parts["frequent"].adds.estimate == pytest.approx(
        found.claim.difference.estimate
    )
    assert [one.name for one in found.gains.classes] == CLASSES
    assert found.gains.classes[2].difference.estimate == pytest.approx(0.6)


def test_a_gain_in_one_image_is_named_with_its_size(store, trained, adversarial, compared):
    for seed in SEEDS:
        store(trained(seed=seed), counted(70, band_wrong=[4], seed=seed))
        store(adversarial(seed=seed), counted(70, seed=seed))
    images = compared().gains.images
    assert [gain.image for gain in images.gained] == ["image 04"]
    assert (images.better, images.worse, images.images, images.lost) == (1, 0, IMAGES, ())


def test_parts_that_hold_nothing_or_were_not_counted_have_a_reason(store, trained, adversarial, compared):
    for record, right in ((trained(), 70), (adversarial(), 76)):
        store(record, replace(counted(right), band=None))
    found = compared()
    assert [part.name for part in found.gains.parts] == ["rare", "frequent"]
    assert "part 'band' was not counted" in found.gains.missing["band"]
    assert "hold anything to be scored" in found.gains.missing["small"]
