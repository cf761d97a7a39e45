"""Offers made on the spot, and the source of a plugin that works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from segbench import Component
from segbench.registry import Offer

if TYPE_CHECKING:
    from collections.abc import Callable

# A plugin with the loss `good`.
GOOD = """
from segbench import Component, hookimpl

def build(num_classes, *, gamma: float = 2.0):
    return num_classes, gamma

@hookimpl
def segbench_losses():
    yield Component("good", build, "Works")
"""


@pytest.fixture
def offer() -> Callable[..., Offer]:
    """Make an offer of plugin `mine` in the distribution `my-dist 1.0` from a build function."""

    def make(kind: str, build: Callable[..., Any], name: str = "thing", **fields: Any) -> Offer:
        return Offer(kind, "mine", "my-dist", "1.0", Component(name, build, "A thing", **fields))

    return make
