"""First-party components keep to the contract: all losses and a sample of the others, the rest with -m slow."""

from __future__ import annotations

import pytest

from segbench.registry import load_registry
from segbench.testing import check_component
from segbench.testing.any_component import CHECKS as CHECKS_OF_ANY
from segbench.testing.any_component import plugin_import_leaves_torch_alone
from segbench.testing.catalogue import checks_for
from segbench.testing.check import FAULTS, run_check
from segbench.testing.generators import MEMORISED_SHARE, best_share_learned

FIRST_PARTY = [offer for offer in load_registry().installed if offer.distribution == "segbench"]
ONE_A_PLUGIN = {offer.plugin: offer for offer in FIRST_PARTY}

# A segmenter, a refiner, a painter of palette colours, a generator of images with labels, and so on.
SAMPLE = {
    ("generator", "basic/fcn"),
    ("generator", "refine/unet"),
    ("generator", "gan/conv_colours"),
    ("generator", "gan/joint"),
    ("discriminator", "gan/patchgan"),
    ("discriminator", "gan/multiscale"),
    ("dataset", "data/shapes"),
}
CHECKED = [offer for offer in FIRST_PARTY if offer.kind == "loss" or (offer.kind, offer.full_name) in SAMPLE]


def named(offer):
    return f"{offer.kind} {offer.full_name}"


@pytest.mark.parametrize("offer", CHECKED, ids=named)
def test_a_component_passes(offer):
    checks = [check for check in checks_for(offer) if check not in CHECKS_OF_ANY and not check.slow]
    results = [run_check(check, offer) for check in checks]
    assert [result for result in results if result.outcome in FAULTS] == []
    if offer.kind == "loss" and offer.component.role != "adversarial":
        assert "skipped" not in {result.outcome for result in results}


@pytest.mark.parametrize(
    "check", [one for one in CHECKS_OF_ANY if one is not plugin_import_leaves_torch_alone], ids=lambda check: check.name
)
def test_every_component_says_what_it_is_and_needs(check):
    assert [named(offer) for offer in FIRST_PARTY if run_check(check, offer).outcome in FAULTS] == []


@pytest.mark.parametrize("plugin", ONE_A_PLUGIN)
def test_listing_a_plugin_does_not_import_torch(plugin):
    assert run_check(plugin_import_leaves_torch_alone, ONE_A_PLUGIN[plugin]).outcome == "passed"


def test_whatever_is_built_of_tensors_needs_torch():
    assert [named(one) for one in FIRST_PARTY if one.kind != "dataset" and "torch" not in one.component.requires] == []


@pytest.mark.slow
@pytest.mark.parametrize("offer", FIRST_PARTY, ids=named)
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
