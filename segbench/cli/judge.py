"""`segbench judge`: people compare label maps blind, on a page of their own, and their votes come back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .completion import complete_recorded_benchmark
from .options import Json, Output
from .output import check_can_be_written, print_document, print_or_write, say, to_json, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.report.judging.material import Material
    from segbench.report.judging.page import Page
    from segbench.report.ranking.people import HumanRanking


def judge(
    places: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR]...", help="Results folders, or single benchmarks' in them. [default: results]"),
    ] = None,
    methods: Annotated[
        str | None, typer.Option("--methods", metavar="A,B[,C]", help="The methods to be compared, two or more.")
    ] = None,
    images: Annotated[
        int | None, typer.Option("--images", min=1, help="How many images. [default: 20, or all that were kept]")
    ] = None,
    output: Output = None,
    votes: Annotated[
        list[Path] | None,
        typer.Option("--import", metavar="FILE...", help="Read votes that pages saved, and print what people prefer."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws images, pairs, their order and sides.")] = 0,
    each_seed: Annotated[
        bool, typer.Option("--each-seed", help="Show each image with every training seed, not with one in turn.")
    ] = False,
    max_mb: Annotated[float, typer.Option("--max-mb", min=0.1, help="The largest size of the page, in MB.")] = 8,
    private: Annotated[
        bool,
        typer.Option("--private", help="Show also images that may not be passed on; keep the page in your group."),
    ] = False,
    benchmark: Annotated[
        str | None, typer.Option(help="Judge methods of this benchmark.", autocompletion=complete_recorded_benchmark)
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Judge on this dataset of the benchmark.")] = None,
    json: Json = False,
) -> None:
    """Make a page on which people compare label maps blind, or import the votes that such pages saved.

    A page: `segbench judge results --methods A,B --images 20 -o judge.html`. It works offline and names no method.
    Votes: `segbench judge --import votes*.json results`.
    """
    if votes:
        given = places or []
        folders = [place for place in given if place.is_dir()]
        files = [*votes, *(place for place in given if not place.is_dir())]
        _print_people(*_import(files, folders or [Path("results")]), json, output)
        return
    if json:
        raise typer.BadParameter("--json is for --import; a page is no JSON")
    if methods is None or output is None:
        raise typer.BadParameter("give --methods A,B and -o judge.html to make a page, or --import FILE to read votes")
    names = [name.strip() for name in methods.split(",")]
    from segbench.report.judging.material import find_material
    from segbench.report.judging.page import make_page
    from segbench.store.judgements import MOST_METHODS, write_plan

    if not 2 <= len(names) <= MOST_METHODS or "" in names or len(set(names)) < len(names):
        raise typer.BadParameter(
            f"--methods {methods}: write two to {MOST_METHODS} methods with commas between, each once"
        )

    check_can_be_written(output)
    material = find_material(places or [Path("results")], names, benchmark=benchmark, dataset=dataset)
    _check_may_be_shown(material, private)
    page = make_page(material, images, seed, each_seed=each_seed, megabytes=max_mb)
    kept = write_plan(material.folder, page.plan)
    write(output, page.html)
    say(_describe(material, page, kept, max_mb))


def _import(votes: Sequence[Path], places: Sequence[Path]) -> tuple[list[HumanRanking], Sequence[str]]:
    """Keep votes beside the records that they are about; return what people prefer, and what was not read."""
    from segbench.report.judging.votes import import_votes
    from segbench.report.ranking.groups import rank_records
    from segbench.report.ranking.people import read_people
    from segbench.report.ranking.pooling import pool_folds
    from segbench.report.records import read_sources

    sources = pool_folds(read_sources(places))
    wanted = {plan.hash for _, plan in import_votes(sources.folders, votes)}
    people, unread = read_people(sources.folders, rank_records(sources))
    return [one for one in people if one.plan.hash in wanted], [str(problem) for problem in unread]


def _print_people(people: Sequence[HumanRanking], unread: Sequence[str], json: bool, output: Path | None) -> None:
    from segbench.report.formats.layout import Document, lay_out_people
    from segbench.report.formats.people import people_data

    if json:
        found = [people_data(one).model_dump(mode="json", by_alias=True) for one in people]
        print_or_write(to_json({"people": found, "problems": [*unread]}) + "\n", output)
    else:
        document = Document(tuple(map(lay_out_people, people)), (), tuple(f"Not read: {problem}" for problem in unread))
        print_document(document, output)


def _check_may_be_shown(material: Material, private: bool) -> None:
    """Raise DataError if images that may not be passed on would be in a page that leaves the group."""
    from segbench.errors import DataError
    from segbench.report.page.embedding import may_be_passed_on

    record = next(record for row in material.group.rows for record in row.records)
    if not private and not may_be_passed_on(record, material.description):
        licence = f" ({material.description.licence})" if material.description.licence else ""
        raise DataError(
            f"the images of {material.group.data.dataset} may not be passed on{licence}, and the page would hold them; "
            "add --private if it stays inside your group"
        )


def _describe(material: Material, page: Page, kept: Path, max_mb: float) -> str:
    """Return a summary of a page: its questions, its size, and which file says whose each label map is."""
    from segbench.report.judging.material import KEEP_MORE
    from segbench.report.judging.page import MEGABYTE

    plan, size = page.plan, len(page.html.encode()) / MEGABYTE
    kinds = [deal.kind for deal in plan.deals]
    images = len({look.image for look in plan.looks})
    lines = [
        f"{len(kinds)} questions on {images} of the {len(material.images)} images that all methods kept: "
        f"{kinds.count('pair')} pairs, {kinds.count('repeat')} of them again with sides swapped, "
        f"{kinds.count('sham')} that check attention",
    ]
    if images == len(material.images):
        lines.append(f"these are all images; {KEEP_MORE}")
    lines.append(f"the page has {size:.1f} MB; about {int(images * max_mb / size)} such images fit into {max_mb:g} MB")
    if plan.ties:
        lines.append(f"{len(plan.ties)} pairs of identical label maps count as ties and are not asked about")
    if "sham" not in kinds:
        lines.append("attention is not checked: no prediction is right on enough of its image")
    lines.append(f"which label map is whose stands in {kept} only; read votes with `segbench judge --import FILE`")
    return "\n".join(lines)
