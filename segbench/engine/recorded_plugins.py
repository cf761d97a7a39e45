"""Plugin files that a recorded cell was made with: they must be given again, for reading a record runs no code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.errors import RecordError
from segbench.registry.plugin_files import OPTION, given_files, sha256_of

if TYPE_CHECKING:
    from pathlib import Path

    from segbench.plan.cell import Cell
    from segbench.registry import Registry
    from segbench.store.record import PluginFile, Record

_SHOWN_DIGITS = 12


def check_files_given(record: Record, cell: Cell, folder: Path, registry: Registry) -> None:
    """Raise RecordError for a file that the cell's network is made of and that is not given; it says what to do.

    `folder` is that of the cell, beside its record.
    """
    method = cell.method
    uses = [use.use for use in (method.generator, method.discriminator, method.adversarial) if use is not None]
    needed = {name.partition("/")[0] for name in uses}
    for file in record.plugin_files:
        if file.plugin in needed and file.plugin not in registry.plugins:
            raise RecordError(_how_to_give(file, folder))


def changed_files(record: Record, folder: Path) -> list[str]:
    """Say which files are given with another content than the cell was made with."""
    given = {file.stem: file for file in given_files()}
    return [
        f"{given[file.plugin]} is not what this cell was made with: its SHA-256 is {_short(now)} and was "
        f"{_short(file.sha256)}; predictions may differ. {_copy(file, folder)}"
        for file in record.plugin_files
        if file.plugin in given and (now := sha256_of(given[file.plugin])) != file.sha256
    ]


def _how_to_give(file: PluginFile, folder: Path) -> str:
    return (
        f"{folder.with_suffix('.json')}: this cell was made with a plugin that is a single file, {file.plugin}.py "
        f"(SHA-256 {_short(file.sha256)}), which was not given. Reading a record runs no code, so give it yourself: "
        f"{OPTION} {file.plugin}.py. {_copy(file, folder)}"
    )


def _copy(file: PluginFile, folder: Path) -> str:
    copy = folder / file.copy_path
    if not copy.is_file() or not copy.resolve().is_relative_to(folder.resolve()):
        return f"There is no copy of it in {folder}."
    return f"The cell kept a copy; once you have looked at it, the same command with {OPTION} {copy} uses that."


def _short(sha256: str) -> str:
    return f"{sha256[:_SHOWN_DIGITS]}..."
