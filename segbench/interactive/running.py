"""A benchmark run from a script or a notebook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .progress import show_progress
from .results import Results

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def run(
    benchmark: str | Path,
    *,
    methods: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    folds: Sequence[int] | None = None,
    settings: Mapping[str, Any] | None = None,
    results: str | Path = "results",
    device: str = "auto",
    jobs: int | Literal["auto"] = 1,
    timeout: float | None = None,
    memory_limit: float | None = None,
    checkpoint_every: float = 120.0,
    track: str | None = None,
) -> Results:
    """Run a benchmark as `segbench run` does, and return what is recorded of it.

    Cells are trained in worker processes, which run nothing of the caller's script. Arguments are the options of the
    command: `methods` are those of `--only`, `settings` those of `--set` by their paths; `timeout` and
    `checkpoint_every` are in seconds, `memory_limit` in GB (10^9 bytes). Cells that fail have their cause in `cells()`.
    Raises SegbenchError for whatever is wrong before anything trains, and KeyboardInterrupt once Ctrl-C has stopped the
    cells: what was finished is kept, and the same call goes on from there.
    """
    from segbench.execute.jobs import RunOptions
    from segbench.execute.run import describe_problems
    from segbench.execute.run import run as run_cells
    from segbench.plan.plan import open_plan
    from segbench.plan.warnings import plan_warnings
    from segbench.store.folder import ResultsFolder
    from segbench.tracking.mirror import mirroring

    sets = [f"{path}={json.dumps(value, default=str)}" for path, value in (settings or {}).items()]
    only = [methods] if isinstance(methods, str) else methods or ()
    plan = open_plan(str(benchmark), sets=sets, only=only, seeds=seeds, folds=folds)
    plan.check_data()
    folder = ResultsFolder(Path(results).expanduser(), plan.benchmark.name)
    options = RunOptions(device, jobs, timeout, memory_limit, checkpoint_every)
    with show_progress() as listener, mirroring(track, folder, plan.cells, listener.notice):
        found = plan_warnings(plan.benchmark, plan.cells, device=device, jobs=options.least_jobs)
        for warning in (*plan.data_warnings, *found):
            listener.notice(f"warning: {warning}")
        summary = run_cells(plan.cells, folder, options, datasets=plan.datasets, listener=listener)
        for problem in describe_problems(summary, folder):
            listener.notice(f"warning: {problem}")
    if summary.interrupted:
        raise KeyboardInterrupt("stopped; what was finished is kept, and the same call resumes where it was")
    return Results(folder.path, plan.benchmark.name)
