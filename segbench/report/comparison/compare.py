"""Compare two methods: how sure their difference is, where it lies, and what it costs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import RecordError, SegbenchError, StatisticsError
from segbench.report import cell_spec
from segbench.report.ranking.comparable import explain_refusal, find_definition_obstacles
from segbench.report.ranking.groups import rank_records
from segbench.report.ranking.intervals import draw_ranking, read_evidence
from segbench.report.ranking.pairs import find_pair, judge_ranking
from segbench.report.ranking.pooling import pool_folds
from segbench.report.records import count_records, read_sources
from segbench.report.selection import keep_folders, name_apart, parse_selector
from segbench.stats.definitions import METRIC_DEFINITIONS
from segbench.stats.evidence import iou_evidence
from segbench.stats.gains import seed_scores
from segbench.stats.score_differences import score_differences
from segbench.stats.summary import summarize

from .costs import compare_costs
from .family import DEFAULTS, judge_methods
from .gains import find_gains
from .rankings import describe_failures, find_rankings, narrow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from segbench.report.ranking.differences import Contrast
    from segbench.report.ranking.groups import Group
    from segbench.report.ranking.pairs import RankedPair
    from segbench.report.ranking.rows import Row
    from segbench.report.records import Sources
    from segbench.stats.score_differences import ScoreDifference
    from segbench.stats.summary import Summary

    from .costs import CostComparison
    from .family import Family, Settings
    from .gains import Gains
    from .rankings import SharedRanking


# Of folders with more records only those are read that the comparison is made of, and no other pairs are judged.
MOST_CELLS = 300
OTHER_SCORES = ("boundary_iou", "boundary_f1", "per_image_miou", "pixel_accuracy", "ece", "nll", "brier")


@dataclass(frozen=True)
class MethodComparison:
    """All that is said of A against B in one ranking.

    `among_all` is the pair of A and B among all pairs of the ranking, and `pairs` their number, None where not all
    records were read. `clusters` is the number of groups in which images are drawn, None where each is drawn alone. The
    first of `contrasts` is A - B. `miou` holds the scores of A and of B by seed, `definition` the id of their
    definition. `relation` says what B is to A, `notes` what else a reader must know, `ignored` which records were not
    used and why.
    """

    ranking: SharedRanking
    settings: Settings
    definition: str
    clusters: int | None
    relation: str
    miou: tuple[Mapping[int, float | None], Mapping[int, float | None]]
    contrasts: tuple[Contrast, ...]
    scores: tuple[ScoreDifference, ...]
    cost: CostComparison
    gains: Gains
    notes: tuple[str, ...]
    ignored: tuple[str, ...]
    among_all: RankedPair | None = None
    pairs: int | None = None

    @property
    def names(self) -> tuple[str, str]:
        """The names of A and of B."""
        return self.ranking.one.name, self.ranking.other.name

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds in common."""
        return tuple(self.claim.difference.by_seed)

    @property
    def summaries(self) -> tuple[Summary, Summary]:
        """Mean and sample standard deviation of the mIoU of A and of B over the seeds in common."""
        ours, theirs = self.miou
        return summarize(ours.values()), summarize(theirs.values())

    @property
    def claim(self) -> Contrast:
        """A - B."""
        return self.contrasts[0]

    @property
    def triplets(self) -> tuple[tuple[Contrast, Contrast], ...]:
        """For each placebo of A: what it gains over B, and what is left of A's gain over it."""
        gains = {found.row.name: found for found in self.contrasts if found.relation == "placebo's gain"}
        return tuple((gains[left.other.name], left) for left in self.contrasts if left.relation == "placebo")


class Comparisons(NamedTuple):
    """A against B in each ranking in which both have a row, why not in others, and where the records are."""

    found: tuple[MethodComparison, ...]
    refused: tuple[str, ...]
    folders: tuple[Path, ...]


def compare_methods(
    directories: Sequence[Path],
    names: tuple[str, str],
    *,
    benchmark: str | None = None,
    dataset: str | None = None,
    subset: str | None = None,
    settings: Settings = DEFAULTS,
) -> Comparisons:
    """Compare two methods in every ranking of the records in some folders in which both have a row.

    The names may be selectors such as `unet@latest` (segbench/report/selection.py); the folders of these are read too.
    Raises RecordError if there are no records, a name is unknown or a method has no result; StatisticsError, with the
    field that differs, if they cannot be compared or too little is left to compare.
    """
    one, other = map(parse_selector, names)
    folders = [*filter(None, (one.folder, other.folder)), *directories]
    found_there, is_all = _read(list(dict.fromkeys(folders)), benchmark, {one.method, other.method})
    read = pool_folds(found_there)
    if one.method != other.method:
        read = keep_folders(read, [selector for selector in (one, other) if selector.folder])
    elif one != other:
        read, other = name_apart(read, one, other)
    sources = narrow(read, dataset, subset)
    rankings, refused = find_rankings(sources, rank_records(sources), one, other)
    found = []
    for ranking in rankings:
        try:
            compared = _compare(ranking, sources, settings)
            found.append(_place_among_all(compared, sources) if is_all else compared)
        except SegbenchError as error:
            refused.append(str(error))
    if not found:
        raise StatisticsError("; ".join(refused))
    return Comparisons(tuple(found), tuple(refused), sources.folders)


def _read(folders: Sequence[Path], benchmark: str | None, methods: set[str]) -> tuple[Sources, bool]:
    """Read the records of two methods and of those that are judged with them, or all; tell whether it was all.

    All are read of few, and where one of the two has no result, so that a message can say what there is instead.
    """
    if count_records(folders) > MOST_CELLS:
        with suppress(RecordError):  # there is none of them
            sources = _read_related(folders, benchmark, methods)
            if methods <= {record.method for record in sources.ranked} and count_records(sources.folders) > MOST_CELLS:
                return sources, False
    return read_sources(folders, benchmark), True


