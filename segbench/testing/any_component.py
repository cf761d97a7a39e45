"""Checks of every component, whatever its kind."""

from __future__ import annotations

import functools
import inspect
import sys
from typing import TYPE_CHECKING, Any

from segbench.errors import ComponentError
from segbench.registry.options import coerce_options, options_of
from segbench.registry.requirements import check_requirements

from .check import CheckFailed, CheckSkipped, check
from .plugin_import import importers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from segbench.registry import Offer

    from .check import Check

# What must not be imported before a component is built: it would slow every command down.
HEAVY = "torch"


@check(
    "Write one line in Component(summary=...) that says what this is, such as 'U-Net (Ronneberger 2015)'.", builds=False
)
def summary_is_one_line(offer: Offer) -> None:
    """The summary has some text and no line break."""
    summary = offer.component.summary
    if not isinstance(summary, str) or not summary.strip() or "\n" in summary:
        raise CheckFailed(f"the summary is {summary!r}")


@check(
    "Install them, as the message says; `requires` names distributions as pip does, not modules. Name the `extra` that "
    "brings them if your package does not depend on them.",
    builds=False,
)
def requirements_are_installed(offer: Offer) -> None:
    """All that `requires` names is installed, unless the component names the extra that brings it."""
    try:
        check_requirements(offer)
    except ComponentError as error:
        raise (CheckSkipped if offer.component.extra else CheckFailed)(str(error)) from error


@check(
    "Import torch, and your modules that import it, inside `build`; in annotations, import it under "
    "`if TYPE_CHECKING:` with `from __future__ import annotations` on top.",
    builds=False,
)
def plugin_import_leaves_torch_alone(offer: Offer) -> None:
    """Neither importing the plugin nor calling its hooks imports torch: `segbench list` would take seconds."""
    importers = importers_of(HEAVY, offer)
    if importers:
        raise CheckFailed(f"importing the plugin imports {HEAVY}: {' -> '.join((*importers, HEAVY))}")


@check(
    "Say what each option means, with its name in `backticks`, in the docstring of `build`, of its module or of the "
    "plugin's package: `segbench show` prints it.",
    builds=False,
)
def options_are_documented(offer: Offer) -> None:
    """Every option's name stands in backticks in a docstring that its users get to read."""
    texts = list(_docstrings(offer.component.build))
    missing = [option.name for option in options_of(offer) if not any(f"`{option.name}`" in text for text in texts)]
    if missing:
        raise CheckFailed(f"not documented: {', '.join(missing)}")


@check(
    "Give every option that has no default a value in Component(example_options=...), and let defaults and examples "
    "be of the types that `build` states.",
    builds=False,
)
def options_have_valid_values(offer: Offer) -> None:
    """The defaults and `example_options` are what the options' types allow."""
    coerce_options(offer, offer.component.example_options)


@check("Use the names of checks as keys of known_failures, and say why each cannot be passed.", builds=False)
def known_failures_are_checks_with_a_reason(offer: Offer) -> None:
    """Every key of `known_failures` is a check of this kind of component, and its reason is not empty."""
    from .catalogue import checks_for

    names = [one.name for one in checks_for(offer)]
    unknown = [name for name in offer.component.known_failures if name not in names]
    if unknown:
        raise CheckFailed(f"known_failures names no check: {', '.join(unknown)}. The checks are {', '.join(names)}")
    bare = [name for name, reason in offer.component.known_failures.items() if not str(reason).strip()]
    if bare:
        raise CheckFailed(f"known_failures gives no reason for {', '.join(bare)}")


CHECKS: tuple[Check, ...] = (
    summary_is_one_line,
    known_failures_are_checks_with_a_reason,
    options_are_documented,
    options_have_valid_values,
    requirements_are_installed,
    plugin_import_leaves_torch_alone,
)


def _docstrings(build: Callable[..., Any]) -> Iterator[str]:
    """Yield the docstrings of `build`, of its module and of the packages that this lies in."""
    while isinstance(build, functools.partial):
        build = build.func
    yield inspect.getdoc(build) or ""
    module = getattr(build, "__module__", None) or ""
    while module:
        yield getattr(sys.modules.get(module), "__doc__", None) or ""
        module = module.rpartition(".")[0]
