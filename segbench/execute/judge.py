"""A recorded cell that was run again, compared with its record: the same bits, or a score that is near enough."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from segbench.plan.repeat import describe_changes, read_cell
from segbench.stats.summary import CONFIDENCE_LEVEL, Interval, interval_of_repeat
from segbench.store.counts import has_counts, read_counts
from segbench.store.verification import Verification

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from segbench.plan.cell import Cell
    from segbench.store.record import Record
    from segbench.store.verification import Outcome

# What of an environment must agree for equal bits: the processor, its threads, and the libraries that compute.
_SAME_KIND = ("device", "device_name", "cpu", "bf16", "threads", "torch")


@dataclass(frozen=True, eq=False)
class Asked:
    """A finished record that is to be run again, the folder of its other files, and the scores of other seeds.

    `others` are the values of what `compared_score` names, for each test fold those that are not of this seed.
    """

    record: Record
    folder: Path
    others: Sequence[Sequence[float]] = ()


def compared_score(record: Record) -> str:
    """Return the score that tells whether a cell with other bits came out: mIoU, or that of its images."""
    if record.scores and record.scores.miou is not None:
        return "miou"
    return "kid" if record.generation and record.generation.kid is not None else "pixel_statistics"


def read_score(record: Record, name: str) -> float | None:
    """Return a score that `compared_score` names."""
    return getattr(record.scores if name == "miou" else record.generation, name, None)


def judge(asked: Asked, cell: Cell, again: Record, folder: Path, together: int = 1) -> Verification:
    """Return the mark of a record whose `cell` came out as `again`, with its files in `folder`.

    Equal counts and scores of every image are the same bits. Where these were not to be expected (another kind of
    processor, other code or libraries, a budget in seconds), the score must lie as near to the recorded one as the
    spread of seeds lets expect of all cells that are verified `together`. Raises RecordError if the counts of either
    cannot be read.
    """
    record, name = asked.record, compared_score(asked.record)
    before, after = read_score(record, name), read_score(again, name)
    unlike = _find_unlike(record, cell, again)
    differences = _find_differences(asked, again, folder)
    is_expected = bool(unlike and differences)
    interval = _find_interval(asked, name, before, together) if is_expected else None
    inside = interval is not None and after is not None and interval.low <= after <= interval.high
    outcome: Outcome = "not reproduced" if differences else "same bits"
    if is_expected:
        outcome = "undecided" if interval is None else "within seeds" if inside else "not reproduced"
    return Verification(
        key=record.key,
        outcome=outcome,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        score=name,
        before=before,
        after=after,
        low=interval and interval.low,
        high=interval and interval.high,
        seeds=1 + sum(map(len, asked.others)),
        together=together,
        differences=(*unlike, *differences),
        recorded=record.scores,
        generation=record.generation,
        machine={key: again.environment.get(key) for key in (*_SAME_KIND, "platform", "segbench")},
    )


def _find_interval(asked: Asked, name: str, before: float | None, together: int) -> Interval | None:
    """Return where the score of a repeat lies with 95 % for all cells together (Bonferroni); None if it may be any."""
    if before is None:
        return None
    found = interval_of_repeat(before, asked.others, 1 - (1 - CONFIDENCE_LEVEL) / together)
    if found is None or name != "miou":
        return found
    return None if found.low <= 0 and found.high >= 1 else Interval(*(min(max(end, 0.0), 1.0) for end in found))


def _find_unlike(record: Record, cell: Cell, again: Record) -> list[str]:
    """Say why other bits were to be expected; empty if they were not."""
    before, now = record.environment, again.environment
    found = [
        f"{name}: {now.get(name)}, was {before.get(name)}"
        for name in _SAME_KIND
        if name in before and now.get(name) != before[name]
    ]
    changes = describe_changes(read_cell(record), cell)
    found += [change for change in changes if change not in found]  # torch is among what most components require
    found += ["its budget is in seconds"] if cell.method.protocol.budget.is_time else []
    in_no_order = str(now.get("device")).startswith("cuda") and not cell.method.protocol.deterministic
    found += ["a GPU adds in no fixed order without `deterministic: true`"] if in_no_order else []
    return found


def _find_differences(asked: Asked, again: Record, folder: Path) -> list[str]:
    """Say in which scores and in the counts of how many images two records of one cell differ."""
    one, other = asked.record.model_dump(), again.model_dump()
    found = [
        f"{name} {_write(before)}, now {_write(after)}"
        for part in ("scores", "generation", "refinement")
        for name, before in (one[part] or {}).items()
        if (after := (other[part] or {}).get(name)) != before
    ]
    if asked.record.per_class != again.per_class and not found:
        found.append("scores by class")
    return [*_find_other_counts(asked.folder, folder), *found]


def _find_other_counts(one: Path, other: Path) -> list[str]:
    import numpy as np

    if not has_counts(one) and not has_counts(other):
        return []
    before, after = read_counts(one), read_counts(other)
    if before.ids != after.ids or before.confusion.shape != after.confusion.shape:
        return ["other images or classes were counted"]
    changed = np.zeros(len(before.ids), bool)
    for field in fields(before):
        ours, theirs = getattr(before, field.name), getattr(after, field.name)
        if isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray):
            same = np.array([np.array_equal(a, b, equal_nan=True) for a, b in zip(ours, theirs, strict=True)])
            changed |= ~same
    return [f"the counts of {changed.sum()} of {len(changed)} images"] if changed.any() else []


def _write(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
