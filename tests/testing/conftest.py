"""What tests of conformance checks share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from segbench import Component
from segbench.registry import Offer
from segbench.testing.check import run_check

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segbench.testing.check import Check


def make_offer(kind: Any, build: Any, **component: Any) -> Offer:
    """Return a component of a plugin that is not installed."""
    return Offer(kind, "tests", "tests", "1.0", Component("given", build, "Given by a test", **component))


@pytest.fixture(autouse=True)
def usual_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what cells that other tests ran here have set: a check sees a change only from the usual settings."""
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)


@pytest.fixture
def found_by() -> Callable[..., list[str]]:
    """Runs checks on a component of a kind, and returns the names of those that find fault with it."""

    def names(checks: Sequence[Check], kind: Any, build: Any, **component: Any) -> list[str]:
        results = [run_check(check, make_offer(kind, build, **component)) for check in checks]
        return [result.check for result in results if result.outcome in ("failed", "reported")]

    return names
