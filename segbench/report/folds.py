"""Cross-validated seeds: the records of all test folds as one, scored on the images of all of them."""

from __future__ import annotations

from statistics import mean
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import Field

from segbench.stats.scores import per_class, scores
from segbench.store.counts import join_counts
from segbench.store.record import Part, Record, Refinement

from .conditions import read_conditions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.store.counts import Counts
    from segbench.store.record import Cost, Evaluated, Health

AnyPart = TypeVar("AnyPart", bound=Part)

# Of the verdicts on the folds of a seed that of the worst counts.
_RUINED = ("collapsed", "diverged")
_FROM_FINE_TO_BAD = ("healthy", "unknown", "inert", "saturated", "oscillating", *_RUINED)


class PooledRecord(Record):
    """One seed of a cross-validated method: the records of its test folds in order, and what they are together.

    Key, spec, environment and files are those of the first fold.
    """

    folds: Annotated[tuple[Record, ...], Field(exclude=True)]


def folds_of(record: Record) -> tuple[Record, ...]:
    """Return the records of the networks that a record stands for: those of its test folds, else itself."""
    return record.folds if isinstance(record, PooledRecord) else (record,)


def pool(folds: Sequence[Record], subset: str, counts: Sequence[Counts]) -> PooledRecord:
    """Return the records of all test folds of a seed, in order, as one, with the subset that they have in common.

    Scores come from the counts of the folds, of which methods that make images have none. What training and generation
    measured is the mean over the folds, costs are the largest, and health is that of the worst fold. Seconds of several
    machines are not averaged; speeds are those of the first fold that was timed.
    """
    first, joined = folds[0], join_counts(counts) if counts else None
    timed = next((fold for fold in folds if fold.inference), first)
    is_one_place = len({read_conditions(fold) for fold in folds}) == 1
    together = {
        "subset": subset,
        "folds": tuple(folds),
        "scores": joined and scores(joined),
        "per_class": joined and per_class(joined),
        "evaluated": _add_images([fold.evaluated for fold in folds if fold.evaluated]),
        "train": _average([fold.train for fold in folds]) if is_one_place else None,
        "inference": timed.inference,
        "timing": timed.timing,
        "cost": _largest([fold.cost for fold in folds if fold.cost]),
        "health": _worst(folds),
        "generation": _average([fold.generation for fold in folds]),
        "refinement": _join_refinements([fold.refinement for fold in folds if fold.refinement], counts),
        "settled": _average([fold.settled for fold in folds]),
    }
    return PooledRecord(**{**dict(first), **together})


def _average(parts: Sequence[AnyPart | None]) -> AnyPart | None:
    """Return the mean of each number in parts that all folds have; of what is no number, that of the first."""
    found = [part for part in parts if part is not None]
    if not found or len(found) < len(parts):
        return None
    fields = type(found[0]).model_fields
    return found[0].model_copy(update={name: _mean([getattr(part, name) for part in found]) for name in fields})


def _mean(values: Sequence[Any]) -> Any:
    if any(value is None for value in values):
        return None
    if all(isinstance(value, dict) for value in values):
        return {name: _mean([value.get(name) for value in values]) for name in values[0]}
    if not all(isinstance(value, int | float) for value in values):
        return values[0]
    found = mean(values)
    return round(found) if all(isinstance(value, int) for value in values) else found


def _add_images(found: Sequence[Evaluated]) -> Evaluated | None:
    if not found:
        return None
    shared = [one.also_in_train for one in found if one.also_in_train is not None]
    also_in_train = sum(shared) if len(shared) == len(found) else None
    return found[0].model_copy(update={"images": sum(one.images for one in found), "also_in_train": also_in_train})


def _largest(found: Sequence[Cost]) -> Cost | None:
    """Return the largest of each cost; FLOPs are of the first fold, as is the size they were counted at."""
    if not found:
        return None
    names = ("parameters", "train_peak_bytes", "inference_peak_bytes", "train_reserved_bytes", "resident_bytes")
    known = {name: [value for one in found if (value := getattr(one, name)) is not None] for name in names}
    return found[0].model_copy(update={name: max(values, default=None) for name, values in known.items()})


def _worst(folds: Sequence[Record]) -> Health | None:
    """Return the worst health of the folds; its reason says which fold it is, and how many are as bad.

    Inert are most folds or none: a critic that had a say in most networks had one in the score of them all. Networks
    that collapsed or diverged are worse.
    """
    judged = [(fold.subset.partition(",")[0], fold.health) for fold in folds if fold.health]
    if not judged:
        return None
    inert = [one for one in judged if one[1].verdict == "inert"]
    others = [one for one in judged if one not in inert]
    is_inert = 2 * len(inert) > len(judged) and not any(health.verdict in _RUINED for _, health in others)
    where, worst = max(inert if is_inert else others, key=lambda one: _FROM_FINE_TO_BAD.index(one[1].verdict))
    same = sum(health.verdict == worst.verdict for _, health in judged)
    return worst.model_copy(
        update={"reason": f"{where}: {worst.reason} ({same} of {len(judged)} folds {worst.verdict})"}
    )


def _join_refinements(found: Sequence[Refinement], counts: Sequence[Counts]) -> Refinement | None:
    """Return the shares of all labelled pixels, from those of each fold's."""
    if not found or len(found) < len(counts):
        return None
    pixels = [float(one.confusion.sum()) for one in counts]
    changed = [one.changed * number for one, number in zip(found, pixels, strict=True)]

    def share(name: str) -> float | None:
        parts = [(getattr(one, name) or 0.0) * number for one, number in zip(found, changed, strict=True)]
        return sum(parts) / sum(changed) if sum(changed) else None

    return Refinement(changed=sum(changed) / sum(pixels), corrected=share("corrected"), spoilt=share("spoilt"))
