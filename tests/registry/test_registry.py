from __future__ import annotations

import pytest

from segbench import Component
from segbench.errors import ComponentError
from segbench.registry import DisabledPlugin, Offer, PluginProblem, Registry


def offer(kind: str, full_name: str) -> Offer:
    plugin, name = full_name.split("/")
    return Offer(kind, plugin, "my-dist", "1.0", Component(name, lambda: None, "A thing"))


REGISTRY = Registry(
    (
        offer("generator", "smp/unet"),
        offer("generator", "smp/fpn"),
        offer("generator", "mine/unet"),
        offer("loss", "losses/dice"),
    ),
    (PluginProblem("gan", "gan-dist 2.0", "gan cannot be imported: ImportError: no scipy."),),
)


def refusal(kind: str, name: str, registry: Registry = REGISTRY) -> str:
    with pytest.raises(ComponentError) as caught:
        registry.find(kind, name)
    return str(caught.value)


def test_offers_are_sorted_by_full_name():
    assert [found.full_name for found in REGISTRY.offers("generator")] == ["mine/unet", "smp/fpn", "smp/unet"]


def test_a_component_is_found_by_its_full_name():
    assert REGISTRY.find("generator", "smp/unet").plugin == "smp"


def test_a_component_is_found_by_its_short_name_while_only_one_bears_it():
    assert REGISTRY.find("generator", "fpn").full_name == "smp/fpn"


def test_an_ambiguous_short_name_lists_the_full_names():
    message = refusal("generator", "unet")
    assert "ambiguous" in message
    assert "mine/unet, smp/unet" in message


def test_an_unknown_name_says_what_there_is_and_what_is_nearest():
    message = refusal("generator", "smp/unett")
    assert "unknown generator 'smp/unett'" in message
    assert "mine/unet, smp/fpn, smp/unet" in message
    assert "Did you mean 'smp/unet'?" in message


def test_a_name_of_another_kind_says_so():
    assert "'dice' is a loss, not a generator" in refusal("generator", "dice")


def test_a_name_of_a_broken_plugin_tells_its_error_and_how_to_see_it():
    message = refusal("discriminator", "gan/patchgan")
    assert "plugin 'gan' (gan-dist 2.0) is broken: gan cannot be imported: ImportError: no scipy." in message
    assert "segbench doctor" in message


def test_a_short_name_that_is_a_broken_plugins_own_tells_its_error():
    assert "generator 'gan' is not available: plugin 'gan' (gan-dist 2.0) is broken" in refusal("generator", "gan")


def test_an_unknown_short_name_names_the_broken_plugins_that_may_offer_it():
    assert "Broken plugins, which may offer it: 'gan'; see `segbench doctor`" in refusal("discriminator", "patchgan")


def test_without_broken_plugins_none_is_mentioned():
    assert "roken" not in refusal("loss", "focal", Registry((offer("loss", "losses/dice"),)))


def test_a_name_of_a_disabled_plugin_says_by_what():
    off = Registry(REGISTRY.installed, disabled=(DisabledPlugin("gan", "gan-dist 2.0", "--disable"),))
    assert refusal("discriminator", "gan/patchgan", off) == (
        "discriminator 'gan/patchgan' is not available: plugin 'gan' (gan-dist 2.0) is disabled by --disable; "
        "remove 'gan' from it."
    )
    assert "Disabled plugins, which may offer it: 'gan' (by --disable)" in refusal("discriminator", "patchgan", off)


def test_a_name_of_a_plugin_that_is_not_there_tells_of_files():
    message = refusal("generator", "minee/net", Registry(REGISTRY.installed))
    assert "No plugin is called 'minee'; a single file that offers it is given with --plugin FILE." in message
    assert "--plugin" not in refusal("generator", "mine/net", Registry(REGISTRY.installed))


def test_a_broken_plugin_is_to_blame_for_what_it_does_not_offer():
    with pytest.raises(ComponentError) as caught:
        REGISTRY.find("discriminator", "gan/patchgan")
    assert caught.value.plugin == "gan"
    with pytest.raises(ComponentError) as caught:
        REGISTRY.find("generator", "smp/unett")
    assert caught.value.plugin is None
