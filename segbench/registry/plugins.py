"""Find and load plugins, each on its own: one that is broken offers nothing and does no harm to the others.

Plugins come from entry points in the group `segbench` and from files given with `--plugin`. Disabled ones are not
imported at all.
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

from segbench.contract import HOOKS, MAPS, ROLES, Component
from segbench.errors import PluginError, alternatives

from .output import capture_output
from .plugin_files import check_file, given_files, import_hint, load_file, sha256_of
from .process_state import restore_after_import
from .registry import DisabledPlugin, Offer, PluginNotice, PluginProblem, Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from importlib.metadata import Distribution, EntryPoint
    from pathlib import Path


ENTRY_POINT_GROUP = "segbench"

# After so many seconds stderr names the plugin that is still being loaded.
SLOW_SECONDS = 2.0

DISABLE_OPTION = "--disable"
DISABLED_VARIABLE = "SEGBENCH_DISABLED_PLUGINS"  # names with commas between, those of the option among them
DISABLED_BY_OPTION_VARIABLE = "SEGBENCH_DISABLED_BY_OPTION"  # those of the option alone, for messages


def load_registry() -> Registry:
    """Load every plugin that is not disabled.

    A plugin that fails anywhere offers nothing and is listed in `problems`; the others are not touched by it. What
    plugins print while they are loaded goes to stderr; what they change for the whole process is put back and listed
    in `notices`. Only Ctrl-C, the end of the process and an endless loop cannot be contained.
    """
    disabled, sources = disabled_plugins(), find_sources()
    loaded = {name: _load(name, found) for name, found in sources.items() if name not in disabled}
    return Registry(
        tuple(offer for one in loaded.values() for offer in one.offers),
        tuple(problem for one in loaded.values() for problem in one.problems),
        notices=tuple(notice for one in loaded.values() for notice in one.notices),
        disabled=tuple(
            DisabledPlugin(name, name_distributions(sources[name]), disabled[name])
            for name in sources
            if name in disabled
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
    loaded, distribution = _Loaded(), name_distributions(sources)
    who = f"plugin {name!r} ({distribution})"
    with _time_loading(who, name) as seconds, capture_output() as printed, restore_after_import() as changes:
        try:
            loaded.offers = read_offers(_check_only_source(name, sources))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit() or pytest.skip() must not end the program
            loaded.problems = [PluginProblem(name, distribution, _describe(error), _format_traceback(error))]
    for text in printed:
        indented = text.replace("\n", "\n  ")
        print(f"{who} printed while it was loaded:\n  {indented}", file=sys.stderr)
    if changes:
        message = f"changed {', '.join(changes)} while it was loaded; this was put back"
        loaded.notices = [PluginNotice(name, distribution, message)]
    loaded.seconds = seconds[0]
    return loaded


@contextmanager
def _time_loading(who: str, plugin: str) -> Iterator[list[float]]:
    """Say on stderr who is still being loaded after `SLOW_SECONDS`; the list holds the seconds at the end."""
    seconds: list[float] = []
    message = f"{who} has been loading for {SLOW_SECONDS:g} s and goes on; `{DISABLE_OPTION} {plugin}` leaves it out"
    stderr = sys.stderr  # the plugin may replace it
    watch = threading.Timer(SLOW_SECONDS, print, (message,), {"file": stderr, "flush": True})
    watch.daemon = True
    started = time.perf_counter()
    watch.start()
    try:
        yield seconds
    finally:
        watch.cancel()
        seconds.append(time.perf_counter() - started)


def _describe(error: BaseException) -> str:
    message = str(error) if isinstance(error, PluginError) else _name_error(error)
    return message if message.endswith((".", "?")) else f"{message}."


def _name_error(error: BaseException) -> str:
    """Return type and message, without the full stop that follows."""
    try:
        message = str(error).rstrip(".")
    except Exception:  # its own __str__ fails
        message = ""
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _format_traceback(error: BaseException) -> str:
    """Return the traceback, or an empty text where the message says everything."""
    import traceback

    known = isinstance(error, PluginError) and error.__cause__ is None
    return "" if known else "".join(traceback.format_exception(error))


# Where plugins come from.


@dataclass(frozen=True)
class Source:
    """A distribution or file that claims a plugin's name; `content` names, for messages, what `load` imports."""

    plugin: str
    distribution: str
    version: str
    content: str
    load: Callable[[], Any]
    file: Path | None = None


