"""Check a component as soon as a hook yields it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from segbench.component import Component
from segbench.contracts import MAPS, ROLES
from segbench.errors import PluginError, nearest

from .signature import read_signature

if TYPE_CHECKING:
    from segbench.contracts import Kind


def check_component(hook: str, kind: Kind, component: Any) -> None:
    """Raise PluginError, which names the hook and the component, for what breaks the contract."""
    if not isinstance(component, Component):
        raise PluginError(f"{hook} yields {component!r}, which is not a Component.")
    if not isinstance(component.name, str) or not re.fullmatch(r"[^\s/]+", component.name):
        raise PluginError(f"{hook} yields the name {component.name!r}; a name is a text without spaces and slashes.")
    where = f"{hook}, {component.name!r}:"
    if not isinstance(component.summary, str):
        raise PluginError(f"{where} summary is {component.summary!r}; it must be a text.")
    _check_choice(f"{where} maps", component.maps, MAPS)
    _check_choice(f"{where} role", component.role, ROLES)
    _check_requires(where, component.requires)
    _check_reasons(where, component.known_failures)
    if not callable(component.build):
        raise PluginError(f"{where} build is {component.build!r}, which cannot be called.")
    try:
        signature = read_signature(kind, component.build)
    except PluginError as error:
        raise PluginError(f"{where} {error}.") from error.__cause__
    _check_examples(where, component.example_options, [option.name for option in signature.options])


def _check_choice(what: str, given: Any, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        choices = ", ".join(repr(choice) for choice in allowed)
        raise PluginError(f"{what} is {given!r}; allowed are {choices}.{nearest(str(given), list(allowed))}")


def _check_requires(where: str, requires: Any) -> None:
    if isinstance(requires, str):
        raise PluginError(f"{where} requires must be a tuple of distributions; write ({requires!r},).")
    if not isinstance(requires, tuple | list) or not all(isinstance(name, str) for name in requires):
        raise PluginError(f"{where} requires is {requires!r}; it must be a tuple of the names of distributions.")


def _check_examples(where: str, examples: Any, options: list[str]) -> None:
    _check_named(f"{where} example_options", examples, "a value by the name of each option")
    for name in examples:
        if name not in options:
            known = f"its options are {', '.join(options)}" if options else "it has no options"
            raise PluginError(f"{where} example_options holds {name!r}, but {known}.{nearest(name, options)}")


def _check_reasons(where: str, failures: Any) -> None:
    _check_named(f"{where} known_failures", failures, "a reason by the name of each check")
    for name, reason in failures.items():
        if not isinstance(reason, str) or not reason.strip():
            raise PluginError(f"{where} known_failures gives {reason!r} for {name!r}; say why it cannot be passed.")


def _check_named(what: str, given: Any, wanted: str) -> None:
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise PluginError(f"{what} is {given!r}; it must be {wanted}.")
