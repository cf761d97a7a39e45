from __future__ import annotations

import re

import pytest

from segbench import Component
from segbench.contract import KINDS, ROLES
from segbench.registry import Offer
from segbench.testing import any_component
from segbench.testing.catalogue import checks_for

OFFERS = [
    Offer(kind, "mine", "my-dist", "1.0", Component("net", lambda: None, "A net", role=role))
    for kind in KINDS
    for role in (ROLES if kind == "loss" else ("supervised",))
]


@pytest.fixture(params=OFFERS, ids=lambda offer: f"{offer.kind}, {offer.component.role}")
def checks(request):
    return checks_for(request.param)


def test_every_kind_of_component_has_checks_of_its_own_beside_those_of_all(checks):
    assert checks[: len(any_component.CHECKS)] == any_component.CHECKS
    assert len(checks) > len(any_component.CHECKS)


def test_names_of_checks_are_facts_written_as_python_names_and_never_twice(checks):
    names = [check.name for check in checks]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]+", name) for name in names)


def test_every_check_has_a_cure_and_says_in_its_docstring_what_holds(checks):
    for check in checks:
        assert check.cure.endswith("."), check.name
        assert (check.run.__doc__ or "").strip().endswith("."), check.name
