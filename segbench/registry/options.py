"""A component's options: listed, coerced to their types, and passed to `build`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from segbench.errors import OptionError, PluginError, nearest

from .global_state import kept_while_building
from .plugin_files import import_hint
from .requirements import check_requirements
from .signature import Option, read_signature

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import TypeAdapter

    from .offers import Offer

__all__ = ["Option", "build", "build_and_watch", "coerce_options", "options_of"]


def options_of(offer: Offer) -> list[Option]:
    """Return the component's options in the order of its `build`."""
    return list(read_signature(offer.kind, offer.component.build).options)


def coerce_options(offer: Offer, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options as JSON-able values: the given ones coerced to their types, the others by default.

    Paths become text, tuples lists, sets sorted lists, so that equal options always look the same. Raises OptionError
    for an option that is unknown, missing or of a wrong type, and PluginError where the plugin's own default or type
    will not do.
    """
    return {name: _jsonable(offer, name, adapter, value) for name, (adapter, value) in _coerced(offer, given).items()}


def build(offer: Offer, vocabulary: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Call the component's `build` with what it asks for out of `vocabulary`, and with its options.

    `options` are as in a benchmark file or as `coerce_options` returns them; `build` gets them in the types it states.
    What `build` changes for the whole process is put back, and stderr is told. Raises ComponentError where a required
    library is missing, PluginError where `build` ends the program, else what `coerce_options` raises; errors of
    `build` itself pass through.
    """
    built, changes = build_and_watch(offer, vocabulary, options)
    if changes:
        print(
            f"plugin {offer.plugin!r} ({offer.distribution} {offer.version}) changed {', '.join(changes)} while it "
            f"built {offer.full_name}; this was put back",
            file=sys.stderr,
        )
    return built


def build_and_watch(
    offer: Offer, vocabulary: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[Any, Sequence[str]]:
    """Do as `build` does; return what was built, and what `build` changed for the whole process until it was put back.

    >>> from segbench import Component
    >>> from segbench.registry import Offer
    >>> component = Component("limit", lambda: sys.setrecursionlimit(4000), "Changes a limit")
    >>> build_and_watch(Offer("loss", "mine", "my-dist", "1.0", component), {}, {})
    (None, ['the recursion limit'])
    """
    check_requirements(offer)
    signature = read_signature(offer.kind, offer.component.build)
    missing = [name for name in signature.needed if name not in vocabulary]
    if missing:
        raise PluginError(f"{offer.kind} {offer.full_name} asks for {', '.join(missing)}, which it cannot have here")
    asked = {name: vocabulary[name] for name in signature.asked if name in vocabulary}
    chosen = {name: value for name, (_, value) in _coerced(offer, options).items()}
    with kept_while_building() as changes:
        return _call(offer, {**asked, **chosen}), changes


def _call(offer: Offer, arguments: Mapping[str, Any]) -> Any:
    """Call `build`; what would end the program, or a file's vain import of its neighbour, becomes a PluginError."""
    try:
        return offer.component.build(**arguments)
    except SystemExit as error:
        raise PluginError(f"{offer.kind} {offer.full_name}: its build called sys.exit({error.code!r})") from error
    except ImportError as error:
        if offer.file is not None and (hint := import_hint(offer.file, error)):
            raise PluginError(f"{offer.kind} {offer.full_name}: {error}.{hint}") from error
        raise


def _coerced(offer: Offer, given: Mapping[str, Any]) -> dict[str, tuple[TypeAdapter[Any], Any]]:
    options = options_of(offer)
    _check_known(offer, given, [option.name for option in options])
    coerced = {}
    for option in options:
        if option.required and option.name not in given:
            raise OptionError(f"{_where(offer, option.name)} is missing; it is required and of type {option.type}.")
        adapter = _adapter(offer, option)
        coerced[option.name] = (adapter, _coerce(offer, option, adapter, given))
    return coerced


def _check_known(offer: Offer, given: Mapping[str, Any], known: list[str]) -> None:
    for name in given:
        if name not in known:
            allowed = f"its options are {', '.join(known)}" if known else "it has no options"
            raise OptionError(
                f"{offer.kind} {offer.full_name} has no option {name!r}; {allowed}.{nearest(name, known)}"
            )


def _where(offer: Offer, name: str) -> str:
    return f"option {name!r} of {offer.kind} {offer.full_name}"


def _adapter(offer: Offer, option: Option) -> TypeAdapter[Any]:
    from pydantic import PydanticUserError, TypeAdapter

    try:
        return TypeAdapter(option.annotation)
    except PydanticUserError as error:
        raise PluginError(
            f"{_where(offer, option.name)} has the type {option.type}, which cannot be written in a benchmark file."
        ) from error


def _coerce(offer: Offer, option: Option, adapter: TypeAdapter[Any], given: Mapping[str, Any]) -> Any:
    from pydantic import ValidationError

    by_default = option.name not in given
    value = option.default if by_default else given[option.name]
    try:
        coerced = adapter.validate_python(value)
    except ValidationError as error:
        raise _wrong(offer, option, value, error.errors()[0]["msg"], by_default) from error
    if isinstance(value, bool) and isinstance(coerced, int | float) and not isinstance(coerced, bool):
        raise _wrong(offer, option, value, "Input should be a number", by_default)
    return coerced


def _wrong(offer: Offer, option: Option, value: Any, reason: str, by_default: bool) -> OptionError | PluginError:
    what = f"{_where(offer, option.name)} must be {option.type}, but "
    if by_default:
        return PluginError(f"{what}its own default is {value!r}: {reason}. {offer.distribution} must mend this.")
    return OptionError(f"{what}{value!r} was given: {reason}.")


def _jsonable(offer: Offer, name: str, adapter: TypeAdapter[Any], value: Any) -> Any:
    dumped = adapter.dump_python(value, mode="json")
    if isinstance(value, set | frozenset):
        dumped = sorted(dumped)
    try:
        json.dumps(dumped, allow_nan=False)
    except ValueError as error:
        raise OptionError(f"{_where(offer, name)} is {value!r}; a number must be finite.") from error
    return dumped
