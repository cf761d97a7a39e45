"""Load plugins one by one, so that a broken one takes nothing down with it.

Check a component as soon as a hook yields it.

What a plugin implements: its hooks, and the components that they yield.

Who keeps the user waiting: named while a plugin is still being loaded.

Where plugins come from: entry points in the group `segbench`, and files.

Plugins that are switched off: they are not imported at all.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from segbench.contract import MAPS, ROLES, Component
from segbench.errors import PluginError, nearest

from .options import read_signature
from .output import captured_output
from .plugin_files import check_file, given_files, import_hint, load_file, sha256_of
from .process_state import kept_on_import
from .registry import Offer, PluginNotice, PluginProblem, Registry, SwitchedOff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from importlib.metadata import EntryPoint
    from pathlib import Path

    from segbench.contract import Kind


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


PREFIX = "segbench"


HOOKS: dict[str, Kind] = {
    "segbench_generators": "generator",
    "segbench_discriminators": "discriminator",
    "segbench_losses": "loss",
    "segbench_datasets": "dataset",
}


def components_of(plugin: Any, content: str) -> Iterator[tuple[Kind, Component]]:
    """Yield what the hooks of a plugin yield; PluginError says what in it breaks the contract.

    `content` is how messages name the plugin.
    """
    implementations = list(_marked(plugin))
    if not implementations:
        raise PluginError(f"{content} implements no hook; the hooks are {', '.join(HOOKS)}.")
    seen: set[tuple[Kind, str]] = set()
    for hook, implementation in implementations:
        kind = HOOKS[hook]
        for component in _yielded(hook, implementation):
            check_component(hook, kind, component)
            if (kind, component.name) in seen:
                raise PluginError(f"{hook} yields the name {component.name!r} twice.")
            seen.add((kind, component.name))
            yield kind, component


def _marked(plugin: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    for name in dir(plugin):
        attribute = getattr(plugin, name)
        if not inspect.isroutine(attribute):
            continue
        marks = getattr(attribute, f"{PREFIX}_impl", None)
        if isinstance(marks, dict):
            hook = marks.get("specname") or name
            _check_hook(hook, marks)
            yield hook, attribute
        elif name.startswith(f"{PREFIX}_"):
            _check_hook(name, {})
            raise PluginError(f"the hook {name} is not marked with @hookimpl.")


def _check_hook(hook: str, marks: dict[str, Any]) -> None:
    if hook not in HOOKS:
        raise PluginError(f"there is no hook {hook!r}; the hooks are {', '.join(HOOKS)}.{nearest(hook, list(HOOKS))}")
    if marks.get("wrapper") or marks.get("hookwrapper"):
        raise PluginError(f"{hook} is a hook wrapper; each hook of segbench is called on its own, so it must be plain.")


def _yielded(hook: str, implementation: Callable[[], Any]) -> list[Any]:
    try:
        components = implementation()
        if isinstance(components, Component) or not hasattr(components, "__iter__"):
            raise PluginError(f"{hook} returns {components!r}, but must yield components (or return a list of them).")
        return list(components)
    except (KeyboardInterrupt, PluginError):
        raise
    except BaseException as error:
        raise PluginError(f"{hook} fails: {type(error).__name__}: {error}.") from error


SLOW_SECONDS = 2.0


@contextmanager
def timed_load(who: str, plugin: str) -> Iterator[list[float]]:
    """Say on stderr who is still being loaded after `SLOW_SECONDS`; the list then holds the seconds it took."""
    taken: list[float] = []
    message = f"{who} has been loading for {SLOW_SECONDS:g} s and goes on; `--disable {plugin}` leaves it out"
    stderr = sys.stderr  # the plugin may replace it
    watch = threading.Timer(SLOW_SECONDS, print, (message,), {"file": stderr, "flush": True})
    watch.daemon = True
    started = time.perf_counter()
    watch.start()
    try:
        yield taken
    finally:
        watch.cancel()
        taken.append(time.perf_counter() - started)


GROUP = "segbench"


UNKNOWN = "unknown"


@dataclass(frozen=True)
class Source:
    """One that claims a plugin's name; `content` is what `load` imports, as messages name it."""

    plugin: str
    distribution: str
    version: str
    content: str
    load: Callable[[], Any]
    file: Path | None = None


def found_sources() -> dict[str, list[Source]]:
    """Return all that claim a plugin's name, by name; nothing is imported for it."""
    named: dict[str, list[Source]] = {}
    for source in (*map(_of_entry_point, entry_points(group=GROUP)), *map(_of_file, given_files())):
        named.setdefault(source.plugin, []).append(source)
    return dict(sorted(named.items()))


def installed_plugins() -> set[str]:
    """Return the names of installed plugins."""
    return set(entry_points(group=GROUP).names)


def named_distributions(sources: Sequence[Source]) -> str:
    """Return the distributions with their versions, as messages name them."""
    return " and ".join(f"{source.distribution} {source.version}" for source in sources)


def _of_entry_point(point: EntryPoint) -> Source:
    def load() -> Any:
        if point.pattern.match(point.value) is None:
            raise PluginError(f"the entry point leads to {point.value!r}; write MODULE or MODULE:OBJECT.")
        return point.load()

    return Source(point.name, *_distribution(point), content=point.value, load=load)


def _distribution(point: EntryPoint) -> tuple[str, str]:
    """Return name and version; a distribution whose metadata are damaged must not hide the others."""
    try:
        name, version = point.dist.metadata["Name"], point.dist.metadata["Version"]  # type: ignore[union-attr]
    except Exception:
        return UNKNOWN, UNKNOWN
    return name or UNKNOWN, version or UNKNOWN


def _of_file(file: Path) -> Source:
    def load() -> Any:
        check_file(file)
        return load_file(file)

    return Source(file.stem, file.name, _version(file), content=file.name, load=load, file=file)


def _version(file: Path) -> str:
    try:
        return sha256_of(file)[:12]
    except PluginError:
        return UNKNOWN


VARIABLE = "SEGBENCH_DISABLED_PLUGINS"  # names with commas between, those of the option among them


BY_OPTION = "SEGBENCH_DISABLED_BY_OPTION"  # those of the option alone, for messages


OPTION = "--disable"


def switched_off() -> dict[str, str]:
    """Return what switches each plugin off, the option or the variable, by the plugin's name."""
    by_option = _names(BY_OPTION)
    return {name: OPTION if name in by_option else VARIABLE for name in (*_names(VARIABLE), *by_option)}


def switch_off(plugins: Iterable[str]) -> None:
    """Switch plugins off by name, here and in processes that inherit the environment."""
    for variable in (VARIABLE, BY_OPTION):
        os.environ[variable] = ",".join(dict.fromkeys([*_names(variable), *plugins]))


def check_known(plugins: Iterable[str], known: Iterable[str]) -> None:
    """Raise PluginError for the name of a plugin that does not exist."""
    there_are = sorted(known)
    for name in plugins:
        if name not in there_are:
            raise PluginError(
                f"{OPTION} {name}: there is no plugin of that name. There is: {', '.join(there_are) or 'none'}."
                f"{nearest(name, there_are)}"
            )


def _names(variable: str) -> list[str]:
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]
