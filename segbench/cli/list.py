"""`segbench list`: what the installed plugins offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .completion import complete_kind
from .options import PLURALS, Json, parse_kind
from .output import columns, print_content, say

if TYPE_CHECKING:
    from segbench.contract import Kind
    from segbench.registry import Offer


def list_components(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="generators, discriminators, losses or datasets; all if left out.", autocompletion=complete_kind
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List the components that plugins offer; on stderr, what is wrong with plugins and which are disabled."""
    from segbench.contract import KINDS
    from segbench.registry import load_registry

    kinds = KINDS if kind is None else (parse_kind(kind),)
    registry = load_registry()
    offers = {kind: registry.offers(kind) for kind in kinds}
    described = [describe(offer) for found in offers.values() for offer in found]
    print_content({"components": described}, json, lambda _: _as_text(offers))
    for remark in (*registry.problems, *registry.notices, *registry.disabled):
        say(remark, err=True)


def describe(offer: Offer) -> dict[str, Any]:
    """Return what is known of a component without building it, as JSON."""
    component = offer.component
    return {
        "kind": offer.kind,
        "name": offer.full_name,
        "summary": component.summary,
        "plugin": offer.plugin,
        "distribution": offer.distribution,
        "version": offer.version,
        "file": None if offer.file is None else str(offer.file),
        "maps": component.maps if offer.kind == "generator" else None,
        "role": component.role if offer.kind == "loss" else None,
        "requires": [*component.requires],
        "extra": component.extra,
    }


def _as_text(offers: dict[Kind, list[Offer]]) -> str:
    header = ("KIND", "NAME", "FROM", "SUMMARY")
    rows = [
        (offer.kind, offer.full_name, f"{offer.distribution} {offer.version}", offer.component.summary)
        for found in offers.values()
        for offer in found
    ]
    none = [f"no {PLURALS[kind]} installed" for kind, found in offers.items() if not found]
    return "\n".join([*([columns([header, *rows])] if rows else []), *none])
