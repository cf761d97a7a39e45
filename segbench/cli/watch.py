"""`segbench watch`: follow a running benchmark by its files, from another terminal or machine."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.errors import RecordError

from .options import Json
from .output import SOME_FAILED, say, terminal_width, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from segbench.execute.watch import Snapshot, WatchedCell
    from segbench.report.numbers import Table

_BARS = "▁▂▃▄▅▆▇█"
_CURVE_WIDTH = 16
_MOST_FAILURES = 10


def watch(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="The results folder of a run, or a single benchmark's folder in it.")
    ] = Path("results"),
    once: Annotated[bool, typer.Option("--once", help="Print how it is now, and end; so does a pipe.")] = False,
    until_done: Annotated[
        bool, typer.Option("--until-done", help="End when nothing runs any more; exit code 1 if a cell has no result.")
    ] = False,
    every: Annotated[float, typer.Option(metavar="SECONDS", min=0.1, help="How often to look at the folder.")] = 2.0,
    json: Json = False,
) -> None:
    """Show which cells are done, run, failed and are to do, with curves, the time left and warnings; changes nothing.

    Ctrl-C ends it; the run goes on.
    """
    from segbench.execute.watch import Watcher, find_folders

    watchers = [Watcher(folder) for folder in find_folders(directory)]

    def look() -> list[Snapshot]:
        for watcher in watchers:
            if not watcher.folder.path.is_dir():
                raise RecordError(f"{watcher.folder.path}: the folder that was watched is no longer there")
        return [watcher.look(time.time()) for watcher in watchers]

    snapshots = look()
    try:
        if not once and (until_done or (_is_terminal() and not json)):
            snapshots = follow(look, every, lambda found: until_done and all(one.is_over for one in found))
    except KeyboardInterrupt:
        return
    if json:
        say(to_json({"benchmarks": [_as_data(found) for found in snapshots]}))
    elif once or not _is_terminal():
        say(as_text(snapshots, terminal_width()), nl=False)
    if until_done and any(cell.status != "ok" for found in snapshots for cell in found.cells.values()):
        raise typer.Exit(SOME_FAILED)


def follow(
    look: Callable[[], list[Snapshot]], every: float, is_done: Callable[[list[Snapshot]], bool]
) -> list[Snapshot]:
    """Look again and again until it is done, and show it on a terminal; returns what there was at the end."""
    from contextlib import nullcontext

    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from segbench.shown import clean

    console = Console(highlight=False)
    live = Live(console=console, auto_refresh=False) if _is_terminal() else nullcontext()
    with live:
        while True:
            snapshots = look()
            if isinstance(live, Live):
                live.update(Text(clean(as_text(snapshots, console.width)).rstrip()), refresh=True)
            if is_done(snapshots):
                return snapshots
            time.sleep(every)


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _as_data(found: Snapshot) -> dict[str, Any]:
    """Return what is known of a benchmark, ready for JSON."""
    cells = {
        key: {
            "label": cell.label,
            "status": cell.status,
            "cause": cell.cause or None,
            "stage": (cell.course.stage or None) if cell.course else None,
            "seconds_left": cell.seconds_left,
            "trouble": cell.trouble or None,
        }
        for key, cell in found.cells.items()
    }
    facts = ("benchmark", "plan_known", "is_over", "elsewhere", "seconds_left")
    return {**{name: getattr(found, name) for name in facts}, "cells": cells}


def as_text(snapshots: Sequence[Snapshot], width: int | None = None) -> str:
    """Return what is shown of some benchmarks, in lines of at most `width`."""
    return "\n\n".join("\n".join(_describe(found, width)) for found in snapshots) + "\n"


def _describe(found: Snapshot, width: int | None) -> Iterable[str]:
    """Return what is shown of a benchmark: how far it is, the cells that run, what troubles them, and what failed."""
    from segbench.execute.watch import ABANDONED, RUNNING
    from segbench.report.formats.terminal import draw_table, wrap

    shown = found.with_status(RUNNING, ABANDONED)
    yield wrap(how_far(found), width)
    if not found.plan_known and not found.is_over:
        yield wrap("Which cells are still to do is not known: no run has said so here.", width)
    if shown:
        yield f"\n{draw_table(_table(shown), width)}"
    yield from (wrap(line, width) for cell in shown for line in _troubles(cell))
    failures = [cell for cell in found.cells.values() if cell.cause]
    yield from (wrap(f"{cell.status}: {cell.label}: {cell.cause}", width) for cell in failures[:_MOST_FAILURES])
    if len(failures) > _MOST_FAILURES:
        yield f"and {len(failures) - _MOST_FAILURES} more: see segbench report"


def how_far(found: Snapshot) -> str:
    """Return how many cells of a benchmark are done, the time left, and whether anything runs, in a line."""
    from segbench.execute.progress import format_duration
    from segbench.execute.watch import RUNNING

    parts = [found.benchmark, _count(found)]
    if found.seconds_left is not None:
        parts.append(f"about {format_duration(found.seconds_left)} of training left")
    if found.is_over:
        parts.append("nothing runs")
    elif not found.with_status(RUNNING):
        waits = f"{found.elsewhere} goes on: it waits, or" if found.elsewhere else "the run goes on: it"
        parts.append(f"{waits} tries or times methods")
    return " · ".join(parts)


def _troubles(cell: WatchedCell) -> Iterable[str]:
    if cell.trouble:
        yield f"{cell.label}: {cell.trouble}"
    yield from (f"{cell.label}: warning: {warning}" for warning in (cell.course.warnings if cell.course else ()))


def _count(found: Snapshot) -> str:
    """Say how many cells have which status: "3 of 12 cells done, 2 running, 1 failed, 6 to do"."""
    from collections import Counter

    from segbench.report.numbers import plural

    numbers = Counter(cell.status for cell in found.cells.values())
    done = f"{numbers.pop('ok', 0)} of {plural(len(found.cells), 'cell')} done"
    order = ["running", "abandoned", "failed", "skipped", "interrupted", "to do"]
    return ", ".join([done, *(f"{numbers[status]} {status}" for status in order if numbers[status])])


def _table(cells: Sequence[WatchedCell]) -> Table:
    from segbench.report.numbers import Table

    headers = ["cell", "stage", "step", "loss", "val mIoU [%]", "left"]
    return Table(headers, [_row(cell) for cell in cells], words=(0, 1, 3, 4))


def _row(cell: WatchedCell) -> list[str]:
    from segbench.execute.progress import format_duration

    course = cell.course
    latest = course.latest if course else {}
    steps = f"{latest.get('step', '-')}" + (f" / {latest['steps']}" if latest.get("steps") else "")
    stage = cell.status if cell.status == "abandoned" else (course.stage if course else "") or "starting"
    left = "-" if cell.seconds_left is None else format_duration(cell.seconds_left)
    losses, mious = (course.losses, course.mious) if course else ({}, {})
    return [cell.label, stage, steps, _curve(losses, "{:.3g}"), _curve(mious, "{:.1f}", 100), left]


def _curve(values: Mapping[int, float], form: str, scale: float = 1.0) -> str:
    """Return a sparkline and the last value; a dash where there is none."""
    found = list(values.values())
    return f"{sparkline(found)} {form.format(scale * found[-1])}" if found else "-"


def sparkline(values: Sequence[float], width: int = _CURVE_WIDTH) -> str:
    """Return a line of bars from the lowest value to the highest; many values are averaged to `width` of them.

    >>> sparkline([0.0, 0.5, 1.0]), sparkline([2.0, 2.0]), sparkline(list(range(32)), 8)
    ('▁▅█', '▁▁', '▁▂▃▄▅▆▇█')
    """
    size = max(len(values) / width, 1.0)
    parts = [values[round(place * size) : round((place + 1) * size)] for place in range(min(len(values), width))]
    means = [sum(part) / len(part) for part in parts]
    low, high = min(means, default=0.0), max(means, default=0.0)
    span = high - low
    return "".join(_BARS[round((mean - low) / span * (len(_BARS) - 1)) if span else 0] for mean in means)
