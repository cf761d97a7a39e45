from __future__ import annotations

import dataclasses
import inspect

import pytest

import segbench
from segbench import Component, contract


def test_a_component_needs_a_name_a_build_and_a_summary_only():
    component = Component("tiny", lambda num_classes: None, "For tests")
    assert (component.maps, component.role) == ("image -> labels", "supervised")
    assert (component.requires, component.extra) == ((), None)


def test_a_component_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Component("tiny", lambda: None, "For tests").name = "other"


def test_every_public_name_exists_and_is_documented():
    for name in segbench.__all__:
        assert getattr(segbench, name).__doc__


def test_every_hook_is_specified_without_parameters_for_one_kind():
    specified = {name for name, value in vars(contract).items() if hasattr(value, "segbench_spec")}
    assert set(contract.HOOKS) == specified
    assert sorted(contract.HOOKS.values()) == sorted(contract.KINDS)
    assert all(inspect.signature(getattr(contract, name)).parameters == {} for name in specified)
