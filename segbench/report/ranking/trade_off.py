"""The trade-off of mIoU and speed: which rows another row beats in both, and which one the front recommends.

Speed is images a second of the forward pass at the protocol's batch. Only rows that were timed under the same
conditions are compared; placebos are controls, so they take no part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.config.timing import ADAPTIVE_PRECISION
from segbench.report.numbers import percent, points, points_interval, significant

from .pairs import find_pair
from .rows import where_both_ran
from .timings import speed_ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.store.record import Inference

    from .groups import Group
    from .rows import Row


# A fraction of 1 of mIoU: what may be given up for speed.
NEARLY_THE_BEST = 0.01
# Speeds of different sessions on one machine may differ by as much with nothing changed.
APART = 1.1


def find_beaten(rows: Sequence[Row]) -> dict[str, str]:
    """Return the names of the rows that another row beats in both mIoU and speed, each with that row.

    It has the higher mean mIoU and is faster beyond chance; of several the one with the highest mIoU is named.
    """
    found: dict[str, str] = {}
    candidates = [(_miou(row), row) for row in _candidates(rows)]
    for place, (miou, row) in enumerate(candidates):
        better = (one for score, one in candidates[:place] if score > miou and is_faster(one, row))
        if beats := next(better, None):
            found[row.name] = beats.name
    return found


def front(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the names of the rows that no other row beats in both mIoU and speed, best mIoU first."""
    return tuple(row.name for row in _candidates(rows) if not row.beaten_by)


def recommend(group: Group) -> str | None:
    """Say which row of the front is nearly as good as the best and faster; None where no speeds differ."""
    candidates = _candidates(group.rows)
    best = candidates[0] if candidates else None
    others = [row for row in candidates[1:] if best and where_both_ran(row, best)]
    if best is None or not others:
        return None
    is_best_of_all = all(_miou(row) <= _miou(best) for row in group.rows if not row.placebo_of)
    named = f"the best{'' if is_best_of_all else ' timed row'} ({best.name}, {percent(_miou(best))} %)"
    faster = [row for row in others if is_faster(row, best)]
    near = [row for row in faster if _miou(best) - _miou(row) <= NEARLY_THE_BEST]
    if not faster:
        is_alone = any(is_faster(best, row) for row in others)
        return f"No row is faster than {named}." if is_alone else None
    if not near:
        return f"No faster row comes within {100 * NEARLY_THE_BEST:g} point of {named}."
    chosen = find_fastest(near)
    return (
        f"Within {100 * NEARLY_THE_BEST:g} point of {named}, {say_how_much_faster(chosen, best)}: {chosen.name}, "
        f"{_difference(group, chosen, best)}."
    )


def is_faster(one: Row, other: Row) -> bool:
    """Tell whether a row is faster than another: beyond chance in one session, by over a tenth in different ones.

    Ratios of one session are known to ADAPTIVE_PRECISION at best, so smaller ones are none.
    """
    both = where_both_ran(one, other)
    mine, theirs = map(shown_speed, both) if both else (None, None)
    if both is None or mine is None or theirs is None:
        return False
    ratio = speed_ratio(both[0].speed, both[1].speed, "forward", mine.batch)
    if ratio:
        return ratio.low > 1 and ratio.estimate > 1 + ADAPTIVE_PRECISION
    return mine.images_per_second > APART * theirs.images_per_second


def shown_speed(row: Row) -> Inference | None:
    """Return the timing of a row's forward pass at the protocol's batch; None if it was not timed there."""
    batch = row.conditions.batch_size if row.conditions else None
    return row.speed.row("forward", batch or 1)


def _candidates(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with both mIoU and speed that are no placebos, best mIoU first."""
    found = [row for row in rows if shown_speed(row) and not row.placebo_of and row.score("miou").n]
    return sorted(found, key=_miou, reverse=True)


def _miou(row: Row) -> float:
    return row.score("miou").mean or 0.0


def find_fastest(rows: Sequence[Row]) -> Row:
    """Return the first of the rows than which the fewest others are known to be faster, none as a rule."""
    return min(rows, key=lambda row: sum(is_faster(other, row) for other in rows))


def say_how_much_faster(one: Row, other: Row) -> str:
    """Return a factor where both were timed in one session, else both speeds."""
    ours, theirs = where_both_ran(one, other) or (one, other)
    timings = [found for found in map(shown_speed, (ours, theirs)) if found]
    ratio = speed_ratio(ours.speed, theirs.speed, "forward", timings[0].batch)
    if ratio and ratio.is_measured:
        return f"{significant(ratio.estimate)} times as fast"
    return f"{' against '.join(significant(timing.images_per_second) for timing in timings)} images/s"


def _difference(group: Group, one: Row, other: Row) -> str:
    """Return the difference of mIoU with its interval among all pairs of the ranking, where it has one."""
    pair = find_pair(group.pairs, one.name, other.name)
    if pair is None:
        return f"{points(_miou(one) - _miou(other))} points"
    seen = pair.seen_from(one.name)
    return f"{points(seen.estimate)} points {points_interval(seen.interval)}"
