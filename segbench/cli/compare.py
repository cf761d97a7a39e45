"""`segbench compare`: is one method better than another, by how much, and where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .completion import complete_recorded_benchmark, complete_recorded_method
from .options import Directories, Json, Output
from .output import UNDECIDED, print_document, print_or_write

if TYPE_CHECKING:
    from segbench.report.comparison.compare import Comparisons


Format = Literal["table", "markdown", "csv", "latex", "json"]


def compare(
    one: Annotated[
        str | None,
        typer.Argument(
            metavar="A",
            help="The method of which something is claimed.",
            autocompletion=complete_recorded_method,
            show_default=False,
        ),
    ] = None,
    other: Annotated[
        str | None,
        typer.Argument(
            metavar="B",
            help="The method that it is compared with, such as its twin.",
            autocompletion=complete_recorded_method,
            show_default=False,
        ),
    ] = None,
    directories: Directories = None,
    reference: Annotated[
        bool,
        typer.Option(
            "--reference",
            help="Compare with published values: `--reference [FILE.yaml] [DIR]...`, without A and B.",
        ),
    ] = False,
    benchmark: Annotated[
        str | None, typer.Option(help="Compare within this benchmark only.", autocompletion=complete_recorded_benchmark)
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Compare on this dataset of the benchmark only.")] = None,
    subset: Annotated[
        str | None, typer.Option(help='Compare with this share of the labels only: "all", or such as "labels 0.125".')
    ] = None,
    margin: Annotated[
        float, typer.Option(min=0, max=100, help="Points of mIoU within which two methods are equivalent.")
    ] = 0.5,
    level: Annotated[
        float, typer.Option(help="Confidence of the intervals, between 0.5 and 1, for all verdicts together.")
    ] = 0.95,
    images: Annotated[int, typer.Option(min=0, help="How many of the largest gains and of the losses to name.")] = 5,
    format: Annotated[Format | None, typer.Option(help="How to write it.", show_default="table")] = None,
    require_verdict: Annotated[
        bool, typer.Option("--require-verdict", help="End with 3 unless every verdict is better, equivalent or worse.")
    ] = False,
    json: Json = False,
    output: Output = None,
) -> None:
    """Compare two methods: the difference with its interval and verdict, where it lies, and what it costs.

    Where a name stands for several recipes, METHOD@KEY (the beginning of a key), METHOD@latest or METHOD=DIR is one.
    """
    if json and format not in (None, "json"):
        raise typer.BadParameter(f"--json and --format {format} are two formats; give one")
    format = "json" if json else format
    if reference:
        if require_verdict:
            raise typer.BadParameter("--reference gives no verdict; name the two methods of the one that is required")
        words = [word for word in (one, other, *map(str, directories or [])) if word is not None]
        _compare_with_published(words, benchmark, dataset, subset, format, output)
        return
    if one is None or other is None:
        raise typer.BadParameter("name the two methods to compare: `segbench compare A B`; or give --reference")
    if not 0.5 <= level < 1:
        raise typer.BadParameter(f"{level:g} is not at least 0.5 and below 1, such as 0.95", param_hint="'--level'")
    _check_order(one, directories or [Path("results")])
    from segbench.report.comparison.as_data import to_csv, to_json
    from segbench.report.comparison.compare import compare_methods
    from segbench.report.comparison.family import Settings
    from segbench.report.comparison.text import lay_out_comparisons

    found = compare_methods(
        directories or ([] if "=" in one and "=" in other else [Path("results")]),
        (one, other),
        benchmark=benchmark,
        dataset=dataset,
        subset=subset,
        settings=Settings(margin=margin / 100, level=level, images=images),
    )
    if format == "json":
        print_or_write(to_json(found), output)
    elif format == "csv":
        print_or_write(to_csv(found), output)
    else:
        print_document(lay_out_comparisons(found), output, format or "table")
    if require_verdict and not is_decided(found):
        raise typer.Exit(UNDECIDED)


def is_decided(comparisons: Comparisons) -> bool:
    """Tell whether there are comparisons, and a verdict on each."""
    verdicts = [found.claim.judgement.verdict for found in comparisons.found]
    return bool(verdicts) and "undecided" not in verdicts


def _compare_with_published(
    words: list[str],
    benchmark: str | None,
    dataset: str | None,
    subset: str | None,
    format: Format | None,
    output: Path | None,
) -> None:
    """Print records beside published values; of `words`, a file of such values comes first, then folders."""
    if format == "csv":
        raise typer.BadParameter("--reference has no CSV; give --format markdown, latex or json")
    from segbench.config.benchmark import SUFFIXES
    from segbench.report.comparison.against_published import (
        compare_with_published,
        lay_out_published,
        published_to_json,
    )
    from segbench.report.comparison.published import PUBLISHED

    file = Path(words[0]) if words and words[0].endswith(SUFFIXES) else None
    folders = list(map(Path, words[1:] if file else words)) or [Path("results")]
    found = compare_with_published(folders, file or PUBLISHED, benchmark=benchmark, dataset=dataset, subset=subset)
    if format == "json":
        print_or_write(published_to_json(found), output)
    else:
        print_document(lay_out_published(found), output, format or "table")


def _check_order(one: str, directories: list[Path]) -> None:
    """Raise BadParameter if a folder stands where the first method does, as in `segbench report DIR`."""
    if Path(one).is_dir() and not all(folder.is_dir() for folder in directories):
        raise typer.BadParameter(f"{one} is a folder; the two methods come first: `segbench compare A B {one}`")