def find_sources() -> dict[str, list[Source]]:
    """Return all sources by the plugin's name, in alphabetical order; nothing is imported."""
    sources: dict[str, list[Source]] = {}
    points = entry_points(group=ENTRY_POINT_GROUP)
    # Metadata hold a whole README, and one distribution may have many plugins.
    distributions = {one: _read_distribution(one) for one in {point.dist for point in points}}
    for source in (
        *(_make_entry_point_source(point, *distributions[point.dist]) for point in points),
        *map(make_file_source, given_files()),
    ):
        sources.setdefault(source.plugin, []).append(source)
    return dict(sorted(sources.items()))


def installed_names() -> set[str]:
    """Return the names of installed plugins."""
    return set(entry_points(group=ENTRY_POINT_GROUP).names)


def name_distributions(sources: Sequence[Source]) -> str:
    """Return the distributions with their versions, as messages name them."""
    return " and ".join(f"{source.distribution} {source.version}" for source in sources)


def _make_entry_point_source(point: EntryPoint, distribution: str, version: str) -> Source:
    def load() -> Any:
        if point.pattern.match(point.value) is None:
            raise PluginError(f"the entry point leads to {point.value!r}; write MODULE or MODULE:OBJECT.")
        return point.load()

    return Source(point.name, distribution, version, content=point.value, load=load)


def _read_distribution(distribution: Distribution | None) -> tuple[str, str]:
    """Return name and version; a distribution whose metadata are damaged must not hide the others."""
    try:
        metadata = distribution.metadata  # type: ignore[union-attr]
        name, version = metadata["Name"], metadata["Version"]
    except Exception:
        name = version = None
    return name or "unknown", version or "unknown"


def make_file_source(file: Path) -> Source:
    """Return a plugin that is a single file; loading it raises PluginError where the file is not usable."""

    def load() -> Any:
        check_file(file)
        return load_file(file)

    return Source(file.stem, file.name, _find_file_version(file), content=file.name, load=load, file=file)


def _find_file_version(file: Path) -> str:
    try:
        return sha256_of(file)[:12]
    except PluginError:
        return "unknown"


def _check_only_source(name: str, sources: Sequence[Source]) -> Source:
    if not re.fullmatch(r"[\w.+-]+", name):
        raise PluginError(f"the entry point's name {name!r} may have letters, digits and . _ + - only.")
    if len(sources) > 1:
        raise PluginError(
            f"the plugin name {name!r} is claimed more than once, by {name_distributions(sources)}, so none of them "
            "is offered: uninstall one, or rename its entry point."
        )
    return sources[0]


# What a plugin offers: its hooks are found and called, and every component is checked as soon as it is yielded.


def read_offers(source: Source) -> list[Offer]:
    """Import a plugin and return the components that its hooks yield; PluginError says what breaks the contract."""
    hooks = list(_find_hooks(_import(source)))
    if not hooks:
        raise PluginError(f"{source.content} implements no hook; the hooks are {', '.join(HOOKS)}.")
    offers: dict[tuple[str, str], Offer] = {}
    for hook, implementation in hooks:
        kind = HOOKS[hook]
        for component in _call_hook(hook, implementation):
            offer = Offer(kind, source.plugin, source.distribution, source.version, component, source.file)
            check_offer(hook, offer)
            if (kind, component.name) in offers:
                raise PluginError(f"{hook} yields the name {component.name!r} twice.")
            offers[kind, component.name] = offer
    return list(offers.values())


def _import(source: Source) -> Any:
    try:
        return source.load()
    except (KeyboardInterrupt, PluginError):
        raise
    except BaseException as error:
        hint = "" if source.file is None else import_hint(source.file, error)
        raise PluginError(f"{source.content} cannot be imported: {_name_error(error)}.{hint}") from error


