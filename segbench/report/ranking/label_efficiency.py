"""Label efficiency: the mIoU of methods over rankings that differ in the share of the labels only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import StatisticsError
from segbench.report import cell_spec
from segbench.stats.bootstrap import crossed_draws
from segbench.stats.label_efficiency import exchange_rate

from .differences import find_own
from .groups import agree, put_together
from .intervals import join
from .sorting import name_recipes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from segbench.stats.label_efficiency import ExchangeRate

    from .groups import Group
    from .intervals import CellEvidence
    from .rows import Row


# Fewer fractions make no curve.
LEAST_POINTS = 2


class Exchange(NamedTuple):
    """What the labels of one fraction are worth with a method, in labels of its twin; None where `missing` says why."""

    fraction: float
    seeds: tuple[int, ...]
    rate: ExchangeRate | None
    missing: str | None = None


class Curve(NamedTuple):
    """A method's rows by the fraction of the labels, fewest first, and what its labels are worth.

    `exchanges` is empty for a method without a twin, and for one whose twin has fewer than two fractions.
    """

    method: str
    twin: str | None
    rows: Mapping[float, Row]
    exchanges: tuple[Exchange, ...]

    def exchange(self, fraction: float) -> Exchange | None:
        """Return what the labels of one fraction are worth."""
        return next((one for one in self.exchanges if one.fraction == fraction), None)


class Efficiency(NamedTuple):
    """The curves of the rankings that differ in the share of the labels only; `groups` are their places in a report."""

    benchmark: str
    dataset: str
    split: str | None
    groups: tuple[int, ...]
    fractions: tuple[float, ...]
    curves: tuple[Curve, ...]


def measure_label_efficiency(groups: Sequence[Group], evidence: CellEvidence) -> tuple[Efficiency, ...]:
    """Return the label efficiency in each set of rankings that differ in the share of the labels only."""
    found = [_efficiency(family, evidence) for family in _families(groups)]
    return tuple(one for one in found if one is not None)


@dataclass(frozen=True)
class _Member:
    """One ranking of a family: its place in the report and the share of the labels it was trained with."""

    place: int
    fraction: float
    group: Group


def _families(groups: Sequence[Group]) -> list[list[_Member]]:
    """Put rankings together that differ in the share of the labels only; no two of a family have the same share."""
    members = []
    for place, group in enumerate(groups):
        trained = next((row for row in group.rows if not row.scored_only), None)
        fraction = cell_spec.label_fraction(trained.records[0]) if trained else None
        if fraction is not None:
            members.append(_Member(place, fraction, group))
    return [sorted(family, key=lambda one: one.fraction) for family in put_together(members, _belong_together)]


def _belong_together(one: _Member, other: _Member) -> bool:
    return (
        one.fraction != other.fraction
        and one.group.data._replace(subset="") == other.group.data._replace(subset="")
        and one.group.scoring == other.group.scoring
        and agree(one.group.shared, other.group.shared)
    )


def _efficiency(family: Sequence[_Member], evidence: CellEvidence) -> Efficiency | None:
    rows = _rows_by_recipe(family)
    curves = tuple(_curve(name, rows, evidence) for name in rows)
    if not any(len(curve.rows) >= LEAST_POINTS for curve in curves):
        return None
    data = family[0].group.data
    return Efficiency(
        data.benchmark,
        data.dataset,
        data.split,
        tuple(member.place for member in family),
        tuple(member.fraction for member in family),
        curves,
    )


def _rows_by_recipe(family: Iterable[_Member]) -> dict[str, Mapping[float, Row]]:
    """Return the rows with a score of each recipe by fraction, named by the method, or by a key if it has several."""
    found: dict[tuple[str, str], dict[float, Row]] = {}
    for member in family:
        for row in member.group.rows:
            if not row.scored_only and row.score("miou").n:
                recipe = cell_spec.recipe_text(row.records[0])
                found.setdefault((row.method, recipe), {})[member.fraction] = row
    return name_recipes(dict(sorted(found.items())))


def _curve(name: str, rows: Mapping[str, Mapping[float, Row]], evidence: CellEvidence) -> Curve:
    own = rows[name]
    twin = _find_twin(next(iter(own.values())), rows)
    others = rows.get(twin, {}) if twin else {}
    if len(others) < LEAST_POINTS:
        return Curve(name, twin, own, ())
    return Curve(name, twin, own, tuple(_exchange(fraction, row, others, evidence) for fraction, row in own.items()))


def _find_twin(row: Row, rows: Mapping[str, Mapping[float, Row]]) -> str | None:
    """Return the name of the twin that belongs to a row's recipe, or the twin's method if it is not there."""
    firsts = {name: next(iter(found.values())) for name, found in rows.items()}
    own = find_own(row, row.twin, firsts.values()) if row.twin else None
    return next((name for name, first in firsts.items() if first is own), row.twin)


def _exchange(fraction: float, row: Row, others: Mapping[float, Row], evidence: CellEvidence) -> Exchange:
    """Return the exchange rate at a fraction, over the seeds that the row and all of its twin's have."""
    names = {one: f"{other.method} with {one:g} of the labels" for one, other in others.items()}
    own = f"{row.method} with {fraction:g} of the labels"
    cells = {own: evidence.by_seed(row.records)}
    cells |= {names[one]: evidence.by_seed(other.records) for one, other in others.items()}
    try:
        joint = join(cells)
        rate = exchange_rate(crossed_draws(joint), own, fraction, names)
    except StatisticsError as error:
        return Exchange(fraction, (), None, str(error))
    return Exchange(fraction, joint.seeds, rate)
