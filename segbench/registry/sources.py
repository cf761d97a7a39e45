"""Where plugins come from: entry points in the group `segbench`, and files."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from segbench.errors import PluginError

from .plugin_files import check_file, given_files, load_file, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.metadata import EntryPoint
    from pathlib import Path

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
