"""Load plugins one by one, so that a broken one takes nothing down with it."""

from __future__ import annotations

import inspect
import re
import sys
from contextlib import redirect_stdout
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from segbench.component import Component
from segbench.contracts import MAPS, ROLES
from segbench.errors import PluginError, nearest

from .offers import Offer, PluginProblem, Registry
from .signature import read_signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from importlib.metadata import EntryPoint

    from segbench.contracts import Kind

GROUP = "segbench"

HOOKS: dict[str, Kind] = {
    "segbench_generators": "generator",
    "segbench_discriminators": "discriminator",
    "segbench_losses": "loss",
    "segbench_datasets": "dataset",
}


def load_registry() -> Registry:
    """Load every installed plugin: each entry point in the group `segbench`.

    A plugin that fails anywhere offers nothing and is listed in `problems`; the others are not touched by it. What
    plugins print while they are loaded goes to stderr.
    """
    offers: list[Offer] = []
    problems: list[PluginProblem] = []
    with redirect_stdout(sys.stderr):
        for name, points in _by_name(entry_points(group=GROUP)).items():
            try:
                offers += _offers(_only(name, points))
            except (Exception, SystemExit) as error:
                problems.append(_problem(name, points, error))
    return Registry(tuple(offers), tuple(problems))


def _by_name(points: Iterable[EntryPoint]) -> dict[str, list[EntryPoint]]:
    named: dict[str, list[EntryPoint]] = {}
    for point in points:
        named.setdefault(point.name, []).append(point)
    return dict(sorted(named.items()))


def _only(name: str, points: list[EntryPoint]) -> EntryPoint:
    if not re.fullmatch(r"[\w.+-]+", name):
        raise PluginError(f"the entry point's name {name!r} may have letters, digits and . _ + - only.")
    if len(points) > 1:
        raise PluginError(
            f"the plugin name {name!r} is claimed more than once, by {_distributions(points)}, so none of them is "
            "offered: uninstall one, or rename its entry point."
        )
    return points[0]


def _distributions(points: list[EntryPoint]) -> str:
    return " and ".join(f"{point.dist.name} {point.dist.version}" for point in points if point.dist)


def _problem(name: str, points: list[EntryPoint], error: BaseException) -> PluginProblem:
    import traceback

    known = isinstance(error, PluginError) and error.__cause__ is None
    trace = "" if known else "".join(traceback.format_exception(error))
    return PluginProblem(name, _distributions(points), _describe(error), trace)


def _describe(error: BaseException) -> str:
    return str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}."


def _offers(point: EntryPoint) -> list[Offer]:
    offers: list[Offer] = []
    seen: set[tuple[Kind, str]] = set()
    for hook, implementation in _implementations(point):
        kind = HOOKS[hook]
        for component in _yielded(hook, implementation):
            _check_component(hook, component)
            if (kind, component.name) in seen:
                raise PluginError(f"{hook} yields the name {component.name!r} twice.")
            seen.add((kind, component.name))
            offers.append(Offer(kind, point.name, *_source(point), component))
    return offers


def _source(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist else ("unknown", "unknown")


def _import(point: EntryPoint) -> Any:
    try:
        return point.load()
    except (Exception, SystemExit) as error:
        raise PluginError(f"{point.value} cannot be imported: {type(error).__name__}: {error}.") from error


def _implementations(point: EntryPoint) -> list[tuple[str, Callable[[], Any]]]:
    implementations = list(_marked(_import(point)))
    if not implementations:
        raise PluginError(f"{point.value} implements no hook; the hooks are {', '.join(HOOKS)}.")
    return implementations


def _marked(plugin: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    for name in dir(plugin):
        attribute = getattr(plugin, name)
        if not inspect.isroutine(attribute):
            continue
        marks = getattr(attribute, f"{GROUP}_impl", None)
        if isinstance(marks, dict):
            hook = marks.get("specname") or name
            _check_hook(hook, marks)
            yield hook, attribute
        elif name.startswith(f"{GROUP}_"):
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
    except (Exception, SystemExit) as error:
        if isinstance(error, PluginError):
            raise
        raise PluginError(f"{hook} fails: {type(error).__name__}: {error}.") from error


def _check_component(hook: str, component: Any) -> None:
    if not isinstance(component, Component):
        raise PluginError(f"{hook} yields {component!r}, which is not a Component.")
    if not isinstance(component.name, str) or not re.fullmatch(r"[^\s/]+", component.name):
        raise PluginError(f"{hook} yields the name {component.name!r}; a name is a text without spaces and slashes.")
    where = f"{hook}, {component.name!r}:"
    _check_choice(f"{where} maps", component.maps, MAPS)
    _check_choice(f"{where} role", component.role, ROLES)
    if isinstance(component.requires, str):
        raise PluginError(f"{where} requires must be a tuple of distributions; write ({component.requires!r},).")
    if not callable(component.build):
        raise PluginError(f"{where} build is {component.build!r}, which cannot be called.")
    try:
        read_signature(HOOKS[hook], component.build)
    except PluginError as error:
        raise PluginError(f"{where} {error}.") from error.__cause__


def _check_choice(what: str, given: Any, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        choices = ", ".join(repr(choice) for choice in allowed)
        raise PluginError(f"{what} is {given!r}; allowed are {choices}.{nearest(str(given), list(allowed))}")
