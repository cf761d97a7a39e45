from __future__ import annotations

import dataclasses

import pytest

import segbench
from segbench import Component


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
