"""The family of `segbench compare`: A - B, A - others that were trained for equal seconds, and A's placebos."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import StatisticsError
from segbench.report.ranking.comparable import check_same_truth, explain_refusal, find_obstacles, read_counts
from segbench.report.ranking.differences import Contrast, Pair, find_own, judge_family, pairs_by_name
from segbench.report.ranking.intervals import RankingDraws
from segbench.stats.bootstrap import RESAMPLES
from segbench.stats.evidence import iou_evidence
from segbench.stats.summary import CONFIDENCE_LEVEL
from segbench.stats.verdict import EQUIVALENCE_MARGIN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from segbench.report.ranking.rows import Row
    from segbench.report.records import Sources
    from segbench.store.counts import Counts

    from .rankings import SharedRanking

    CountsByRow = dict[str, dict[int, Counts]]


class Settings(NamedTuple):
    """The margin of "equivalent" and the level of confidence, fractions of 1, and how many images are named.

    `images` are so many of the largest gains and as many of the largest losses, `resamples` those of the bootstrap.
    """

    margin: float = EQUIVALENCE_MARGIN
    level: float = CONFIDENCE_LEVEL
    images: int = 5
    resamples: int = RESAMPLES


DEFAULTS = Settings()


class Family(NamedTuple):
    """The judged differences, A - B first; what was left out or ignored, and why; the counts of A and B by seed."""

    contrasts: tuple[Contrast, ...]
    left_out: tuple[str, ...]
    ignored: tuple[str, ...]
    one: dict[int, Counts]
    other: dict[int, Counts]


def judge_methods(ranking: SharedRanking, sources: Sources, settings: Settings) -> Family:
    """Judge A - B together with what else is to be said of A in its ranking.

    Raises StatisticsError if too little is left of A or of B to compare.
    """
    (one, other), both, ignored = _read([ranking.one, ranking.other], sources)
    pairs = _with_common_seeds([Pair(one, other.method, "claim", other)], both)
    counts, left_out = dict(both), []
    for row in _related_rows(ranking):
        try:
            _check_comparable(one, row)
            (read,), more, lines = _read([row], sources)
            ignored += lines
            pairs += _with_common_seeds(_pairs_with(read, one, other), {**both, **more})
            counts |= more
        except StatisticsError as error:
            left_out.append(f"{row.name} is not compared: {error}")
    contrasts = _judge(pairs, counts, settings)
    ours, theirs = ({seed: both[row.name][seed] for seed in contrasts[0].difference.by_seed} for row in (one, other))
    return Family(contrasts, tuple(left_out), tuple(ignored), ours, theirs)


def _judge(pairs: list[Pair], counts: CountsByRow, settings: Settings) -> tuple[Contrast, ...]:
    """Judge all pairs; StatisticsError if one has too little to be scored, for then all have: the truth is the same."""
    cells = {
        name: {seed: iou_evidence({name: {seed: found}}) for seed, found in by_seed.items()}
        for name, by_seed in counts.items()
    }
    draws = RankingDraws(cells, {}, pairs_by_name(pairs), settings.resamples)
    judged = judge_family(pairs, draws, margin=settings.margin, level=settings.level)
    for found in judged:
        if found.missing:
            raise StatisticsError(found.missing)
    return tuple(found for found in judged if isinstance(found, Contrast))


def _related_rows(ranking: SharedRanking) -> Iterable[Row]:
    """Return the other rows that have to do with A: its placebos and opponents.

    With B as the twin of equal steps, that of equal seconds is an opponent as well, and the other way round.
    """
    one, other = ranking.one, ranking.other
    for row in sorted(ranking.group.rows, key=lambda row: row.method):
        if find_own(one, row.method, ranking.group.rows) is not row:
            continue
        is_opponent = row.as_long_as == one.method or (other.as_long_as == one.method and row.method == one.twin)
        if row.method in (one.method, other.method) or row.scored_only:
            continue
        if row.placebo_of == one.method or is_opponent:
            yield row


def _pairs_with(row: Row, one: Row, other: Row) -> list[Pair]:
    """Return the differences that a related row adds: with A's placebo what it gains over B and A over it."""
    if row.placebo_of != one.method:
        return [Pair(one, row.method, "opponent", row)]
    return [Pair(row, other.method, "placebo's gain", other), Pair(one, row.method, "placebo", row)]


def _with_common_seeds(pairs: Iterable[Pair], counts: CountsByRow) -> list[Pair]:
    """Let pairs use the seeds that all rows have; StatisticsError if their counts cannot be compared."""
    check_same_truth(counts)
    seeds = iou_evidence(counts).seeds
    return [pair._replace(seeds=seeds) for pair in pairs]


def _read(rows: Iterable[Row], sources: Sources) -> tuple[list[Row], CountsByRow, list[str]]:
    """Return rows with what their counts show, these by name and seed, and which records were ignored and why."""
    found = [read_counts(row, sources) for row in rows]
    for row, counts, ignored in found:
        if not counts:
            raise StatisticsError(f"nothing of {row.method!r} is left to compare ({'; '.join(ignored)})")
    counts_by_row = {row.name: counts for row, counts, _ in found}
    return [row for row, _, _ in found], counts_by_row, [line for _, _, ignored in found for line in ignored]


def _check_comparable(one: Row, other: Row) -> None:
    if found := find_obstacles(one, other):
        raise StatisticsError(explain_refusal(one, other, found))
