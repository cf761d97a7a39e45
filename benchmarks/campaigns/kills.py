"""A run, its fork server or a worker killed at any moment: the next run ends with the same bits."""

from __future__ import annotations

import tempfile
import time
from functools import cache
from pathlib import Path

from small_run import finish, new_folder, process, require_clean, require_outcome, tree, undisturbed
from trial import require

FULL, SHORT, SECONDS = 40, 2, 900


@cache
def duration() -> float:
    """Return the seconds that a run takes which nobody kills."""
    folder = new_folder(Path(tempfile.mkdtemp()))
    start = time.monotonic()
    with process(folder) as run:
        answer = finish(run)
    require(answer.code == 0, answer)
    require_outcome(folder, undisturbed().key, answer)
    return time.monotonic() - start


def prepare() -> None:
    """Run undisturbed, once for all trials."""
    duration()


def attempt(folder: Path, rng) -> None:
    """Kill what runs once or twice and run to the end."""
    new_folder(folder)
    said = []
    for _ in range(rng.choice([1, 1, 2])):
        victim = rng.choice(["run", "run", "all", "server", "worker"])
        moment = rng.uniform(0, duration())
        said.append(f"{victim} killed after {moment:.2f} s")
        with process(folder) as run:
            end = time.monotonic() + moment
            while run.poll() is None and time.monotonic() < end:
                time.sleep(0.01)
            kill(run, victim)
            said.append(str(finish(run)))
    with process(folder) as run:
        answer = finish(run)
    require(answer.code == 0, f"{said}\n{answer}")
    require_outcome(folder, undisturbed().key, f"{said}\n{answer}")
    require_clean(folder, f"{said}\n{answer}")


def kill(run, victim: str) -> None:
    """Kill the run, all its processes, its fork server or the youngest of its processes."""
    running = tree(run)
    if victim == "all":
        for one in running:
            one.kill()
    elif running:
        servers = [one for one in running if "forkserver" in one.command] or running
        {"run": running[0], "server": servers[0], "worker": running[-1]}[victim].kill()
