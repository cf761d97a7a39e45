"""The options of a component: read from the signature of its `build`, coerced to their types, passed to it."""

from __future__ import annotations

import functools
import inspect
import json
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated, Any, get_origin

from segbench.contract import RESERVED_OPTIONS, VOCABULARY
from segbench.errors import (
    ComponentError,
    OptionError,
    PluginError,
    SegbenchError,
    alternatives,
    how_to_write,
    quoted_choices,
    unknown_value,
)
from segbench.shown import quote

from .extras import install_command
from .plugin_files import import_hint
from .process_state import restore_after_build

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import TypeAdapter

    from segbench.contract import Kind

    from .registry import Offer


@dataclass(frozen=True)
class Option:
    """One option of a component.

    `type` is its type as the plugin wrote it, without what an `Annotated` adds; `annotation` is the same evaluated;
    `default` is None if it is required.
    """

    name: str
    type: str
    default: Any
    required: bool
    annotation: Any


@dataclass(frozen=True)
class BuildSignature:
    """The names that `build` asks for, those `needed` because they have no default, and its options."""

    asked: tuple[str, ...]
    needed: tuple[str, ...]
    options: tuple[Option, ...]


def read_signature(kind: Kind, build: Callable[..., Any]) -> BuildSignature:
    """Read and check the signature of `build`; PluginError says what in it breaks the contract."""
    parameters = _inspect_signature(build).parameters.values()
    for parameter in parameters:
        _check_form(parameter)
    positional = [parameter for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    needed = [parameter.name for parameter in positional if parameter.default is parameter.empty]
    for name in needed:
        _check_asked(kind, name)
    options = [
        _read_option(kind, parameter, build) for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY
    ]
    return BuildSignature(
        tuple(parameter.name for parameter in positional if parameter.name in VOCABULARY[kind]),
        tuple(needed),
        tuple(options),
    )


def _inspect_signature(build: Callable[..., Any]) -> inspect.Signature:
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
            f"build asks for {name!r}, which a {kind} does not get.{alternatives(name, vocabulary)} Options are "
            "keyword-only parameters with a type."
        )


def _read_option(kind: Kind, parameter: inspect.Parameter, build: Callable[..., Any]) -> Option:
    name = parameter.name
    if name in VOCABULARY[kind]:
        raise PluginError(f"option {name!r} has a name that build may ask for: put it before the `*`")
    if name in RESERVED_OPTIONS:
        reserved = ", ".join(sorted(RESERVED_OPTIONS))
        raise PluginError(f"option {name!r} has a reserved name (reserved are {reserved}): rename it")
    if parameter.annotation is parameter.empty:
        raise PluginError(f"option {name!r} has no type: write `{name}: int` or the like")
    required = parameter.default is parameter.empty
    written, evaluated = parameter.annotation, _evaluate(name, parameter.annotation, build)
    if get_origin(evaluated) is Annotated:
        written = evaluated.__origin__
    return Option(
        name,
        type=written if isinstance(written, str) else inspect.formatannotation(written),
        default=None if required else parameter.default,
        required=required,
        annotation=evaluated,
    )


def _evaluate(name: str, annotation: Any, build: Callable[..., Any]) -> Any:
    evaluated = annotation
    try:
        while isinstance(evaluated, str):
            evaluated = eval(evaluated, _find_namespace(build))
    except Exception as error:
        raise PluginError(
            f"the type {annotation!r} of option {name!r} cannot be evaluated ({error}): what it names must be imported "
            "at the top of the module, not under TYPE_CHECKING"
        ) from error
    return evaluated