def _find_hooks(plugin: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    for name in dir(plugin):
        attribute = getattr(plugin, name)
        if not inspect.isroutine(attribute):
            continue
        marks = getattr(attribute, "segbench_impl", None)  # what segbench.hookimpl sets
        if isinstance(marks, dict):
            hook = marks.get("specname") or name
            _check_hook(hook, marks)
            yield hook, attribute
        elif name.startswith("segbench_"):
            _check_hook(name, {})
            raise PluginError(f"the hook {name} is not marked with @hookimpl.")


def _check_hook(hook: str, marks: dict[str, Any]) -> None:
    if hook not in HOOKS:
        raise PluginError(f"there is no hook {hook!r}.{alternatives(hook, HOOKS)}")
    if marks.get("wrapper") or marks.get("hookwrapper"):
        raise PluginError(f"{hook} is a hook wrapper; each hook of segbench is called on its own, so it must be plain.")


def _call_hook(hook: str, implementation: Callable[[], Any]) -> list[Any]:
    try:
        components = implementation()
        if isinstance(components, Component) or not hasattr(components, "__iter__"):
            raise PluginError(f"{hook} returns {components!r}, but must yield components (or return a list of them).")
        return list(components)
    except (KeyboardInterrupt, PluginError):
        raise
    except BaseException as error:
        raise PluginError(f"{hook} fails: {type(error).__name__}: {error}.") from error


def check_offer(hook: str, offer: Offer) -> None:
    """Raise PluginError, which names the hook and the component, for what breaks the contract."""
    component: Any = offer.component
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
    _check_known_failures(where, component.known_failures)
    if not callable(component.build):
        raise PluginError(f"{where} build is {component.build!r}, which cannot be called.")
    try:
        options = [option.name for option in offer.signature.options]
    except PluginError as error:
        raise PluginError(f"{where} {error}.") from error.__cause__
    _check_example_options(where, component.example_options, options)


def _check_choice(what: str, given: Any, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise PluginError(f"{what} is {given!r}.{alternatives(str(given), allowed)}")


def _check_requires(where: str, requires: Any) -> None:
    if isinstance(requires, str):
        raise PluginError(f"{where} requires must be a tuple of distributions; write ({requires!r},).")
    if not isinstance(requires, tuple | list) or not all(isinstance(name, str) for name in requires):
        raise PluginError(f"{where} requires is {requires!r}; it must be a tuple of the names of distributions.")


def _check_known_failures(where: str, failures: Any) -> None:
    _check_mapping(f"{where} known_failures", failures, "a reason by the name of each check")
    for name, reason in failures.items():
        if not isinstance(reason, str) or not reason.strip():
            raise PluginError(f"{where} known_failures gives {reason!r} for {name!r}; say why it cannot be passed.")


def _check_example_options(where: str, examples: Any, options: list[str]) -> None:
    _check_mapping(f"{where} example_options", examples, "a value by the name of each option")
    for name in examples:
        if name not in options:
            raise PluginError(
                f"{where} example_options holds {name!r}, which is no option.{alternatives(name, options)}"
            )


def _check_mapping(what: str, given: Any, wanted: str) -> None:
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise PluginError(f"{what} is {given!r}; it must be {wanted}.")


# Disabled plugins.


def disabled_plugins() -> dict[str, str]:
    """Return what disables each plugin, the option or the variable, by the plugin's name."""
    by_option = _read_names(DISABLED_BY_OPTION_VARIABLE)
    return {
        name: DISABLE_OPTION if name in by_option else DISABLED_VARIABLE
        for name in (*_read_names(DISABLED_VARIABLE), *by_option)
    }


def disable_plugins(names: Iterable[str]) -> None:
    """Disable plugins by name, here and in processes that inherit the environment."""
    for variable in (DISABLED_VARIABLE, DISABLED_BY_OPTION_VARIABLE):
        os.environ[variable] = ",".join(dict.fromkeys([*_read_names(variable), *names]))


def check_known(names: Iterable[str], known: Iterable[str]) -> None:
    """Raise PluginError for the name of a plugin that does not exist."""
    plugins = sorted(known)
    for name in names:
        if name not in plugins:
            unknown = f"{DISABLE_OPTION} {name}: there is no plugin of that name.{alternatives(name, plugins)}"
            raise PluginError(unknown).among(plugins)


def _read_names(variable: str) -> list[str]:
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]
