"""The table of differences: methods beside their twins, beside others that claims name, and beside their placebos."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from .numbers import MISSING, points, points_interval, signed_points, significant, times
from .table import Column, Table, table
from .tables import ONE_SEED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .twins import Comparison


def differences(compared: Sequence[Comparison]) -> Table:
    """Return the differences of mIoU and what may be said of them."""
    columns: list[Column[Comparison]] = [
        Column("methods A - B", lambda one: f"{one.row.method} - {one.named or MISSING}"),
        Column("difference [points]", _difference),
        Column("verdict", lambda one: one.judgement.verdict if one.judgement else MISSING),
        Column("P(A>B)", lambda one: f"{one.judgement.difference.probability:.2f}" if one.judgement else MISSING),
        Column("sign-flip\np", lambda one: f"{one.judgement.difference.sign_flip_p:.2g}" if one.judgement else MISSING),
        Column("smallest\neffect", _smallest_effect),
        Column("seeds /\nneeded", _seeds),
        Column("training\ntime", lambda one: times(one.time_ratio)),
    ]
    return table(columns, compared, "Differences of mIoU")


def footnotes(compared: Sequence[Comparison]) -> Iterable[str]:
    """Say which differences could not be judged, and why."""
    for one in compared:
        if one.named and one.other is None:
            yield f"{one.row.method}: {_word(one)} {one.named} has not exactly one row in this ranking to compare with."
    reasons: dict[str, list[str]] = defaultdict(list)
    for one in compared:
        # a row without an interval of its own has its reason beside the ranking
        if one.missing and one.row.standing.estimate and one.other and one.other.standing.estimate:
            reasons[one.missing].append(f"{one.row.method} - {one.named}")
    for reason, pairs in reasons.items():
        yield f"No interval of {', '.join(pairs)}: {reason}."


def _word(one: Comparison) -> str:
    return {"twin": "its twin", "claim": "the claimed rival", "placebo": "its placebo", "none": ""}[one.relation]


def _difference(one: Comparison) -> str:
    if one.interval is None:
        return points(one.miou)
    return (
        f"{signed_points(one.miou.mean)} {points_interval(one.interval)}{ONE_SEED if one.is_over_images_only else ''}"
    )


def _smallest_effect(one: Comparison) -> str:
    return significant(one.judgement.smallest_effect, 0.01) if one.judgement else MISSING


def _seeds(one: Comparison) -> str:
    needed = one.judgement.seeds_needed if one.judgement else None
    return f"{len(one.seeds)} / {MISSING if needed is None else needed}"
