"""`segbench run`: train, evaluate and time every method of a benchmark."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import (
    Only,  # noqa: TC001 - typer reads them when it runs
    Results,  # noqa: TC001 - typer reads them when it runs
    Seeds,  # noqa: TC001 - typer reads them when it runs
    Sets,  # noqa: TC001 - typer reads them when it runs
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segbench.config.recipe import Benchmark
    from segbench.contract import Dataset
    from segbench.execute.run import Summary
    from segbench.plan.cell import Cell
    from segbench.plan.plan import Plan
    from segbench.registry import Registry
    from segbench.store.folder import ResultsFolder


SOME_FAILED = 1


INTERRUPTED = 130


BYTES_PER_GB = 10**9


def run(
    benchmark: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="A packaged benchmark by its name, or a file by its path.")
    ],
    sets: Sets = None,
    only: Only = None,
    seeds: Seeds = None,
    results: Results = Path("results"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    jobs: Annotated[int, typer.Option(min=1, help="How many cells run at once.")] = 1,
    timeout: Annotated[float | None, typer.Option(min=1, help="Seconds after which a cell is killed.")] = None,
    memory_limit: Annotated[
        float | None,
        typer.Option(
            metavar="GB",
            min=0.1,
            help="Memory beyond which a cell is killed. [default: its share of 90 % of the machine's]",
        ),
    ] = None,
    checkpoint_every: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How often a cell saves what it can resume from.")
    ] = 120.0,
    debug: Annotated[bool, typer.Option("--debug", help="Show the tracebacks of failed cells.")] = False,
) -> None:
    """Run a benchmark: recorded cells are done, failed ones are tried again, interrupted ones go on."""
    from segbench.execute.progress import progress_on
    from segbench.execute.run import ok_records, start_workers, unrecorded
    from segbench.execute.run import run as run_plan
    from segbench.plan.warnings import plan_warnings
    from segbench.report import render
    from segbench.store.folder import ResultsFolder

    loaded, opened, plan = prepare(benchmark, sets or (), only or (), seeds)
    folder = ResultsFolder(results, loaded.name)
    folder.check_writable()
    for warning in plan_warnings(plan, device=device, jobs=jobs):
        typer.echo(f"warning: {warning}", err=True)
    recorded = ok_records(plan, folder)
    todo = unrecorded(plan, recorded)
    workers = start_workers(todo) if todo else None
    decode(todo, opened)
    with progress_on(sys.stderr) as listener:
        summary = run_plan(
            plan,
            folder,
            recorded,
            device=device,
            jobs=jobs,
            timeout=timeout,
            memory_limit=None if memory_limit is None else int(memory_limit * BYTES_PER_GB),
            checkpoint_seconds=checkpoint_every,
            listener=listener,
            workers=workers,
        )
    tell_problems(summary, folder, debug)
    if summary.interrupted:
        typer.echo("stopped; the same command resumes where it was", err=True)
        raise typer.Exit(INTERRUPTED)
    typer.echo(render([folder.path], benchmark=loaded.name), nl=False)
    if summary.unfinished or summary.untimed:
        raise typer.Exit(SOME_FAILED)


def prepare(
    name: str, sets: Sequence[str], only: Sequence[str], seeds: str | None
) -> tuple[Benchmark, dict[str, Dataset], Plan]:
    """Load a benchmark, open its datasets and plan its cells; raise SegbenchError for what is wrong or missing."""

    from segbench.config.benchmark import load_benchmark, parse_seeds
    from segbench.plan.key import fingerprint
    from segbench.plan.machine import usable_cores
    from segbench.plan.plan import build_plan, check_tuning
    from segbench.registry import load_registry
    from segbench.registry.datasets import open_dataset
    from segbench.registry.output import output_on_stderr

    registry = load_registry()
    chosen = None if seeds is None else parse_seeds(seeds)
    loaded = with_absolute_roots(load_benchmark(name, registry, sets=sets, only=only, seeds=chosen), registry)
    with output_on_stderr():
        opened = {
            name: open_dataset(registry.find("dataset", use.use), use.root, use.options)
            for name, use in loaded.datasets.items()
        }
        check_tuning(loaded, opened)
        fingerprints = {name: fingerprint(dataset) for name, dataset in opened.items()}
    return loaded, opened, build_plan(loaded, registry, fingerprints, threads=usable_cores())


def with_absolute_roots(benchmark: Benchmark, registry: Registry) -> Benchmark:
    """Return the benchmark with absolute paths to its data, since workers have working folders of their own."""
    from segbench.registry.datasets import dataset_root

    datasets = {}
    for name, use in benchmark.datasets.items():
        root = dataset_root(registry.find("dataset", use.use), use.root)
        datasets[name] = use.model_copy(update={"root": None if root is None else str(root.absolute())})
    return benchmark.model_copy(update={"datasets": datasets})


def decode(cells: Sequence[Cell], opened: Mapping[str, Dataset]) -> None:
    """Decode the splits that cells use into the cache; raise DataError for a sample that is wrong."""

    from segbench.engine.data.cache import pack
    from segbench.registry.output import output_on_stderr

    with output_on_stderr():
        for name, cache_key, split in dict.fromkeys(use for cell in cells for use in splits_of(cell)):
            pack(opened[name], split, cache_key)


def splits_of(cell: Cell) -> list[tuple[str, str, str]]:
    """Return (dataset, cache key, split) for each split that a cell uses."""
    protocol = cell.method.protocol
    assert cell.cache_key is not None, "the data is open"
    splits = ["train", *(["val"] if protocol.validations else []), protocol.evaluate]
    return [(cell.dataset_name, cell.cache_key, split) for split in splits]


def tell_problems(summary: Summary, folder: ResultsFolder, debug: bool) -> None:
    """Say on stderr what the report does not: records set aside, methods not timed, and tracebacks if debugging."""
    for problem in folder.problems:
        typer.echo(f"warning: {problem}", err=True)
    for label, failure in summary.untimed.items():
        typer.echo(f"warning: the method of {label} was not timed: {failure.cause}", err=True)
    failures = [(record, record.error) for record in summary.unfinished if record.error]
    for record, failure in failures:
        if debug and failure.traceback:
            typer.echo(f"{record.dataset} / {record.method} / seed {record.seed}:\n{failure.traceback}", err=True)
    if any(failure.traceback for _, failure in failures) and not debug:
        typer.echo("--debug shows the tracebacks of failed cells", err=True)