def _read_related(folders: Sequence[Path], benchmark: str | None, methods: set[str]) -> Sources:
    sources = read_sources(folders, benchmark, lambda content: cell_spec.is_related(content, methods))
    twins = {twin for record in sources.ranked if (twin := cell_spec.twin(record))} - methods
    if twins and any(map(cell_spec.as_long_as, sources.ranked)):  # the twin of equal steps is an opponent as well
        return read_sources(folders, benchmark, lambda content: cell_spec.is_related(content, methods | twins))
    return sources


def _compare(ranking: SharedRanking, sources: Sources, settings: Settings) -> MethodComparison:
    family = judge_methods(ranking, sources, settings)
    one, other = family.contrasts[0].row, family.contrasts[0].other
    ranking = ranking._replace(one=one, other=other)
    counts = family.one, family.other
    evidence = iou_evidence({"one": family.one, "other": family.other})
    return MethodComparison(
        ranking=ranking,
        settings=settings,
        definition=_definition(one),
        clusters=None if evidence.clusters is None else len(set(evidence.clusters)),
        relation=_relation(one, other),
        miou=(seed_scores(evidence, "one"), seed_scores(evidence, "other")),
        contrasts=family.contrasts,
        scores=tuple(score_differences(OTHER_SCORES, *counts, level=settings.level, resamples=settings.resamples)),
        cost=compare_costs(one, other, tuple(family.one)),
        gains=find_gains(*counts, one.classes or other.classes, settings.images, settings.resamples),
        notes=tuple(_notes(ranking, sources, family)),
        ignored=family.ignored,
    )


def _place_among_all(found: MethodComparison, sources: Sources) -> MethodComparison:
    """Return a comparison with its verdict among all pairs of the ranking, of which all records were read."""
    rows, settings = found.ranking.group.rows, found.settings
    evidence = read_evidence(sources, [record for row in rows for record in row.records])
    draws = draw_ranking({row.name: row.records for row in rows}, evidence, resamples=settings.resamples)
    pairs = judge_ranking(draws, settings.margin, settings.level)
    return replace(found, among_all=find_pair(pairs, *found.names), pairs=len(pairs))


def _definition(row: Row) -> str:
    return cell_spec.definitions(row.records[0]).get("miou") or METRIC_DEFINITIONS["miou"].definition


def _relation(one: Row, other: Row) -> str:
    """Say what B is to A."""
    ours, theirs = one.name, other.name
    if other.method == one.method:
        return f"{ours} and {theirs} are two recipes of one name."
    if cell_spec.recipe(one.records[0]) == cell_spec.recipe(other.records[0]):
        return f"{ours} and {theirs} are one recipe."
    if other.method == one.twin:
        return f"{theirs} is the twin of {ours}: the same without the claimed part."
    if one.method == other.twin:
        return f"{ours} is the twin of {theirs}: the same without the claimed part."
    if other.placebo_of == one.method:
        return f"{theirs} is a placebo of {ours}: its discriminator is broken on purpose."
    if one.placebo_of == other.method:
        return f"{ours} is a placebo of {theirs}: its discriminator is broken on purpose."
    if other.as_long_as == one.method:
        return f"{theirs} was trained for as many seconds as {ours} took."
    if other.method in one.against or one.method in other.against:
        return f"A claim of the benchmark compares {ours} with {theirs}."
    twin = f"the twin of {ours} is {one.twin}" if one.twin else f"{ours} has no twin"
    return f"{theirs} is not the twin of {ours} ({twin}), and no claim names both: they may differ in several parts."


def _notes(ranking: SharedRanking, sources: Sources, family: Family) -> Iterable[str]:
    group, one, other = ranking
    for row, partner in ((one, other), (other, one)):
        yield from (f"{row.name}: {note}" for note in row.notes)
        yield from _unpaired_seeds(row, partner)
        yield from describe_failures(sources, group, row.method)
    yield from family.left_out
    yield from _numerics(one, other)
    if _has_placebos(other, group):
        yield f"Placebos of {other.method}: see `segbench compare {other.method} {one.method}`"
    for name in OTHER_SCORES:
        if found := find_definition_obstacles(one, other, name):
            yield f"Not compared: {explain_refusal(one, other, found)}"


def _numerics(one: Row, other: Row) -> Iterable[str]:
    """Say that both were not trained on one kind of machine with one torch, where they were not."""
    places = [dict.fromkeys(where.place for where in row.scored_under) for row in (one, other)]
    every = list(places[0] | places[1])
    if len(every) > 1:
        ours, theirs = (
            " and ".join(where.describe_beside([other for other in every if other != where]) for where in found)
            for found in places
        )
        yield (
            f"Numerics differ: {one.name} ran on {ours}, {other.name} on {theirs}. Their rounding acts like another "
            "seed; pairs share seeds and images, and the interval measures what their differences vary by"
        )


def _unpaired_seeds(row: Row, partner: Row) -> Iterable[str]:
    if alone := [str(seed) for seed in row.seeds if seed not in partner.seeds]:
        which, they = ("this seed", "seed") if len(alone) == 1 else ("these seeds", "seeds")
        yield f"{row.name}, {they} {', '.join(alone)} ignored: {partner.name} has no result for {which}"


def _has_placebos(row: Row, group: Group) -> bool:
    return any(one.placebo_of == row.method for one in group.rows)
