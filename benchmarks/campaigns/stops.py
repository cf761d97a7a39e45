"""A run stopped for so long that another one takes its cell over, and continued: what counts is the other's, whole."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from unittest import mock

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
from segbench.store.verification import VERIFIED

FULL, SHORT, SECONDS = 16, 1, 900


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


def look_at(folder: Path, key: str) -> dict[str, bytes]:
    """Return what belongs to the record: it and all files beside it but logs."""
    results = folder / "results" / "small"
    kept = [results / f"{key}.json", *files_of(results / key)]
    logs = (".log", ".jsonl")
    return {path.name: path.read_bytes() for path in kept if path.is_file() and path.suffix not in logs}
