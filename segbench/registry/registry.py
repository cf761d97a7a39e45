"""What the installed plugins offer, found by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from segbench.contract import KINDS
from segbench.errors import ComponentError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from segbench.contract import Component, Kind


@dataclass(frozen=True)
class Offer:
    """A component and who offers it; `plugin` is the entry point's name.

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
        """The name that no other component of this kind bears."""
        return f"{self.plugin}/{self.component.name}"


@dataclass(frozen=True)
class PluginProblem:
    """A plugin that offers nothing, and why.

    `distribution` names the distribution with its version, or all that claim the plugin's name; `traceback` is empty
    where the message tells everything.
    """

    plugin: str
    distribution: str
    message: str
    traceback: str = ""


@dataclass(frozen=True)
class PluginNotice:
    """What a plugin that was loaded has done and should not; `message` goes on behind the plugin's name."""

    plugin: str
    distribution: str
    message: str

    def __str__(self) -> str:
        return f"plugin {self.plugin!r} ({self.distribution}) {self.message}"


@dataclass(frozen=True)
class SwitchedOff:
    """A plugin that was not loaded, and what switched it off: the option or the environment variable."""

    plugin: str
    distribution: str
    by: str

    def __str__(self) -> str:
        return f"plugin {self.plugin!r} ({self.distribution}) is switched off by {self.by}"


@dataclass(frozen=True)
class Registry:
    """The components of all plugins that could be loaded, and the problems of those that could not.

    `seconds` are those that loading each plugin took.
    """

    installed: tuple[Offer, ...]
    problems: tuple[PluginProblem, ...] = ()
    notices: tuple[PluginNotice, ...] = ()
    switched_off: tuple[SwitchedOff, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def plugins(self) -> set[str]:
        """The names of all plugins, also of those that are broken or switched off."""
        loaded = {offer.plugin for offer in self.installed}
        return loaded | {one.plugin for one in self.problems} | {one.plugin for one in self.switched_off}

    def offers(self, kind: Kind) -> list[Offer]:
        """Return the components of one kind, sorted by full name."""
        return sorted((offer for offer in self.installed if offer.kind == kind), key=lambda offer: offer.full_name)

    def find(self, kind: Kind, name: str) -> Offer:
        """Return the component with this full name, or with this short name while only one bears it.

        Raises ComponentError, which tells what there is, what is nearest, and which plugin is broken if that is why.
        """
        offers = self.offers(kind)
        found = [offer for offer in offers if name in (offer.full_name, offer.component.name)]
        if len(found) > 1:
            names = ", ".join(offer.full_name for offer in found)
            raise ComponentError(f"{kind} {name!r} is ambiguous: write one of {names}.")
        if not found:
            blamed = [problem.plugin for problem in self._broken(name) if problem.plugin == self._meant_plugin(name)]
            raise ComponentError(self._why_unknown(kind, name, offers), plugin=next(iter(blamed), None))
        return found[0]

    def _broken(self, name: str) -> list[PluginProblem]:
        """Return the broken plugins that may offer a component of this name."""
        plugin = self._meant_plugin(name)
        return [problem for problem in self.problems if plugin in (None, problem.plugin)]

    def _meant_plugin(self, name: str) -> str | None:
        """Return the plugin of a full name, or the one that offers nothing now and bears the short name itself."""
        plugin, slash, _ = name.partition("/")
        silent = {problem.plugin for problem in self.problems} | {one.plugin for one in self.switched_off}
        return plugin if slash or plugin in silent else None

    def _why_unknown(self, kind: Kind, name: str, offers: list[Offer]) -> str:
        plugin = self._meant_plugin(name)
        off = [one for one in self.switched_off if plugin in (None, one.plugin)]
        broken = self._broken(name)
        if plugin and off:
            return f"{kind} {name!r} cannot be had: {off[0]}; leave {plugin!r} out there."
        if plugin and broken:
            return (
                f"{kind} {name!r} cannot be had: plugin {plugin!r} ({broken[0].distribution}) is broken: "
                f"{broken[0].message} See `segbench doctor`."
            )
        there_is = ", ".join(offer.full_name for offer in offers) or "none"
        known = [offer.full_name for offer in offers] + [offer.component.name for offer in offers]
        message = f"unknown {kind} {name!r}. There is: {there_is}.{nearest(name, known)}{self._other_kind(kind, name)}"
        if plugin and plugin not in self.plugins:
            message += f" No plugin is called {plugin!r}; a single file that offers it is given with --plugin FILE."
        if broken:
            names = ", ".join(repr(problem.plugin) for problem in broken)
            message += f" Broken plugins, which may offer it: {names}; see `segbench doctor`."
        if off:
            names = ", ".join(f"{one.plugin!r} (by {one.by})" for one in off)
            message += f" Plugins that are switched off, which may offer it: {names}."
        return message

    def _other_kind(self, kind: Kind, name: str) -> str:
        for other in KINDS:
            if other != kind and any(name in (offer.full_name, offer.component.name) for offer in self.offers(other)):
                return f" {name!r} is a {other}, not a {kind}."
        return ""
