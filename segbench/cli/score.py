"""`segbench score`: a record of label maps that any other tool has made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .arguments import DatasetOptions, Results, Root, parse_options

if TYPE_CHECKING:
    from segbench.store.record import Record


def score(
    predictions: Annotated[Path, typer.Argument(help="Folder of label maps: PNGs of class ids, named by image id.")],
    dataset: Annotated[str, typer.Option(help="A dataset component, or a dataset of the benchmark.")],
    name: Annotated[str, typer.Option(help="The method's name in the table.")],
    benchmark: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="The benchmark in whose table the scores shall stand.")
    ] = None,
    root: Root = None,
    option: DatasetOptions = None,
    split: Annotated[str | None, typer.Option(help="train, val or test. [default: what the benchmark scores]")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed they were made with.")] = 0,
    results: Results = Path("results"),
) -> None:
    """Score the label maps of another tool and record them, so that they stand in the same table."""
    from segbench.engine.score import score_predictions
    from segbench.engine.score_request import ScoreRequest, boundaries_of, resolve_request
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
    use, entry, folder = resolve_request(request, registry)
    record = score_predictions(predictions, use, entry, registry, folder, boundaries_of(request, registry))
    typer.echo(summary(record))
    typer.echo(folder.record_path(record.key))


def summary(record: Record) -> str:
    """Return the scores in one line."""
    assert record.scores is not None
    assert record.evaluated is not None
    found = {name: value for name, value in record.scores.model_dump().items() if value is not None}
    numbers = ", ".join(f"{name} {value:.4f}" for name, value in found.items())
    return f"{record.method} on {record.dataset} {record.evaluated.split} ({record.evaluated.images} images): {numbers}"
