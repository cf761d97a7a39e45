"""Plans and runs whose cells do what the name of their method says; see `worker_functions.train`."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import fields
from pathlib import Path

from segbench.config.protocol import Budget, TrainingProtocol
from segbench.config.recipe import ComponentUse, DatasetUse, Method
from segbench.execute.jobs import Functions, RunOptions
from segbench.execute.progress import NoProgress, PlainProgress
from segbench.execute.run import run
from segbench.execute.workers import Workers
from segbench.plan.cell import Cell
from segbench.store.folder import ResultsFolder

FUNCTIONS = Functions(*(f"worker_functions:{name}" for name in ("probe", "preflight", "train", "time_method")))


def make_cell(method, seed=0, upstream=None, dataset="data", **protocol):
    key = hashlib.sha256(f"{method} {seed} {dataset}".encode()).hexdigest()[:16]
    recipe = Method(
        name=method,
        generator=ComponentUse(use="basic/fcn"),
        losses=(),
        protocol=TrainingProtocol(**{"budget": Budget(steps=1), "threads": 1, **protocol}),
    )
    return Cell(
        benchmark="bench",
        dataset_name=dataset,
        dataset=DatasetUse(use="data/shapes", root="/secret"),
        method=recipe,
        seed=seed,
        upstream={"start_from": upstream.key} if upstream else {},
        key=key,
    )


def make_cells(methods, seeds=1):
    return [make_cell(method, seed) for seed in range(seeds) for method in methods]


def run_all(cells, results, **settings):
    """Run cells with what is given of `RunOptions` and of the arguments of `run`."""
    options = {one.name: settings.pop(one.name) for one in fields(RunOptions) if one.name in settings}
    settings = {"listener": NoProgress(), "functions": FUNCTIONS, **settings}
    return run(cells, ResultsFolder(Path(results), "bench"), RunOptions(**options), **settings)


def ran(results):
    """Return the keys of the cells that were run, one for each time."""
    file = results / "bench" / "ran"
    return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []


def timed(results):
    """Return the names of the methods that were timed, one for each time."""
    file = results / "bench" / "timed"
    return file.read_text().splitlines() if file.exists() else []


def statuses(summary):
    """Return the status of each cell by its method."""
    return {record.method: record.status for record in summary.records}


if __name__ == "__main__":
    summary = run_all(
        make_cells(sys.argv[2].split(","), seeds=int(sys.argv[3])),
        sys.argv[1],
        listener=PlainProgress(sys.stderr),
        workers=Workers(["segbench.engine.job"]),
    )
    print("interrupted" if summary.interrupted else "done", len(summary.records))
