"""The plugin files that a cell was made with, as its record names them, and their copies in the cell's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.files import make_way_for_folder
from segbench.registry.plugin_files import content_of, given_files, sha256_of

from .atomic import write_atomically
from .record import PluginFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


# The folder within a cell's folder.
COPIES = "plugins"


def plugin_files(names: Iterable[str]) -> list[PluginFile]:
    """Return which of the files that this process was given offer components of these full names."""
    return [
        PluginFile(plugin=file.stem, sha256=sha256_of(file), copy_path=f"{COPIES}/{file.name}")
        for file in _files_of(names)
    ]


def keep_copies(names: Iterable[str], folder: Path) -> None:
    """Write the files that `plugin_files` names into a cell's folder, as this process has read them.

    Raises RecordError if the folder is full or read-only.
    """
    for file in _files_of(names):
        make_way_for_folder(folder)
        make_way_for_folder(folder / COPIES)
        write_atomically(folder / COPIES / file.name, content_of(file))


def _files_of(names: Iterable[str]) -> list[Path]:
    plugins = {name.partition("/")[0] for name in names}
    return [file for file in given_files() if file.stem in plugins]
