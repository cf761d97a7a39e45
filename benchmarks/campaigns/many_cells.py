"""A benchmark of 24 small cells, with critics and cells that need others, and what disturbed runs have made of it."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

import small_run
from small_run import finish, outcome, process, require_clean
from trial import require

from segbench.store.folder import ResultsFolder
from segbench.store.record import Record

NAME = "many"
BENCHMARK = """\
name: many
datasets:
  shapes: {use: data/shapes, classes: 3, size: [32, 32], train: 8, val: 4, test: 4}
protocol:
  budget: {steps: 8}
  batch_size: 2
  crop: [32, 32]
  optimizer: {use: adamw, lr: 0.01}
  validations: 1
  threads: 1
  keep: {model: last, samples: 1}
  timing: none
seeds: [0, 1, 2, 3]
methods:
  base:
    generator: {use: basic/fcn, width: 4}
    losses: [losses/cross_entropy]
  critic:
    extends: base
    discriminator: {use: gan/patchgan, receptive_field: 16, width: 4}
    adversarial: {use: gan/hinge, weight: 0.05}
  longer:
    extends: critic
    start_from: critic
  refined:
    extends: base
    generator: {use: refine/unet, width: 4}
    refines: {method: base, folds: 2}
"""
CELLS = 24
RUN = small_run.RUN
PATIENCE = 1800.0  # seconds that a run may take on a busy machine
# What must not be: no record of a finished cell, a damaged file, files of more than one attempt, other bits than those
# of an undisturbed run, a record that was changed, two records of one cell.
FAULTS = ("lost", "corrupt", "mixed", "different", "overwritten", "counted twice")


class Undisturbed(NamedTuple):
    """What a run leaves: the outcomes of its cells by key, and its seconds."""

    outcomes: dict[str, dict[str, object]]
    seconds: float


@cache
def undisturbed() -> Undisturbed:
    """Run the benchmark, once for all trials of this process."""
    folder = new_folder(Path(tempfile.mkdtemp()))
    start = time.monotonic()
    with process(folder, *RUN) as run:
        answer = finish(run, PATIENCE)
    seconds = time.monotonic() - start
    require(answer.code == 0, answer)
    keys = [record.key for record in open_results(folder).records()]
    require(len(keys) == CELLS, f"{len(keys)} cells instead of {CELLS}")
    return Undisturbed({key: outcome(folder, key, NAME) for key in keys}, seconds)


def duration() -> float:
    """Return the seconds that a run takes which nobody kills."""
    return undisturbed().seconds


def new_folder(folder: Path) -> Path:
    """Fill a folder with the benchmark, and places for cache and temporary files."""
    return small_run.new_folder(folder, BENCHMARK)


def open_results(folder: Path) -> ResultsFolder:
    """Return the results of the benchmark."""
    return ResultsFolder(folder / "results", NAME)


def check(folder: Path, said: object, overwritten: int = 0) -> Counter[str]:
    """Return what is counted of the cells of runs that were disturbed and came to their end; Fault if one is not right.

    `overwritten` is how many records were seen to change.
    """
    results = open_results(folder)
    records = {record.key: record for record in results.records()}
    damaged = [record for record in records.values() if results.set_aside_if_damaged(record)]
    expected = undisturbed().outcomes
    tally = Counter(
        {
            "cells": len(expected),
            "begun again": sum(number_of(record) - 1 for record in records.values()),
            "lost": sum(key not in records or records[key].status != "ok" for key in expected),
            "corrupt": len({*results.problems, *damaged_files(folder)}) + len(damaged),
            "mixed": sum(not is_of_one_attempt(folder, record) for record in records.values()),
            "different": sum(not is_equal(folder, key) for key in expected.keys() & records.keys()),
            "overwritten": overwritten,
            "counted twice": len(records) - len({identity(record) for record in records.values()}),
        }
    )
    require(not any(tally[fault] for fault in FAULTS), f"{dict(tally)}\n{said}", tally)
    require_clean(folder, said, NAME)
    return tally


def number_of(record: Record) -> int:
    """Return how many attempts at a cell were begun until the one that its record names."""
    return int((record.attempt or "1").partition("-")[0])


def damaged_files(folder: Path) -> list[Path]:
    """Return what was set aside as damaged."""
    return list((folder / "results").rglob("*.corrupt*"))


def is_of_one_attempt(folder: Path, record: Record) -> bool:
    """Tell whether all that lies in the folder of a cell is of the attempt that its record names."""
    return [path.name for path in open_results(folder).cell_folder(record.key).iterdir()] == [record.attempt]


def is_equal(folder: Path, key: str) -> bool:
    """Tell whether the outcome of a cell equals that of the undisturbed run to the bit."""
    return outcome(folder, key, NAME) == undisturbed().outcomes[key]


def identity(record: Record) -> tuple[str, str, str, int]:
    """Return what a report counts as one cell."""
    return record.dataset, record.subset, record.method, record.seed
