"""Methods over the datasets of a benchmark: their scores and mean ranks, and claims judged over the datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import StatisticsError
from segbench.report import cell_spec
from segbench.stats.across_datasets import RANK_RESAMPLES, MeanRank, judge_over_datasets, mean_ranks
from segbench.stats.bootstrap import crossed_draws_in_parts

from .groups import agree, put_together
from .intervals import join
from .sorting import name_recipes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from segbench.stats.across_datasets import OverDatasets

    from .differences import Relation
    from .groups import Group
    from .intervals import CellEvidence
    from .rows import Row

# One dataset is no more than its own ranking.
LEAST_DATASETS_SHOWN = 2


class Standing(NamedTuple):
    """A method's rows by dataset, and its mean rank among the methods that have a row on every dataset."""

    name: str
    rows: Mapping[str, Row]
    rank: MeanRank | None


class ClaimOverDatasets(NamedTuple):
    """A method beside another: why they are compared, and what is said of their difference over the datasets."""

    one: str
    other: str
    relation: Relation
    judged: OverDatasets


class AcrossDatasets(NamedTuple):
    """The rankings of a benchmark that differ in the dataset only; `groups` are their places in a report.

    `methods` are best mean rank first, those without one last; `claims` are judged as one family, placebos' last.
    """

    benchmark: str
    subset: str
    datasets: tuple[str, ...]
    groups: tuple[int, ...]
    methods: tuple[Standing, ...]
    claims: tuple[ClaimOverDatasets, ...]


def measure_across_datasets(groups: Sequence[Group], evidence: CellEvidence) -> tuple[AcrossDatasets, ...]:
    """Return what holds over the datasets in each set of rankings that differ in the dataset only."""
    families = put_together(enumerate(groups), lambda one, other: _belong_together(one[1], other[1]))
    return tuple(_measure(dict(family), evidence) for family in families if len(family) >= LEAST_DATASETS_SHOWN)


def _belong_together(one: Group, other: Group) -> bool:
    return (
        one.data.dataset != other.data.dataset
        and (one.data.benchmark, one.data.subset) == (other.data.benchmark, other.data.subset)
        and one.scoring == other.scoring
        and agree(one.shared, other.shared)
    )


def _measure(family: Mapping[int, Group], evidence: CellEvidence) -> AcrossDatasets:
    groups = tuple(family.values())
    datasets = tuple(group.data.dataset for group in groups)
    rows = _rows_by_recipe(groups)
    everywhere = {name: found for name, found in rows.items() if len(found) == len(datasets)}
    ranks = dict(zip(everywhere, _rank(everywhere, datasets, evidence), strict=True))
    standings = [Standing(name, found, ranks.get(name)) for name, found in rows.items()]
    standings.sort(key=lambda one: (one.rank is None, one.rank.mean if one.rank else 0.0, one.name))
    return AcrossDatasets(
        groups[0].data.benchmark,
        groups[0].data.subset,
        datasets,
        tuple(family),
        tuple(standings),
        _judge_claims(groups, {id(row): name for name, found in rows.items() for row in found.values()}),
    )


def _rows_by_recipe(groups: Sequence[Group]) -> dict[str, Mapping[str, Row]]:
    """Return the rows with a score of each recipe by dataset.

    A recipe is what a method is made of without the sources of its packages, that of the dataset among them; of several
    rows of one recipe on a dataset the one begun last counts.
    """
    found: dict[tuple[str, str], dict[str, Row]] = {}
    for group in groups:
        scored = (row for row in group.rows if row.score("miou").n)
        for row in sorted(scored, key=lambda row: cell_spec.start_time(row.records[0])):
            found.setdefault(_recipe(row), {})[group.data.dataset] = row
    return name_recipes(found)


def _recipe(row: Row) -> tuple[str, str]:
    if row.scored_only:
        return row.method, ""
    recipe = cell_spec.recipe(row.records[0])
    return row.method, cell_spec.canonical({key: recipe[key] for key in recipe.keys() - {"sources", "versions"}})


def _rank(
    rows: Mapping[str, Mapping[str, Row]], datasets: Sequence[str], evidence: CellEvidence
) -> list[MeanRank | None]:
    """Return the mean rank of each method; None for placebos, which are controls."""
    import numpy as np

    taking_part = [name for name, found in rows.items() if not next(iter(found.values())).placebo_of]
    if not taking_part:
        return [None for _ in rows]
    observed = np.array([[rows[name][dataset].score("miou").mean for name in taking_part] for dataset in datasets])
    drawn = _draw({dataset: {name: rows[name][dataset] for name in taking_part} for dataset in datasets}, evidence)
    found = dict(zip(taking_part, mean_ranks(observed, drawn), strict=True))
    return [found.get(name) for name in rows]


def _draw(rows: Mapping[str, Mapping[str, Row]], evidence: CellEvidence) -> list[NDArray[np.float64]]:
    """Return the drawn scores of the methods on each dataset; empty if they cannot be drawn together on any."""
    import numpy as np

    try:
        joint = [join({name: evidence.by_seed(row.records) for name, row in found.items()}) for found in rows.values()]
        return [np.concatenate([part.means for part in crossed_draws_in_parts(one, RANK_RESAMPLES)]) for one in joint]
    except StatisticsError:
        return []


def _judge_claims(groups: Sequence[Group], names: Mapping[int, str]) -> tuple[ClaimOverDatasets, ...]:
    differences: dict[tuple[str, str, Relation], dict[str, float]] = {}
    errors: dict[tuple[str, str, Relation], dict[str, float]] = {}
    for group in groups:
        for one in group.comparisons:
            ours, theirs = names.get(id(one.row)), names.get(id(one.other))
            if ours and theirs and one.miou.mean is not None and not one.row.placebo_of:
                claim = ours, theirs, one.relation
                differences.setdefault(claim, {})[group.data.dataset] = one.miou.mean
                if one.judgement:
                    errors.setdefault(claim, {})[group.data.dataset] = one.judgement.difference.standard_error
    several = {claim: found for claim, found in differences.items() if len(found) >= LEAST_DATASETS_SHOWN}
    judged = judge_over_datasets(several, errors)
    order = sorted(several, key=lambda claim: claim[2] == "placebo")
    return tuple(ClaimOverDatasets(*claim, judged[claim]) for claim in order)
