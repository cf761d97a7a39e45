"""First-party components keep to the contract: a sample by default, all of them with -m slow."""

from __future__ import annotations

import pytest

from segbench.registry import load_registry
from segbench.testing import check_component, parametrize_with_checks
from segbench.testing.any_component import CHECKS as CHECKS_OF_ANY
from segbench.testing.check import FAULTS, run_check
from segbench.testing.generators import MEMORISED_SHARE, best_share_learned

FIRST_PARTY = [offer for offer in load_registry().installed if offer.distribution == "segbench"]


@parametrize_with_checks("generator", "basic/fcn")
def test_a_segmenter_passes(check):
    check()


@parametrize_with_checks("generator", "refine/unet")
def test_a_refiner_passes(check):
    check()


@parametrize_with_checks("generator", "gan/conv_colours")
def test_a_painter_of_palette_colours_passes(check):
    check()


@parametrize_with_checks("generator", "gan/joint")
def test_a_generator_of_images_with_labels_passes(check):
    check()


@parametrize_with_checks("discriminator", "gan/patchgan")
def test_a_discriminator_passes(check):
    check()


@parametrize_with_checks("loss", "losses/cross_entropy")
def test_a_supervised_loss_passes(check):
    check()


@parametrize_with_checks("loss", "gan/hinge")
def test_an_adversarial_loss_passes(check):
    check()


@parametrize_with_checks("dataset", "data/shapes")
def test_a_dataset_passes(check):
    check()


@pytest.mark.parametrize("check", [one for one in CHECKS_OF_ANY if one.name != "plugin_import_leaves_torch_alone"])
def test_every_component_says_what_it_is_and_needs(check):
    assert [offer.full_name for offer in FIRST_PARTY if run_check(check, offer).outcome in FAULTS] == []


def test_whatever_is_built_of_tensors_needs_torch():
    assert [
        one.full_name for one in FIRST_PARTY if one.kind != "dataset" and "torch" not in one.component.requires
    ] == []


@pytest.mark.slow
@pytest.mark.parametrize("offer", FIRST_PARTY, ids=lambda offer: f"{offer.kind} {offer.full_name}")
def test_every_component_passes(offer):
    faults = [result for result in check_component(offer.kind, offer.full_name) if result.outcome in FAULTS]
    assert faults == []


@pytest.mark.slow
@pytest.mark.trains
@pytest.mark.parametrize("name", ["basic/fcn", "refine/unet", "gan/conv_colours", "gan/joint"])
def test_a_generator_learns_colours_from_any_first_weights(name, training_seed, record_property):
    [offer] = [one for one in FIRST_PARTY if (one.kind, one.full_name) == ("generator", name)]
    share = best_share_learned(offer, training_seed)
    record_property("margin", share - MEMORISED_SHARE)
    assert share >= MEMORISED_SHARE


def test_every_plugin_could_be_loaded():
    assert [problem for problem in load_registry().problems if problem.distribution.startswith("segbench ")] == []
