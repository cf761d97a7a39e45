"""`segbench run --on`: start workers elsewhere, follow them, and report."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import typer

from .output import INTERRUPTED, SOME_FAILED, say
from .run import print_report
from .watch import follow, how_far

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from segbench.execute.watch import Snapshot
    from segbench.launch.ends import End
    from segbench.launch.order import Order
    from segbench.launch.slurm import Jobs, Slurm

_LOOK_SECONDS = 2.0


def run_by_command(order: Order, template: str, count: int) -> None:
    """Start workers by a command, follow them to their end, and report; Ctrl-C and SIGTERM end them."""
    from segbench.launch.commands import fill_in

    _run_commands(order, lambda place: fill_in(template, order.worker_line(place), count))


def run_on_devices(order: Order, devices: Sequence[str]) -> None:
    """Start a worker for each of several devices of this machine, follow them to their end, and report."""
    _run_commands(order, lambda place: [order.on(device).worker_line(place) for device in devices])


def _run_commands(order: Order, fill_in: Callable[[Path], list[str]]) -> None:
    """Run the commands that start workers, given the folder of the launch, as many as there are cells to do."""
    from segbench.execute.pool import Interrupt
    from segbench.execute.run import describe_cells
    from segbench.launch.commands import Commands
    from segbench.report.numbers import plural
    from segbench.store.run_file import announce_run

    todo = order.unfinished()
    if not todo:
        print_report(order.folder)
        return
    place = order.make_place()
    with announce_run(order.folder, *describe_cells(order.cells)), Interrupt() as interrupt:
        lines = fill_in(place)[: len(todo)]
        commands = Commands(lines, place)
        say(f"{plural(len(lines), 'worker')} started; the output is in {place}", err=True)

        def is_done() -> bool:
            if interrupt.requested:
                commands.stop(at_once=interrupt.insisted)
            return not commands.is_going

        _follow(order, is_done)
    if interrupt.requested:
        say("stopped; the same command resumes where it was", err=True)
        raise typer.Exit(INTERRUPTED)
    _finish(order, commands.ends(), place)


def run_in_slurm(order: Order, settings: Slurm, wait: bool) -> None:
    """Submit workers as an array job of SLURM; follow them to their end and report if that is waited for."""
    from segbench.launch.slurm import submit, write_script
    from segbench.report.numbers import plural

    todo = order.unfinished()
    if not todo:
        print_report(order.folder)
        return
    place, count = order.make_place(), min(settings.workers, len(todo))
    jobs = submit(write_script(settings, order.folder.benchmark, order.worker_line(place)), count, place)
    name = f"SLURM job {jobs.numbers[0]}"
    order.announce(name)
    say(f"{name} has {plural(count, 'worker')}; script and output are in {place}", err=True)
    say(f"follow it with: segbench watch {order.folder.path}\ncancel it with: scancel {jobs.numbers[0]}", err=True)
    if wait:
        _wait_for(order, jobs, place)


def _wait_for(order: Order, jobs: Jobs, place: Path) -> None:
    try:
        _follow(order, lambda: not jobs.is_going)
    except KeyboardInterrupt:
        say(f"the job goes on; cancel it with: scancel {' '.join(jobs.numbers)}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    _finish(order, jobs.ends(), place)


def _follow(order: Order, is_done: Callable[[], bool]) -> None:
    """Show how far the cells are until it is done: all about them on a terminal, else a line when a cell changes."""
    from segbench.execute.watch import Watcher

    watcher = Watcher(order.folder)
    told: list[str] = []

    def is_over(snapshots: Sequence[Snapshot]) -> bool:
        nonlocal told
        done, statuses = is_done(), [cell.status for cell in snapshots[0].cells.values()]
        if statuses != told and not sys.stdout.isatty():
            say(how_far(snapshots[0]), err=True)
            told = statuses
        return done

    follow(lambda: [watcher.look(time.time())], _LOOK_SECONDS, is_over)


def _finish(order: Order, ends: Sequence[End], place: Path) -> None:
    """Say how workers ended, and report; exit code 1 if any cell is not ok."""
    from segbench.launch.ends import DONE, check_ends, describe_ends

    left = order.unfinished()
    if left:
        check_ends(ends, place)
    for line in describe_ends(ends):
        say(line, err=True)
    missing = [cell for cell in left if order.folder.read(str(cell.key)) is None]
    if missing and all(end.code == DONE for end in ends):
        say("cells are left: if the command only submits workers to a queue, follow them with segbench watch", err=True)
    if len(missing) < len(order.cells):
        print_report(order.folder)
    if left:
        raise typer.Exit(SOME_FAILED)
