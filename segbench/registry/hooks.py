"""What a plugin implements: its hooks, and the components that they yield."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from segbench.component import Component
from segbench.errors import PluginError, nearest

from .component_checks import check_component

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from segbench.contracts import Kind

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