def unwrap(build: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function or class behind partial functions and decorators."""
    while isinstance(build, functools.partial):
        build = build.func
    function: Callable[..., Any] = inspect.unwrap(build)
    return function


def read_docstrings(build: Callable[..., Any]) -> list[str]:
    """Return the docstrings of `build`, of its module and of the packages around it, empty ones included."""
    build = unwrap(build)
    texts = [inspect.getdoc(build) or ""]
    module = getattr(build, "__module__", None) or ""
    while module:
        texts.append(inspect.getdoc(sys.modules.get(module)) or "")
        module = module.rpartition(".")[0]
    return texts


def _find_namespace(build: Callable[..., Any]) -> dict[str, Any]:
    build = unwrap(build)
    return getattr(build, "__globals__", None) or vars(sys.modules[build.__module__])


# Options given in a benchmark file.


def coerce_options(offer: Offer, given: Mapping[str, Any], beside: Sequence[str] = ()) -> dict[str, Any]:
    """Return all options as JSON-able values: the given ones coerced to their types, the others by default.

    Paths become text, tuples lists, sets sorted lists, so that equal options always look the same. `beside` are names
    that may be written beside options and are not among the given ones. Raises OptionError for an option that is
    unknown, missing or of a wrong type, and PluginError where the plugin's own default or type is not valid.
    """
    _check_known(offer, given, beside)
    return {name: _to_json(offer, name, adapter, value) for name, (adapter, value) in _coerce_all(offer, given).items()}


def takes_option(offer: Offer, name: str, value: Any) -> bool:
    """Tell whether a component has an option of this name, and one that takes the value."""
    option = next((option for option in offer.signature.options if option.name == name), None)
    if option is None:
        return False
    try:
        _coerce(offer, option, make_adapter(offer, option), {name: value})
    except OptionError:
        return False
    return True


def _coerce_all(offer: Offer, given: Mapping[str, Any]) -> dict[str, tuple[TypeAdapter[Any], Any]]:
    """Return each option's value in its type, with the adapter that knows the type."""
    coerced = {}
    for option in offer.signature.options:
        if option.required and option.name not in given:
            raise OptionError(
                f"{_label(offer, option.name)} is missing; it is required and of type {option.type}.",
                option=option.name,
            )
        adapter = make_adapter(offer, option)
        coerced[option.name] = (adapter, _coerce(offer, option, adapter, given))
    return coerced


def _check_known(offer: Offer, given: Mapping[str, Any], beside: Sequence[str] = ()) -> None:
    options = [option.name for option in offer.signature.options]
    known = [*options, *beside]
    for name in given:
        if name not in options:
            unknown = f"{offer.kind} {offer.full_name} has no option {quote(name)}.{alternatives(name, known)}"
            raise OptionError(unknown, option=name).among(known)


def _label(offer: Offer, name: str) -> str:
    return f"option {name!r} of {offer.kind} {offer.full_name}"


def make_adapter(offer: Offer, option: Option) -> TypeAdapter[Any]:
    """Return what knows the type of an option; PluginError for a type that no benchmark file can hold."""
    from pydantic import PydanticUserError, TypeAdapter

    try:
        return TypeAdapter(option.annotation)
    except PydanticUserError as error:
        raise PluginError(
            f"{_label(offer, option.name)} has the type {option.type}, which cannot be written in a benchmark file."
        ) from error


def _coerce(offer: Offer, option: Option, adapter: TypeAdapter[Any], given: Mapping[str, Any]) -> Any:
    from pydantic import ValidationError

    by_default = option.name not in given
    value = option.default if by_default else given[option.name]
    try:
        coerced = adapter.validate_python(value)
    except ValidationError as error:
        found = error.errors()[0]
        if found["type"] == "value_error":  # of a check that the plugin has put into the type, as the next
            raise OptionError(f"{_label(offer, option.name)}: {found['ctx']['error']}", option=option.name) from error
        if found["type"] == "literal_error" and isinstance(value, str) and not by_default:
            expected = found["ctx"]["expected"]
            unknown = f"{_label(offer, option.name)}: {unknown_value(value, expected)}"
            raise OptionError(unknown, option=option.name).among(quoted_choices(expected)) from error
        reason = found["msg"] + how_to_write(found["type"], value)
        raise _wrong_value(offer, option, value, reason, by_default) from error
    except SegbenchError as error:
        raise OptionError(f"{_label(offer, option.name)}: {error}", option=option.name) from error
    if isinstance(value, bool) and isinstance(coerced, int | float) and not isinstance(coerced, bool):
        raise _wrong_value(offer, option, value, "Input should be a number", by_default)
    return coerced


def _wrong_value(offer: Offer, option: Option, value: Any, reason: str, by_default: bool) -> OptionError | PluginError:
    what = f"{_label(offer, option.name)} must be {option.type}, but "
    if by_default:
        return PluginError(
            f"{what}its default is {quote(value)}: {reason}. This is a bug in {offer.distribution}; please report it."
        )
    return OptionError(f"{what}{quote(value)} was given: {reason}.", option=option.name)


def _to_json(offer: Offer, name: str, adapter: TypeAdapter[Any], value: Any) -> Any:
    dumped = adapter.dump_python(value, mode="json")
    if isinstance(value, set | frozenset):
        dumped = sorted(dumped)
    try:
        json.dumps(dumped, allow_nan=False)
    except ValueError as error:
        raise OptionError(f"{_label(offer, name)} is {quote(value)}; a number must be finite.", option=name) from error
    return dumped


# Building.


def build(offer: Offer, vocabulary: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Call the component's `build` with what it asks for out of `vocabulary`, and with its options.

    `options` are as in a benchmark file or as `coerce_options` returns them; `build` gets them in the types it states.
    What `build` changes for the whole process is put back, with a message on stderr. Raises ComponentError where a
    required library is missing, PluginError where `build` ends the program, else what `coerce_options` raises; errors
    of `build` itself pass through.
    """
    check_requirements(offer)
    signature = offer.signature
    missing = [name for name in signature.needed if name not in vocabulary]
    if missing:
        raise PluginError(f"{offer.kind} {offer.full_name} asks for {', '.join(missing)}, which is not available here")
    asked = {name: vocabulary[name] for name in signature.asked if name in vocabulary}
    _check_known(offer, options)
    chosen = {name: value for name, (_, value) in _coerce_all(offer, options).items()}
    with restore_after_build() as changes:
        built = _call(offer, {**asked, **chosen})
    if changes:
        print(
            f"plugin {offer.plugin!r} ({offer.distribution} {offer.version}) changed {', '.join(changes)} while it "
            f"built {offer.full_name}; this was put back",
            file=sys.stderr,
        )
    return built


def _call(offer: Offer, arguments: Mapping[str, Any]) -> Any:
    """Call `build`; PluginError where it would end the program, or is a single file that imports its neighbour."""
    try:
        return offer.component.build(**arguments)
    except SystemExit as error:
        raise PluginError(f"{offer.kind} {offer.full_name}: its build called sys.exit({error.code!r})") from error
    except ImportError as error:
        if offer.file is not None and (hint := import_hint(offer.file, error)):
            raise PluginError(f"{offer.kind} {offer.full_name}: {error}.{hint}") from error
        raise


def installed_versions(offer: Offer) -> dict[str, str | None]:
    """Return the version of each distribution in the component's `requires`; None where it is not installed."""
    return {name: _find_version(name) for name in offer.component.requires}


def check_requirements(offer: Offer) -> None:
    """Raise ComponentError with the `pip install` command if a library that the component needs is missing."""
    missing = [name for name, found in installed_versions(offer).items() if found is None]
    if missing:
        extra = offer.component.extra
        command = f"pip install {' '.join(missing)}"
        if extra and offer.file is None:
            command = install_command(extra, offer.distribution)
        raise ComponentError(
            f"{offer.kind} {offer.full_name} needs {', '.join(missing)}, not installed here: {command}"
        )


@functools.cache
def _find_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
