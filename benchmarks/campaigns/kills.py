"""A run, its fork server or a worker killed at any moment: the next run ends with the same bits."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from types import ModuleType

import many_cells
import small_run
from small_run import finish, process, tree
from trial import require

FULL, SHORT, SECONDS = 40, 2, 900
LONG, SECONDS_LONG = 100, 7200


def prepare() -> None:
    """Run undisturbed, once for all trials."""
    small_run.duration()


def attempt(folder: Path, rng) -> Counter[str]:
    """Kill what runs once or twice and run to the end; one cell."""
    return kill_and_finish(folder, rng, small_run)


def prepare_long() -> None:
    """Run undisturbed, once for all trials of many cells."""
    many_cells.duration()


def attempt_long(folder: Path, rng) -> Counter[str]:
    """Do the same with many cells."""
    return kill_and_finish(folder, rng, many_cells)


def kill_and_finish(folder: Path, rng, benchmark: ModuleType) -> Counter[str]:
    """Kill the runs of a benchmark, run it to the end, and return what was killed and what is counted of the cells."""
    benchmark.new_folder(folder)
    said, tally = [], Counter()
    for _ in range(rng.choice([1, 1, 2])):
        victim = rng.choice(["run", "run", "all", "server", "worker"])
        moment = rng.uniform(0, 0.8 * benchmark.duration())  # not every run takes as long
        said.append(f"{victim} killed after {moment:.2f} s")
        with process(folder, *benchmark.RUN) as run:
            end = time.monotonic() + moment
            while run.poll() is None and time.monotonic() < end:
                time.sleep(0.01)
            tally[f"killed: {victim}"] += kill(run, victim)
            said.append(str(finish(run, benchmark.PATIENCE)))
    with process(folder, *benchmark.RUN) as run:
        answer = finish(run, benchmark.PATIENCE)
    told = "\n".join([*said, str(answer)])
    require(answer.code == 0, told, tally)
    tally.update(benchmark.check(folder, told) or {})
    return tally


def kill(run, victim: str) -> bool:
    """Kill the run, all its processes, its fork server or the youngest of its processes; tell whether it still ran."""
    running = tree(run)
    if victim == "all":
        for one in running:
            one.kill()
    elif running:
        servers = [one for one in running if "forkserver" in one.command] or running
        {"run": running[0], "server": servers[0], "worker": running[-1]}[victim].kill()
    return bool(running)
