"""What a page deals: pairs of label maps in random order and side, some twice, some against a spoilt one.

All of it follows from hashes of what is shown and of the seed, so the same results give the same plan.
"""

from __future__ import annotations

import hashlib
from itertools import combinations, count
from typing import TYPE_CHECKING

from segbench.store.judgements import SPOILT, Deal, Look, Plan, Shown, Tie

from .material import in_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .material import LabelMap, Material, View

# Of the pairs: how many return with their sides swapped, and how many sham pairs there are for them.
REPEATED, SHAMS, FEWEST_SHAMS = 0.2, 0.1, 2
# A prediction has to be as good as this, as a share of pixels, to be clearly better than itself spoilt.
_GOOD = 0.6


def make_plan(material: Material, views: Sequence[View], labels: Sequence[Sequence[LabelMap]], seed: int) -> Plan:
    """Return what is dealt of some views, whose label maps are `labels`, by view and method."""
    looks = [_look(view, of_view) for view, of_view in zip(views, labels, strict=True)]
    pairs, ties = _sort_pairs(looks, seed)
    order = in_order(seed, [look.model_dump(mode="json") for look in looks])
    data = material.group.data
    return Plan(
        benchmark=data.benchmark,
        dataset=data.dataset,
        split=data.split,
        methods=list(material.methods),
        seed=seed,
        looks=looks,
        deals=_arrange(pairs, _shams(views, len(pairs), order), order),
        ties=ties,
    )


def _look(view: View, labels: Sequence[LabelMap]) -> Look:
    shown = []
    for cell, of_cell in zip(view.cells, labels, strict=True):
        miou, boundary = cell.scores(view.image)
        shown.append(Shown(cell=cell.key, labels=_mark(of_cell), miou=miou, boundary_iou=boundary))
    return Look(image=view.image, unit=view.unit, seed=view.seed, shown=shown)


def _mark(labels: LabelMap) -> str:
    return hashlib.sha256(f"{labels.dtype} {labels.shape} ".encode() + labels.tobytes()).hexdigest()


def _sort_pairs(looks: Sequence[Look], seed: int) -> tuple[list[Deal], list[Tie]]:
    """Return the pairs to be dealt, each method as often left as right of another one, and those that are the same."""
    deals, ties = [], []
    for one, other in combinations(range(len(looks[0].shown)), 2):
        side = count()
        for number in sorted(range(len(looks)), key=lambda number: in_order(seed, one, other, number, "side")):
            shown = looks[number].shown
            if shown[one].labels == shown[other].labels:
                ties.append(Tie(look=number, one=one, other=other))
                continue
            left, right = (one, other) if next(side) % 2 else (other, one)
            deals.append(Deal(kind="pair", look=number, left=left, right=right))
    return deals, ties


def _shams(views: Sequence[View], pairs: int, order: str) -> list[Deal]:
    """Return pairs of a good prediction and itself spoilt; none where no prediction is good."""
    accuracies = {
        (number, place): cell.accuracy(view.image)
        for number, view in enumerate(views)
        for place, cell in enumerate(view.cells)
    }
    good = [one for one, accuracy in accuracies.items() if accuracy >= _GOOD]
    wanted = max(FEWEST_SHAMS, round(SHAMS * pairs)) if pairs else 0
    chosen = sorted(good, key=lambda one: in_order(order, one, "sham"))[:wanted]
    sides = [(place, SPOILT) if number % 2 else (SPOILT, place) for number, (_, place) in enumerate(chosen)]
    return [
        Deal(kind="sham", look=look, left=left, right=right)
        for (look, _), (left, right) in zip(chosen, sides, strict=True)
    ]


def _arrange(pairs: Sequence[Deal], shams: Sequence[Deal], order: str) -> list[Deal]:
    """Return the circle of deals: a pair that returns lies half a turn behind itself, shams are spread evenly."""
    circle = sorted(pairs, key=lambda deal: in_order(order, deal.look, deal.left, deal.right))
    return [deal for _, deal in sorted(_places(circle, shams, order), key=lambda found: found[0])]


def _places(circle: Sequence[Deal], shams: Sequence[Deal], order: str) -> Iterator[tuple[float, Deal]]:
    number = len(circle)
    yield from enumerate(circle)
    returning = sorted(range(number), key=lambda place: in_order(order, place, "repeat"))[: round(REPEATED * number)]
    for place in returning:
        pair = circle[place]
        swapped = Deal(kind="repeat", look=pair.look, left=pair.right, right=pair.left)
        yield (place + number // 2) % number + 0.3, swapped
    for place, sham in enumerate(shams):
        yield (place + 0.5) * number / len(shams) + 0.6, sham
