"""What is given to workers: the command line that starts one, and the folder of a launch with its plan and output."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

from segbench.execute.jobs import key_of
from segbench.execute.pull import forget_tries
from segbench.execute.run import describe_cells
from segbench.store.atomic import storing_in
from segbench.store.run_file import describe_run, tell_run, write_run_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from segbench.plan.cell import Cell
    from segbench.store.folder import ResultsFolder

LAUNCHES = "launches"  # in the results folder of a benchmark
PLAN = "plan.json"

Option = str | int | float | tuple[str, ...] | None


@dataclass(frozen=True)
class Order:
    """The cells that workers are to run, and how each is told: the benchmark, and options of `segbench worker`.

    Of options by their names, with _ for -, one with several values is repeated, and one that is None is left out.
    """

    benchmark: str
    options: Mapping[str, Option]
    cells: Sequence[Cell]
    folder: ResultsFolder

    def on(self, device: str) -> Order:
        """Return this order for a worker on a device."""
        return replace(self, options={**self.options, "device": device})

    def unfinished(self) -> list[Cell]:
        """Return the cells without an ok record."""
        done = self.folder.read_all_finished(map(key_of, self.cells))
        return [cell for cell in self.cells if key_of(cell) not in done]

    def make_place(self) -> Path:
        """Make the folder of a launch, with what is planned in it, and return its absolute path.

        Raises RecordError if the results folder is full or read-only.
        """
        place = _make_next_folder(self.folder.path.absolute() / LAUNCHES)
        forget_tries(self.folder)
        write_run_file(place / PLAN, describe_run(*describe_cells(self.cells)))
        return place

    def announce(self, elsewhere: str) -> None:
        """Say in the results folder what runs, and in what its workers are that outlive this process."""
        tell_run(self.folder, describe_run(*describe_cells(self.cells), elsewhere))

    def worker_line(self, place: Path) -> str:
        """Return the command line of a shell that starts a worker, with this Python, plugins and data."""
        variables = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("SEGBENCH_")]
        options = [part for name, value in self.options.items() for part in _write(name, value)]
        # Unlike the program itself, python -m would import from the working folder first, but for -P.
        program = [sys.executable, "-P", "-m", "segbench", "worker", self.benchmark, *options, f"--plan={place / PLAN}"]
        return f"cd {shlex.quote(os.getcwd())} && exec {shlex.join(['env', *variables, *program])}"


def _make_next_folder(parent: Path) -> Path:
    """Make the folder with the first number that is free."""
    for number in count(1):
        with storing_in(parent), suppress(FileExistsError):
            (parent / str(number)).mkdir(parents=True)
            break
    return parent / str(number)


def _write(name: str, value: Option) -> list[str]:
    values = value if isinstance(value, tuple) else () if value is None else (value,)
    return [f"--{name.replace('_', '-')}={one}" for one in values]
