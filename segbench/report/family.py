"""The differences that are judged together: A - B, A against its other opponents, and what placebos leave of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from segbench.errors import StatisticsError
from segbench.stats.bootstrap import crossed_draws
from segbench.stats.difference import drawn_difference
from segbench.stats.evidence import iou_evidence
from segbench.stats.verdict import judge

from .comparable import check_same_truth, counted, obstacles, refusal
from .cost_comparison import is_trained_like, terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from segbench.stats.difference import Difference
    from segbench.stats.verdict import Judgement
    from segbench.store.counts import Counts

    from .cost_comparison import Terms
    from .pair import Pair
    from .rows import Row
    from .settings import Settings
    from .sources import Sources

Role = Literal["claim", "opponent", "placebo", "left"]


class Member(NamedTuple):
    """One difference of the family, one - other, and on what terms the two were trained.

    Its role is "claim" for A - B, "opponent" for A - another twin of A, "placebo" for what a placebo of A gains over B,
    "left" for what is left of A's gain over that placebo.
    """

    role: Role
    one: str
    other: str
    terms: Terms


class Contrast(NamedTuple):
    """A member of the family and what may be said of it."""

    member: Member
    judgement: Judgement

    @property
    def difference(self) -> Difference:
        """The difference in mIoU."""
        return self.judgement.difference


class Family(NamedTuple):
    """The contrasts, A - B first; why others that belong to it are not there; the counts that were used, by seed."""

    contrasts: tuple[Contrast, ...]
    left_out: tuple[str, ...]
    set_aside: tuple[str, ...]
    one: dict[int, Counts]
    other: dict[int, Counts]


def judged_family(pair: Pair, sources: Sources, settings: Settings) -> Family:
    """Judge A - B together with what else is to be said of A in its ranking.

    Raises StatisticsError if too little is left of A or of B to compare.
    """
    one, other = pair.one, pair.other
    cells, set_aside = _cells([one, other], sources)
    claim = Member("claim", one.method, other.method, terms(one, other))
    differences = _differences(cells, [claim], settings)
    left_out = []
    for row, members in _others(pair):
        try:
            _check(one, row)
            more, aside = _cells([row], sources)
            set_aside += aside
            differences |= _differences({**cells, **more}, members, settings)
        except StatisticsError as error:
            left_out.append(f"{row.method} takes no part: {error}")
    judged = judge(differences, margin=settings.margin, level=settings.level)
    contrasts = tuple(Contrast(member, judgement) for member, judgement in judged.items())
    ours, theirs = ({seed: cells[row.method][seed] for seed in differences[claim].by_seed} for row in (one, other))
    return Family(contrasts, tuple(left_out), tuple(set_aside), ours, theirs)


def _others(pair: Pair) -> Iterable[tuple[Row, list[Member]]]:
    """Return the other rows that have to do with A, and the differences that each adds to the family."""
    one, other = pair.one, pair.other
    for row in sorted(pair.group.rows, key=lambda row: row.method):
        if row.method in (one.method, other.method) or row.scored_only:
            continue
        if row.placebo_of == one.method:
            yield (
                row,
                [
                    Member("placebo", row.method, other.method, terms(row, other)),
                    Member("left", one.method, row.method, terms(one, row)),
                ],
            )
        elif is_trained_like(row, one.method) or (is_trained_like(other, one.method) and row.method == one.twin):
            yield row, [Member("opponent", one.method, row.method, terms(one, row))]


def _differences(
    cells: dict[str, dict[int, Counts]], members: Sequence[Member], settings: Settings
) -> dict[Member, Difference]:
    """Return differences over the seeds that all methods have, from the same draws."""
    check_same_truth(cells)
    draws = crossed_draws(iou_evidence(cells), settings.resamples)
    return {member: drawn_difference(draws, member.one, member.other) for member in members}


def _cells(rows: Sequence[Row], sources: Sources) -> tuple[dict[str, dict[int, Counts]], list[str]]:
    """Return the counts of rows by method and seed, and which records were set aside and why."""
    found = {row.method: counted(row, sources) for row in rows}
    for name, read in found.items():
        if not read.counts:
            raise StatisticsError(f"nothing of {name!r} is left to compare ({'; '.join(read.set_aside)})")
    counts = {name: read.counts for name, read in found.items()}
    return counts, [line for read in found.values() for line in read.set_aside]


def _check(one: Row, other: Row) -> None:
    if found := obstacles(one, other):
        raise StatisticsError(refusal(one, other, found))
