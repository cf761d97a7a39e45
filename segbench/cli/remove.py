"""`segbench remove`: remove recorded cells, with all that belongs to them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .options import OnlyBenchmark, OnlyMethod, Results
from .output import SOME_FAILED, say, warn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segbench.report.cells import RecordedCell


def remove(
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY]...", help="Keys of cells, or the beginnings of keys.")
    ] = None,
    method: OnlyMethod = None,
    dataset: Annotated[str | None, typer.Option(help="Cells on this dataset only.")] = None,
    benchmark: OnlyBenchmark = None,
    status: Annotated[
        Literal["ok", "failed", "skipped", "interrupted"] | None, typer.Option(help="Cells with this status only.")
    ] = None,
    results: Results = Path("results"),
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
) -> None:
    """Remove the records of cells with their counts, weights and pictures; it lists them and asks first.

    Give keys, or options, which must all hold of a cell. A cell that another process works on is kept, and so is one on
    which such a cell builds; the exit code is 1 then.
    """
    from segbench.report.cells import list_cells

    if not (keys or method or dataset or benchmark or status):
        raise typer.BadParameter("say what to remove: KEY, --method, --dataset, --benchmark or --status")
    cells, problems = list_cells([results], benchmark)
    warn(*(f"not read, and so kept: {problem}" for problem in problems))
    chosen = _choose(cells, keys or [], {"method": method, "dataset": dataset, "status": status})
    if not chosen:
        say("nothing to remove: no recorded cell is what was asked for", err=True)
        return
    _show(cells, chosen)
    if not (yes or _confirm()):
        say("nothing was removed", err=True)
        return
    if _remove(cells, chosen):
        raise typer.Exit(SOME_FAILED)


def _choose(cells: Sequence[RecordedCell], keys: Sequence[str], named: Mapping[str, str | None]) -> list[RecordedCell]:
    """Return the cells that keys and names mean; RecordError for a key, method or dataset that is not there."""
    from segbench.report.cells import check_name, find_cells

    for field in ("method", "dataset"):
        check_name(field, named[field], cells)
    found = find_cells(cells, keys) if keys else cells
    given = {field: name for field, name in named.items() if name is not None}
    return [cell for cell in found if all(getattr(cell.record, field) == name for field, name in given.items())]


def _show(cells: Sequence[RecordedCell], chosen: Sequence[RecordedCell]) -> None:
    """Print what would be removed, and which cells build on it."""
    from segbench.errors import list_some
    from segbench.report.cells import builders, describe_cell

    from .records import as_text

    say(as_text([describe_cell(cell) for cell in chosen]))
    if others := builders(cells, chosen):
        named = list_some([f"{cell.name} ({cell.record.key})" for cell in others])
        warn(f"other cells build on these: {named}")
        say("they stay; whatever of them is run again trains these anew", err=True)


def _confirm() -> bool:
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here; --yes removes these cells without asking")
    return typer.confirm("Remove them?", err=True)


def _remove(cells: Sequence[RecordedCell], chosen: Sequence[RecordedCell]) -> int:
    """Remove cells, print each with its size, and return how many are kept, as processes work on them."""
    from segbench.execute.processes import format_bytes
    from segbench.report.cells import builders, busy_keys
    from segbench.report.numbers import plural
    from segbench.store.removal import remove_cell, size_of_cell

    sizes: list[int] = []
    for cell in chosen:
        key, size = cell.record.key, size_of_cell(cell.folder, cell.record.key)
        busy = busy_keys(cell.folder)
        if any(other.record.key in busy for other in builders(cells, [cell])):
            say(f"kept     {key} ({cell.name}): a process works on a cell that builds on it", err=True)
        elif busy.difference(other.record.key for other in cells if other.folder.path == cell.folder.path):
            say(f"kept     {key} ({cell.name}): a process works on a new cell, which may build on it", err=True)
        elif not remove_cell(cell.folder, key):
            say(f"kept     {key} ({cell.name}): another process works on it", err=True)
        else:
            sizes.append(size)
            say(f"removed  {key} ({cell.name}), {format_bytes(size)}")
    say(f"{plural(len(sizes), 'cell')} removed, {format_bytes(sum(sizes))}")
    return len(chosen) - len(sizes)
