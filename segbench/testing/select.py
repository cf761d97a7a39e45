"""Which component is meant, and which of its checks are run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.contracts import KINDS
from segbench.errors import ComponentError, nearest
from segbench.registry import load_registry

from .check import run_check

if TYPE_CHECKING:
    from segbench.contracts import Kind
    from segbench.registry import Offer

    from .check import Check, Result


def find_offer(kind: Kind, name: str) -> Offer:
    """Return the installed component of this full or short name; raise ComponentError if there is none."""
    if kind not in KINDS:
        raise ComponentError(f"unknown kind {kind!r}; the kinds are {', '.join(KINDS)}.{nearest(kind, list(KINDS))}")
    return load_registry().find(kind, name)


def selected_checks(offer: Offer, *, slow: bool) -> list[Check]:
    """Return the checks of a component in their order, the slow ones only if wanted."""
    from .catalogue import checks_for

    return [check for check in checks_for(offer) if slow or not check.slow]


def check_component(kind: Kind, name: str, *, slow: bool = False) -> list[Result]:
    """Run every check of an installed component in this process and return what came of each.

    Slow checks are left out unless `slow`. Raises ComponentError for a kind or a component that there is not.
    """
    offer = find_offer(kind, name)
    return [run_check(check, offer) for check in selected_checks(offer, slow=slow)]
