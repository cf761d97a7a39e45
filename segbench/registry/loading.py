"""Load plugins one by one, so that a broken one takes nothing down with it."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from segbench.errors import PluginError

from .global_state import kept_on_import
from .hooks import HOOKS, components_of
from .offers import Offer, PluginNotice, PluginProblem, Registry, SwitchedOff
from .plugin_files import import_hint
from .plugin_output import captured_output
from .slow_load import timed_load
from .sources import Source, found_sources, named_distributions
from .switched_off import switched_off

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["HOOKS", "load_registry"]


def load_registry() -> Registry:
    """Load every plugin that is not switched off: each entry point in the group `segbench`, and each file.

    A plugin that fails anywhere offers nothing and is listed in `problems`; the others are not touched by it. What
    plugins print while they are loaded goes to stderr; what they change for the whole process is put back and listed
    in `notices`. Only Ctrl-C, the end of the process and an endless loop cannot be contained.
    """
    off, sources = switched_off(), found_sources()
    loaded = {name: _load(name, found) for name, found in sources.items() if name not in off}
    return Registry(
        tuple(offer for one in loaded.values() for offer in one.offers),
        tuple(problem for one in loaded.values() for problem in one.problems),
        notices=tuple(notice for one in loaded.values() for notice in one.notices),
        switched_off=tuple(
            SwitchedOff(name, named_distributions(sources[name]), off[name]) for name in sources if name in off
        ),
        seconds={name: one.seconds for name, one in loaded.items()},
    )


@dataclass
class _Loaded:
    """What came of loading one plugin."""

    offers: list[Offer] = field(default_factory=list)
    problems: list[PluginProblem] = field(default_factory=list)
    notices: list[PluginNotice] = field(default_factory=list)
    seconds: float = 0.0


def _load(name: str, sources: Sequence[Source]) -> _Loaded:
    loaded, distribution = _Loaded(), named_distributions(sources)
    who = f"plugin {name!r} ({distribution})"
    with timed_load(who, name) as taken, captured_output() as printed, kept_on_import() as changes:
        try:
            loaded.offers = _offers(_only(name, sources))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit() or pytest.skip() must not end the program
            loaded.problems = [PluginProblem(name, distribution, _describe(error), _traceback(error))]
    for text in printed:
        indented = text.replace("\n", "\n  ")
        print(f"{who} printed while it was loaded:\n  {indented}", file=sys.stderr)
    if changes:
        message = f"changed {', '.join(changes)} while it was loaded; this was put back"
        loaded.notices = [PluginNotice(name, distribution, message)]
    loaded.seconds = taken[0]
    return loaded


def _only(name: str, sources: Sequence[Source]) -> Source:
    if not re.fullmatch(r"[\w.+-]+", name):
        raise PluginError(f"the entry point's name {name!r} may have letters, digits and . _ + - only.")
    if len(sources) > 1:
        raise PluginError(
            f"the plugin name {name!r} is claimed more than once, by {named_distributions(sources)}, so none of them "
            "is offered: uninstall one, or rename its entry point."
        )
    return sources[0]


def _offers(source: Source) -> list[Offer]:
    return [
        Offer(kind, source.plugin, source.distribution, source.version, component, source.file)
        for kind, component in components_of(_import(source), source.content)
    ]


def _import(source: Source) -> Any:
    try:
        return source.load()
    except (KeyboardInterrupt, PluginError):
        raise
    except BaseException as error:
        hint = "" if source.file is None else import_hint(source.file, error)
        raise PluginError(f"{source.content} cannot be imported: {_text(error)}.{hint}") from error


def _describe(error: BaseException) -> str:
    message = str(error) if isinstance(error, PluginError) else _text(error)
    return message if message.endswith((".", "?")) else f"{message}."


def _text(error: BaseException) -> str:
    """Return type and message, without the full stop that follows."""
    try:
        message = str(error).rstrip(".")
    except Exception:  # its own __str__ fails
        message = ""
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _traceback(error: BaseException) -> str:
    """Return the traceback, or an empty text where the message tells everything."""
    import traceback

    known = isinstance(error, PluginError) and error.__cause__ is None
    return "" if known else "".join(traceback.format_exception(error))
