"""A run stopped for so long that another one takes its cell over, and continued: what counts is the other's, whole."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from unittest import mock

import many_cells
from small_run import (
    finish,
    new_folder,
    outcome,
    process,
    require_clean,
    require_outcome,
    resume,
    stop,
    tree,
    undisturbed,
    wait_for,
)
from trial import files_of, require

from segbench.store import leases
from segbench.store.folder import KEY, ResultsFolder
from segbench.store.verification import VERIFIED

FULL, SHORT, SECONDS = 16, 1, 900
LONG, SECONDS_LONG = 20, 7200
RUNS = 4  # at once
HALT_SECONDS = 90.0  # longer than a lease lasts


def prepare() -> None:
    """Run undisturbed, once for all trials."""
    undisturbed()


def attempt(folder: Path, rng) -> None:
    """Stop a run, its parent alone or with its workers, let another one take over, and continue it."""
    key = undisturbed().key
    new_folder(folder)
    claims = folder / "results" / "small" / "claims"
    with process(folder) as run:
        wait_for(lambda: any(claims.glob("*.json")) or run.poll() is not None)
        time.sleep(rng.uniform(0, 2))
        stopped = tree(run) if rng.random() < 0.5 else tree(run)[:1]
        for one in stopped:
            stop(one)
        # Another machine knows nothing of the process; it waits until the lease is old.
        with mock.patch.multiple(leases, machine=lambda: "elsewhere", STALE_SECONDS=1.0):
            answer = resume(folder)
        said = f"{len(stopped)} processes stopped\n{answer}"
        before = look_at(folder, key)
        for one in stopped:
            stop(one, signal.SIGCONT)
        said += str(finish(run))
    require(answer.code == 0, said)
    after = look_at(folder, key)
    # What comes out of the run that was stopped is a check of the record, and its mark may join it.
    names = (before | after).keys() - {VERIFIED}
    changed = sorted(name for name in names if before.get(name) != after.get(name))
    require(not changed, f"{changed} changed\n{said}")
    require(outcome(folder, key)["status"] == "ok", said)
    require_outcome(folder, key, said)
    require_clean(folder, said)


def prepare_long() -> None:
    """Run undisturbed, once for all trials of many cells."""
    many_cells.undisturbed()


def attempt_long(folder: Path, rng) -> Counter[str]:
    """Start four runs on a folder, each as of a machine of its own; halt one that has a cell, and continue it."""
    many_cells.new_folder(folder)
    results = many_cells.open_results(folder)
    records = Recorded(results.path)
    with ExitStack() as running:
        runs = [
            running.enter_context(process(folder, *many_cells.RUN, machine=f"machine {number}"))
            for number in range(RUNS)
        ]
        owner = rng.choice(runs)
        wait_for(lambda: cells_of(results.lease_folder, owner.pid) or owner.poll() is not None, many_cells.PATIENCE)
        time.sleep(rng.uniform(0, 2))
        stopped = tree(owner) if rng.random() < 0.5 else tree(owner)[:1]
        for one in stopped:
            stop(one)
        end, had = time.monotonic() + HALT_SECONDS, cells_of(results.lease_folder, owner.pid)
        records.follow(lambda: time.monotonic() > end and (not had or is_taken_over(results, had)), many_cells.PATIENCE)
        taken = bool(had) and is_taken_over(results, had)
        for one in stopped:
            stop(one, signal.SIGCONT)
        records.follow(lambda: all(run.poll() is not None for run in runs), many_cells.PATIENCE)
        answers = [finish(run, many_cells.PATIENCE) for run in runs]
    records.look()
    said = "\n".join([f"{len(stopped)} processes halted", *map(str, answers)])
    tally = Counter({"halted": int(bool(had)), "taken over": int(taken)})
    require(all(answer.code == 0 for answer in answers), said, tally)
    tally.update(many_cells.check(folder, said, len(records.changed)))
    return tally


class Recorded:
    """The records of finished cells in a folder as they were seen first, and those that were changed since."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._first = folder, dict[Path, tuple[int, bytes]]()
        self.changed: set[Path] = set()

    def look(self) -> None:
        """Look at all records."""
        paths = {path for path in self._folder.glob("*.json") if is_record(path)}
        self.changed |= self._first.keys() - paths
        for path in paths:
            with suppress(FileNotFoundError):
                seen = path.stat().st_ino, path.read_bytes()
                if self._first.setdefault(path, seen) != seen:
                    self.changed.add(path)

    def follow(self, is_over, seconds: float) -> None:
        """Look again and again until something is over, or it has lasted too long."""
        end = time.monotonic() + seconds
        while not is_over() and time.monotonic() < end:
            self.look()
            time.sleep(0.2)


def is_record(path: Path) -> bool:
    """Tell whether a file is called as the record of a finished cell."""
    return KEY.fullmatch(path.stem) is not None


def cells_of(claims: Path, pid: int) -> dict[str, int]:
    """Return the numbers of the attempts that a process has begun, by cell."""
    for path in claims.glob("*.json"):
        with suppress(OSError, ValueError):
            found = json.loads(path.read_text())
            if found["pid"] == pid:
                return found["cells"]
    return {}


def is_taken_over(results: ResultsFolder, cells: dict[str, int]) -> bool:
    """Tell whether others have begun the next attempt at one of the cells, or have recorded it."""
    markers = [leases.marker_path(results.cell_folder(key), number + 1) for key, number in cells.items()]
    return any(path.exists() for path in [*markers, *map(results.record_path, cells)])


def look_at(folder: Path, key: str) -> dict[str, bytes]:
    """Return what belongs to the record: it and all files beside it but logs."""
    results = folder / "results" / "small"
    kept = [results / f"{key}.json", *files_of(results / key)]
    logs = (".log", ".jsonl")
    return {path.name: path.read_bytes() for path in kept if path.is_file() and path.suffix not in logs}
