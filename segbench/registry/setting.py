"""A thing that is global to the process: how it is read, and put back where someone has changed it."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from operator import eq
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence

# The value of what cannot be read now, such as a working folder that is gone; also of what was never looked at.
UNKNOWN = object()


@dataclass(frozen=True, eq=False)
class Setting:
    """One setting; what `read` returns can be compared and is what `put_back` takes.

    `initial` is its value in a process that has just loaded the library it belongs to. `same` compares two values,
    `parts` names what in them differs.
    """

    name: str
    read: Callable[[], Any]
    put_back: Callable[[Any], object]
    initial: Any = UNKNOWN
    same: Callable[[Any, Any], bool] = eq
    parts: Callable[[Any, Any], Iterable[str]] | None = None


@contextmanager
def kept(find: Callable[[], Sequence[Setting]]) -> Iterator[list[str]]:
    """Put back at the end of the block what it has changed; the list then says what that was.

    `find` returns the settings there are; libraries that are loaded in the block have some more at its end.
    """
    before = {setting.name: _value(setting) for setting in find()}
    changes: list[str] = []
    try:
        yield changes
    finally:
        settings = {setting: before.get(setting.name, setting.initial) for setting in find()}
        # All are looked at before the first is put back, since some change along with others.
        changes += [_told(setting, value) for setting, value in settings.items() if _is_changed(setting, value)]
        for setting, value in settings.items():
            if _is_changed(setting, value):
                _put_back(setting, value)


def _is_changed(setting: Setting, before: Any) -> bool:
    after = _value(setting)
    return before is not UNKNOWN and (after is UNKNOWN or not setting.same(before, after))


def _told(setting: Setting, before: Any) -> str:
    after = _value(setting)
    parts = [] if setting.parts is None or after is UNKNOWN else sorted(setting.parts(before, after))
    return f"{setting.name}: {', '.join(parts)}" if parts else setting.name


def _put_back(setting: Setting, before: Any) -> None:
    with suppress(Exception):  # such as a working folder that is gone: the block must not fail for it
        setting.put_back(before)


def _value(setting: Setting) -> Any:
    try:
        return setting.read()
    except Exception:  # torch refuses to read settings that contradict each other
        return UNKNOWN


def differing(before: dict[Any, Any], after: dict[Any, Any]) -> list[Any]:
    """Return the keys whose values differ or that only one has.

    >>> differing({"a": 1, "b": 2}, {"b": 3, "c": 4})
    ['a', 'b', 'c']
    """
    keys = {**before, **after}
    return [key for key in keys if before.get(key, UNKNOWN) != after.get(key, UNKNOWN)]


def replace_items(target: MutableMapping[Any, Any], wanted: dict[Any, Any]) -> None:
    """Let a mapping hold just what is wanted, and touch no item that it holds already."""
    for key in differing(dict(target), wanted):
        if key in wanted:
            target[key] = wanted[key]
        else:
            del target[key]
