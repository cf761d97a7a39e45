"""The registry: the components that plugins offer, found by kind and name."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from segbench.contract import KINDS
from segbench.errors import ComponentError, nearest
from segbench.shown import quote

from .options import BuildSignature, read_signature

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from segbench.contract import Component, Kind


@dataclass(frozen=True)
class Offer:
    """A component and the plugin that offers it; `plugin` is the entry point's name.

    `file` is the file that was given with `--plugin`, None for an installed plugin; `distribution` is then the file's
    name and `version` the first 12 hex digits of its SHA-256.
    """

    kind: Kind
    plugin: str
    distribution: str
    version: str
    component: Component
    file: Path | None = None

    @property
    def full_name(self) -> str:
        """The name that no other component of this kind has."""
        return f"{self.plugin}/{self.component.name}"

    @functools.cached_property
    def signature(self) -> BuildSignature:
        """What the component's `build` asks for, and its options; PluginError where they break the contract."""
        return read_signature(self.kind, self.component.build)


@dataclass(frozen=True)
class PluginProblem:
    """A plugin that offers nothing, and why.

    `distribution` names the distribution with its version, or all that claim the plugin's name; `traceback` is empty
    where the message says everything.
    """

    plugin: str
    distribution: str
    message: str
    traceback: str = ""

    def __str__(self) -> str:
        return f"broken plugin {self.plugin!r} ({self.distribution}) offers nothing: {self.message}"


@dataclass(frozen=True)
class PluginNotice:
    """What a plugin did while it was loaded and should not do; `message` follows the plugin's name."""

    plugin: str
    distribution: str
    message: str

    def __str__(self) -> str:
        return f"plugin {self.plugin!r} ({self.distribution}) {self.message}"


@dataclass(frozen=True)
class DisabledPlugin:
    """A plugin that was not loaded, and what disabled it: the option or the environment variable."""

    plugin: str
    distribution: str
    by: str

    def __str__(self) -> str:
        return f"plugin {self.plugin!r} ({self.distribution}) is disabled by {self.by}"


@dataclass(frozen=True)
class Registry:
    """The components of all plugins that could be loaded, and the problems of those that could not.

    `seconds` are those that loading each plugin took.
    """

    installed: tuple[Offer, ...]
    problems: tuple[PluginProblem, ...] = ()
    notices: tuple[PluginNotice, ...] = ()
    disabled: tuple[DisabledPlugin, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def plugins(self) -> set[str]:
        """The names of all plugins, also of those that are broken or disabled."""
        return {offer.plugin for offer in self.installed} | self._silent_plugins

    def offers(self, kind: Kind) -> list[Offer]:
        """Return the components of one kind, sorted by full name."""
        return sorted((offer for offer in self.installed if offer.kind == kind), key=lambda offer: offer.full_name)

    def find(self, kind: Kind, name: str) -> Offer:
        """Return the component with this full name, or with this short name if only one has it.

        Raises ComponentError, which says which components there are, which name is nearest, and which plugin is broken
        if that is why.
        """
        found = self._named(kind, name)
        if len(found) > 1:
            names = ", ".join(offer.full_name for offer in found)
            raise ComponentError(f"{kind} {name!r} is ambiguous: write one of {names}.").among(names.split(", "))
        if not found:
            plugin = self._plugin_named_in(name)
            is_broken = plugin in {problem.plugin for problem in self.problems}
            unknown = ComponentError(self._explain_unknown(kind, name), plugin=plugin if is_broken else None)
            raise unknown.among(offer.full_name for offer in self.offers(kind))
        return found[0]

    @property
    def _silent_plugins(self) -> set[str]:
        """The names of plugins that offer nothing now."""
        return {problem.plugin for problem in self.problems} | {one.plugin for one in self.disabled}

    def _plugin_named_in(self, name: str) -> str | None:
        """Return the plugin of a full name, or the plugin that offers nothing now and has the short name itself."""
        plugin, slash, _ = name.partition("/")
        return plugin if slash or plugin in self._silent_plugins else None

    def _find_broken(self, name: str) -> list[PluginProblem]:
        """Return the broken plugins that may offer a component of this name."""
        plugin = self._plugin_named_in(name)
        return [problem for problem in self.problems if plugin in (None, problem.plugin)]

    def _explain_unknown(self, kind: Kind, name: str) -> str:
        plugin, broken = self._plugin_named_in(name), self._find_broken(name)
        disabled = [one for one in self.disabled if plugin in (None, one.plugin)]
        if plugin and disabled:
            return f"{kind} {name!r} is not available: {disabled[0]}; remove {plugin!r} from it."
        if plugin and broken:
            return (
                f"{kind} {name!r} is not available: plugin {plugin!r} ({broken[0].distribution}) is broken: "
                f"{broken[0].message} See `segbench doctor`."
            )
        message = f"unknown {kind} {quote(name)}.{self._hint(kind, name)}"
        if plugin and plugin not in self.plugins:
            message += f" No plugin is called {plugin!r}; a single file that offers it is given with --plugin FILE."
        if broken:
            names = ", ".join(repr(problem.plugin) for problem in broken)
            message += f" Broken plugins, which may offer it: {names}; see `segbench doctor`."
        if disabled:
            names = ", ".join(f"{one.plugin!r} (by {one.by})" for one in disabled)
            message += f" Disabled plugins, which may offer it: {names}."
        return f"{message} Available: {', '.join(offer.full_name for offer in self.offers(kind)) or 'none'}."

    def _hint(self, kind: Kind, name: str) -> str:
        """Return which kind of component it is instead, or which name of this kind is nearest."""
        others = [other for other in KINDS if other != kind and self._named(other, name)]
        full_names = [offer.full_name for offer in self.offers(kind)]
        short_names = [offer.component.name for offer in self.offers(kind)]
        return f" {name!r} is a {others[0]}, not a {kind}." if others else nearest(name, [*full_names, *short_names])

    def _named(self, kind: Kind, name: str) -> list[Offer]:
        return [offer for offer in self.offers(kind) if name in (offer.full_name, offer.component.name)]
