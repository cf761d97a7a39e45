"""What the signature of a component's `build` says: the names it asks for and the options it has."""

from __future__ import annotations

import functools
import inspect
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segbench.contracts import RESERVED_OPTIONS, VOCABULARY
from segbench.errors import PluginError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from segbench.contracts import Kind


@dataclass(frozen=True)
class Option:
    """One option of a component; `type` is its type as the plugin wrote it, `default` is None where it is required."""

    name: str
    type: str
    default: Any
    required: bool
    annotation: Any


@dataclass(frozen=True)
class BuildSignature:
    """The names that `build` asks for, those of them it cannot do without, and its options."""

    asked: tuple[str, ...]
    needed: tuple[str, ...]
    options: tuple[Option, ...]


def read_signature(kind: Kind, build: Callable[..., Any]) -> BuildSignature:
    """Read and check the signature of `build`; PluginError says what in it breaks the contract."""
    parameters = _signature(build).parameters.values()
    for parameter in parameters:
        _check_form(parameter)
    positional = [parameter for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    needed = [parameter.name for parameter in positional if parameter.default is parameter.empty]
    for name in needed:
        _check_asked(kind, name)
    options = [_option(kind, parameter, build) for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    return BuildSignature(
        tuple(parameter.name for parameter in positional if parameter.name in VOCABULARY[kind]),
        tuple(needed),
        tuple(options),
    )


def _signature(build: Callable[..., Any]) -> inspect.Signature:
    try:
        if sys.version_info >= (3, 14):
            import annotationlib

            # Evaluating every annotation would fail on types imported under TYPE_CHECKING only.
            return inspect.signature(build, annotation_format=annotationlib.Format.STRING)
        return inspect.signature(build)
    except (TypeError, ValueError) as error:
        raise PluginError(f"build has no readable signature: {error}") from error


def _check_form(parameter: inspect.Parameter) -> None:
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise PluginError(
            f"build has the parameter '{parameter}', but is called by name: write the names of what it asks for, "
            "then `*`, then its options one by one"
        )


def _check_asked(kind: Kind, name: str) -> None:
    vocabulary = VOCABULARY[kind]
    if name not in vocabulary:
        raise PluginError(
            f"build asks for {name!r}; a {kind} may ask for {', '.join(vocabulary)}. Options are keyword-only "
            f"parameters with a type.{nearest(name, list(vocabulary))}"
        )


def _option(kind: Kind, parameter: inspect.Parameter, build: Callable[..., Any]) -> Option:
    name = parameter.name
    if name in VOCABULARY[kind]:
        raise PluginError(f"option {name!r} has a name that build may ask for: put it before the `*`")
    if name in RESERVED_OPTIONS:
        reserved = ", ".join(sorted(RESERVED_OPTIONS))
        raise PluginError(f"option {name!r} has a reserved name (reserved are {reserved}): rename it")
    if parameter.annotation is parameter.empty:
        raise PluginError(f"option {name!r} has no type: write `{name}: int` or the like")
    required = parameter.default is parameter.empty
    return Option(
        name,
        parameter.annotation
        if isinstance(parameter.annotation, str)
        else inspect.formatannotation(parameter.annotation),
        None if required else parameter.default,
        required,
        _evaluate(name, parameter.annotation, build),
    )


def _evaluate(name: str, annotation: Any, build: Callable[..., Any]) -> Any:
    evaluated = annotation
    try:
        while isinstance(evaluated, str):
            evaluated = eval(evaluated, _namespace(build))
    except Exception as error:
        raise PluginError(
            f"the type {annotation!r} of option {name!r} cannot be evaluated ({error}): what it names must be imported "
            "at the top of the module, not under TYPE_CHECKING"
        ) from error
    return evaluated


def _namespace(build: Callable[..., Any]) -> dict[str, Any]:
    while isinstance(build, functools.partial):
        build = build.func
    build = inspect.unwrap(build)
    return getattr(build, "__globals__", None) or vars(sys.modules[build.__module__])
