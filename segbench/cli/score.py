"""`segbench score`: score the label maps of another tool and record the scores beside those of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from .completion import complete_benchmark, complete_dataset
from .options import DatasetOptions, Results, Root, parse_options
from .output import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segbench.config.protocol import Boundaries
    from segbench.config.recipe import Benchmark, DatasetUse
    from segbench.engine.evaluation.external import Entry
    from segbench.registry import Registry
    from segbench.store.folder import ResultsFolder
    from segbench.store.record import Record


# The folder of scores that belong to no benchmark.
NO_BENCHMARK = "scored"
DEFAULT_SPLIT = "test"


def score(
    predictions: Annotated[
        Path,
        typer.Argument(help="Folder of label maps, PNGs of class ids or of the dataset's colours, named by image id."),
    ],
    dataset: Annotated[
        str, typer.Option(help="A dataset component, or a dataset of the benchmark.", autocompletion=complete_dataset)
    ],
    name: Annotated[str, typer.Option(help="The method's name in the table.")],
    benchmark: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="The benchmark to whose table the scores are added.",
            autocompletion=complete_benchmark,
        ),
    ] = None,
    root: Root = None,
    option: DatasetOptions = None,
    split: Annotated[str | None, typer.Option(help="train, val or test. [default: what the benchmark scores]")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed they were made with.")] = 0,
    results: Results = Path("results"),
) -> None:
    """Score the label maps of another tool and record the scores, which reports then show beside other methods."""
    from segbench.engine.evaluation.external import score_predictions
    from segbench.registry import load_registry

    request = ScoreRequest(
        dataset=dataset,
        name=name,
        results=results,
        benchmark=benchmark,
        root=root,
        options=parse_options(option or []),
        split=split,
        seed=seed,
    )
    registry = load_registry()
    target = resolve_request(request, registry)
    record = score_predictions(predictions, target.use, target.entry, registry, target.folder, target.boundaries)
    say(_summary(record))
    say(target.folder.record_path(record.key))


def _summary(record: Record) -> str:
    """Return the scores in one line."""
    assert record.scores is not None
    assert record.evaluated is not None
    found = {name: value for name, value in record.scores.model_dump().items() if value is not None}
    numbers = ", ".join(f"{name} {value:.4f}" for name, value in found.items())
    return f"{record.method} on {record.dataset} {record.evaluated.split} ({record.evaluated.images} images): {numbers}"


@dataclass(frozen=True)
class ScoreRequest:
    """What was asked: `dataset` is a component's name or, with a benchmark, a dataset's name in its file.

    `benchmark` is a packaged name, a file, or the name of a folder in `results`. `split` is by default what the
    benchmark evaluates.
    """

    dataset: str
    name: str
    results: Path
    benchmark: str | None = None
    root: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    split: str | None = None
    seed: int = 0


class Target(NamedTuple):
    """What is scored and where its scores are written: dataset, entry, folder, and the widths of boundaries."""

    use: DatasetUse
    entry: Entry
    folder: ResultsFolder
    boundaries: Boundaries


def resolve_request(request: ScoreRequest, registry: Registry) -> Target:
    """Return what a request means.

    Boundaries are as wide as in the benchmark's table if its methods agree, else as by default. Raises SpecError for an
    unknown benchmark, for one that cross-validates the dataset and for names that cannot be names, ComponentError for
    an unknown dataset and OptionError for its options.
    """
    from segbench.config.protocol import Boundaries
    from segbench.config.validation import check_name
    from segbench.config.yaml import Place
    from segbench.engine.evaluation.external import Entry
    from segbench.errors import SpecError
    from segbench.store.folder import ResultsFolder

    check_name(request.name, Place("--name", Path.cwd()))
    folder, benchmark = _benchmark(request, registry)
    name, use = _dataset(request, benchmark, registry)
    if benchmark and name in benchmark.datasets and benchmark.datasets[name].folds:
        raise SpecError(
            f"{benchmark.source}: datasets.{name} is cross-validated: its rows are of the images of all folds, beside "
            "which label maps of one split cannot stand; score them without --benchmark"
        )
    protocols = [method.protocol for method in benchmark.methods.values()] if benchmark else []
    splits = {protocol.evaluate for protocol in protocols}
    widths = {protocol.boundaries for protocol in protocols}
    split = request.split or (splits.pop() if len(splits) == 1 else DEFAULT_SPLIT)
    boundaries = widths.pop() if len(widths) == 1 else Boundaries()
    entry = Entry(name, split, request.name, request.seed)
    return Target(use, entry, ResultsFolder(request.results, folder), boundaries)


def _benchmark(request: ScoreRequest, registry: Registry) -> tuple[str, Benchmark | None]:
    """Return the name of the results folder, and the benchmark if its file is known."""
    from segbench.config.benchmark import load_benchmark, packaged_benchmarks

    name = request.benchmark
    if name is None:
        return NO_BENCHMARK, None
    is_a_folder_name = len(Path(name).parts) == 1 and name not in packaged_benchmarks()
    if is_a_folder_name and (request.results / name).is_dir():
        return name, None
    benchmark = load_benchmark(name, registry)
    return benchmark.name, benchmark


def _dataset(request: ScoreRequest, benchmark: Benchmark | None, registry: Registry) -> tuple[str, DatasetUse]:
    """Return the dataset's name in the table, and the dataset."""
    from segbench.config.recipe import DatasetUse
    from segbench.errors import ComponentError, OptionError
    from segbench.registry.options import coerce_options

    datasets = benchmark.datasets if benchmark else {}
    if request.dataset in datasets:
        if request.options:
            raise OptionError(f"the options of dataset {request.dataset!r} are those of the benchmark file; give none")
        use = datasets[request.dataset]
        return request.dataset, use.model_copy(update={"root": request.root or use.root})
    try:
        offer = registry.find("dataset", request.dataset)
    except ComponentError as error:
        raise ComponentError(f"{error}{_datasets_of(request, benchmark)}").among(error.allowed) from error
    use = DatasetUse(use=offer.full_name, options=coerce_options(offer, request.options), root=request.root)
    same = [name for name, other in datasets.items() if (other.use, other.options) == (use.use, use.options)]
    return (same[0] if same else offer.component.name), use


def _datasets_of(request: ScoreRequest, benchmark: Benchmark | None) -> str:
    """Return which datasets a benchmark has, or that a folder of records does not say; empty without a benchmark."""
    if benchmark:
        return f" The benchmark has {', '.join(benchmark.datasets)}."
    if request.benchmark is None:
        return ""
    return f" {request.benchmark} means records here; for its datasets name its file, as --benchmark FILE.yaml."
