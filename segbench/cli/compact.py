"""`segbench compact`: put the records of finished cells and their counts into a few files."""

from __future__ import annotations

from pathlib import Path

import typer

from .options import Directories
from .output import SOME_FAILED, say, warn


def compact(directories: Directories = None) -> None:
    """Put the records of finished cells and their counts into a few files, which all commands read as before.

    Thousands of cells are then read faster and take less room; weights, pictures and events stay where they are. Runs
    and other commands may go on meanwhile. The exit code is 1 if a finished cell had to stay as it is.
    """
    from segbench.errors import RecordError
    from segbench.execute.processes import format_bytes
    from segbench.report.numbers import plural
    from segbench.report.records import find_benchmark_folders
    from segbench.store.compaction import compact as compact_folder
    from segbench.store.folder import ResultsFolder

    some_left, given = False, directories or [Path("results")]
    if not (folders := find_benchmark_folders(given)):
        raise RecordError(f"there are no records in {', '.join(map(str, given))}")
    for path in folders:
        done = compact_folder(ResultsFolder(path.parent, path.name))
        warn(*done.left)
        say(f"{path}: {plural(done.packed, 'cell')} in segments, {done.added} of them new, {format_bytes(done.size)}")
        some_left |= bool(done.left)
    if some_left:
        raise typer.Exit(SOME_FAILED)
