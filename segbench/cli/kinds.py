"""How a kind of component is written on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.contracts import KINDS
from segbench.errors import ComponentError, nearest

if TYPE_CHECKING:
    from segbench.contracts import Kind

PLURALS: dict[Kind, str] = {
    "generator": "generators",
    "discriminator": "discriminators",
    "loss": "losses",
    "dataset": "datasets",
}


def parse_kind(text: str) -> Kind:
    """Return the kind written in singular or plural; ComponentError names the kinds."""
    for kind in KINDS:
        if text.lower() in (kind, PLURALS[kind]):
            return kind
    known = [*KINDS, *PLURALS.values()]
    raise ComponentError(f"unknown kind {text!r}; the kinds are {', '.join(KINDS)}.{nearest(text.lower(), known)}")
