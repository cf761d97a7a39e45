"""The plugin files that a cell was made with, as its record names them, and their copies in the cell's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.files import make_way_for_folder
from segbench.registry.plugin_files import PLUGIN_OPTION, content_of, given_files, sha256_of

from .atomic import remove_abandoned, write_atomically
from .folder import record_of
from .record import PluginFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


# The folder within a cell's folder.
COPIES = "plugins"
_SHOWN_DIGITS = 12  # of a SHA-256


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
        remove_abandoned(folder / COPIES)
        write_atomically(folder / COPIES / file.name, content_of(file))


def explain_not_given(file: PluginFile, folder: Path) -> str:
    """Say that a plugin file which a cell needs was not given, and where its copy is; `folder` is that of its files."""
    return (
        f"{record_of(folder)}: this cell was made with a plugin that is a single file, {file.plugin}.py "
        f"(SHA-256 {shorten_hash(file.sha256)}), which was not given. Reading a record runs no code, so give it "
        f"yourself: {PLUGIN_OPTION} {file.plugin}.py. {describe_copy(file, folder)}"
    )


def describe_copy(file: PluginFile, folder: Path) -> str:
    """Say where the copy of a plugin file is that a cell kept in its folder."""
    copy = folder / file.copy_path
    if not copy.is_file() or not copy.resolve().is_relative_to(folder.resolve()):
        return f"There is no copy of it in {folder}."
    return f"The cell kept a copy; once you have looked at it, the same command with {PLUGIN_OPTION} {copy} uses that."


def shorten_hash(sha256: str) -> str:
    """Return the beginning of a SHA-256, for messages."""
    return f"{sha256[:_SHOWN_DIGITS]}..."


def _files_of(names: Iterable[str]) -> list[Path]:
    plugins = {name.partition("/")[0] for name in names}
    return [file for file in given_files() if file.stem in plugins]
