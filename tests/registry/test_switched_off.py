from __future__ import annotations

import pytest

from segbench.errors import PluginError
from segbench.registry import load_registry
from segbench.registry.switched_off import BY_OPTION, VARIABLE, check_known, switch_off, switched_off

GOOD = """
from segbench import Component, hookimpl

def build(num_classes): ...

@hookimpl
def segbench_losses():
    yield Component("good", build, "Works")
"""


@pytest.fixture(autouse=True)
def own_variables(monkeypatch):
    for variable in (VARIABLE, BY_OPTION):
        monkeypatch.setenv(variable, "")


def test_a_plugin_that_is_switched_off_is_not_imported(install_plugin, monkeypatch, tmp_path):
    install_plugin("my-dist", {"mine": "mine"}, {"mine.py": f"open({str(tmp_path / 'ran')!r}, 'w')\n{GOOD}"})
    install_plugin("other-dist", {"other": "other"}, {"other.py": GOOD})
    monkeypatch.setenv(VARIABLE, " mine , ")
    registry = load_registry()
    assert not (tmp_path / "ran").exists()
    assert [str(one) for one in registry.switched_off] == [
        "plugin 'mine' (my-dist 1.0) is switched off by SEGBENCH_DISABLED_PLUGINS"
    ]
    assert registry.problems == ()
    assert registry.find("loss", "other/good")


def test_a_name_claimed_twice_can_be_switched_off(install_plugin, monkeypatch):
    install_plugin("one-dist", {"same": "one"}, {"one.py": GOOD})
    install_plugin("two-dist", {"same": "two"}, {"two.py": GOOD})
    monkeypatch.setenv(VARIABLE, "same")
    [off] = load_registry().switched_off
    assert sorted(off.distribution.split(" and ")) == ["one-dist 1.0", "two-dist 1.0"]


def test_the_option_adds_to_the_variable_and_is_told_apart(monkeypatch):
    monkeypatch.setenv(VARIABLE, "one,two")
    switch_off(["three", "two"])
    assert switched_off() == {"one": VARIABLE, "two": "--disable", "three": "--disable"}


def test_an_unknown_plugin_is_refused_with_the_nearest_name():
    check_known(["losses"], ["gan", "losses"])
    with pytest.raises(PluginError) as caught:
        check_known(["losses", "lossses"], ["losses", "gan"])
    assert str(caught.value) == (
        "--disable lossses: there is no plugin of that name. There is: gan, losses. Did you mean 'losses'?"
    )
