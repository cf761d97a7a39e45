"""Two methods beside each other: what is surely different between them, where it lies, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import SegbenchError, StatisticsError
from segbench.report import cell_spec
from segbench.report.ranking.comparable import definition_obstacles, refusal
from segbench.report.ranking.groups import rank_records
from segbench.report.records import read_sources
from segbench.stats.definitions import METRIC_DEFINITIONS
from segbench.stats.evidence import iou_evidence
from segbench.stats.gains import score_differences, seed_scores
from segbench.stats.summary import summarize

from .family import DEFAULTS, compare_costs, failures_of, find_pairs, is_trained_like, judged_family, narrowed
from .gains import find_gains

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from segbench.report.ranking.groups import Report
    from segbench.report.ranking.rows import Row
    from segbench.report.records import Sources
    from segbench.stats.gains import ScoreDifference
    from segbench.stats.summary import Summary

    from .family import Contrast, CostComparison, Family, Pair, Settings
    from .gains import Gains


OTHER_SCORES = ("boundary_iou", "boundary_f1", "per_image_miou", "pixel_accuracy", "ece", "nll", "brier")


@dataclass(frozen=True)
class MethodComparison:
    """All that is said of A against B in one ranking.

    `clusters` is the number of groups in which images are drawn, None where each is drawn alone. The first of
    `contrasts` is A - B. `miou` holds the scores of A and of B by seed, `definition` the id of their
    passport. `relation` says what B is to A, `notes` what else a reader must know, `set_aside` which records were not
    used and why.
    """

    pair: Pair
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
    set_aside: tuple[str, ...]

    @property
    def names(self) -> tuple[str, str]:
        """The names of A and of B."""
        return self.pair.one.method, self.pair.other.method

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
        placebos = {found.member.one: found for found in self.contrasts if found.member.role == "placebo"}
        return tuple((placebos[left.member.other], left) for left in self.contrasts if left.member.role == "left")


class Comparisons(NamedTuple):
    """A against B in each ranking in which both stand, why not in others, and where the records lie."""

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
    """Compare two methods in every ranking of the records in some folders in which both stand.

    Raises RecordError if there are no records, a name is unknown or a method has no result; StatisticsError, with the
    field that differs, if they must not be compared or too little is left to compare.
    """
    sources = read_sources(directories, benchmark)
    report = narrowed(rank_records(sources), dataset, subset)
    pairs, refused = find_pairs(report, *names)
    found = []
    for pair in pairs:
        try:
            found.append(_compared(pair, report, sources, settings))
        except SegbenchError as error:
            refused.append(str(error))
    if not found:
        raise StatisticsError("; ".join(refused))
    return Comparisons(tuple(found), tuple(refused), sources.folders)


def _compared(pair: Pair, report: Report, sources: Sources, settings: Settings) -> MethodComparison:
    family = judged_family(pair, sources, settings)
    one, other = family.one, family.other
    evidence = iou_evidence({"one": one, "other": other})
    names = pair.one.classes or pair.other.classes
    differing = {name: definition_obstacles(pair.one, pair.other, name) for name in OTHER_SCORES}
    return MethodComparison(
        pair=pair,
        settings=settings,
        definition=_definition(pair.one),
        clusters=None if evidence.clusters is None else len(set(evidence.clusters)),
        relation=_relation(pair.one, pair.other),
        miou=(seed_scores(evidence, "one"), seed_scores(evidence, "other")),
        contrasts=family.contrasts,
        scores=tuple(score_differences(OTHER_SCORES, one, other, level=settings.level, resamples=settings.resamples)),
        cost=compare_costs(pair.one, pair.other, tuple(one)),
        gains=find_gains(one, other, names, settings.images, settings.resamples),
        notes=(
            *_notes(pair, report, family),
            *(f"Left out: {refusal(pair.one, pair.other, found)}" for found in differing.values() if found),
        ),
        set_aside=family.set_aside,
    )


def _definition(row: Row) -> str:
    return cell_spec.definitions(row.records[0]).get("miou") or METRIC_DEFINITIONS["miou"].definition


def _relation(one: Row, other: Row) -> str:
    """Say what B is to A."""
    ours, theirs = one.method, other.method
    if other.method == one.twin:
        return f"{theirs} is the twin of {ours}: the same without the claimed part."
    if one.method == other.twin:
        return f"{ours} is the twin of {theirs}: the same without the claimed part."
    if other.placebo_of == ours:
        return f"{theirs} is a placebo of {ours}: its critic is broken on purpose."
    if one.placebo_of == theirs:
        return f"{ours} is a placebo of {theirs}: its critic is broken on purpose."
    if is_trained_like(other, ours):
        return f"{theirs} was given as many seconds of training as {ours} was measured to take."
    if theirs in one.against or ours in other.against:
        return f"The benchmark claims something of {ours if theirs in one.against else theirs} against the other."
    twin = f"the twin of {ours} is {one.twin}" if one.twin else f"{ours} has no twin"
    return f"{theirs} is not the twin of {ours} ({twin}), and no claim names both: they may differ in several things."


def _notes(pair: Pair, report: Report, family: Family) -> Iterable[str]:
    for row, partner in ((pair.one, pair.other), (pair.other, pair.one)):
        yield from (f"{row.method}: {note}" for note in row.notes)
        if alone := [str(seed) for seed in row.seeds if seed not in partner.seeds]:
            yield f"{row.method}: left out for want of a partner: seed{'s' * (len(alone) > 1)} {', '.join(alone)}"
        yield from failures_of(report, pair.group, row.method)
    yield from family.left_out
    if any(row.placebo_of == pair.other.method for row in pair.group.rows):
        ours, theirs = pair.one.method, pair.other.method
        yield f"What placebos leave of the gain of {theirs}: see `segbench compare {theirs} {ours}`"
