"""What holds over the datasets of a benchmark, in tables and in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.report.numbers import MISSING, Column, Table, build_table, percent_with_interval, points, points_interval
from segbench.stats.across_datasets import LEAST_DATASETS
from segbench.stats.verdict import EQUIVALENCE_MARGIN, MOST_SEEDS_SUGGESTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from segbench.report.ranking.across_datasets import AcrossDatasets, ClaimOverDatasets, Standing
    from segbench.stats.across_datasets import MeanRank, OverDatasets


def summarize_across(found: AcrossDatasets) -> str:
    """Return the judgement of the first claim over the datasets, or the best mean rank, in a sentence."""
    over = f"{found.benchmark}, over {len(found.datasets)} datasets ({', '.join(found.datasets)})"
    if found.claims:
        claim = found.claims[0]
        estimate = difference_text(claim.judged)
        return f"{over}: {claim.one} - {claim.other} = {estimate} points, {verdict_in_words(claim.judged)}."
    ranked = [one for one in found.methods if one.rank]
    if len(ranked) < 2:
        return f"{over}: no two methods have a score on all of them."
    return f"{over}: the best mean rank of {len(ranked)} methods has {ranked[0].name}, {rank_text(ranked[0].rank)}."


def across_tables(found: AcrossDatasets) -> list[Table]:
    """Return methods x datasets with mean ranks, and the claims judged over the datasets."""
    columns: list[Column[Standing]] = [
        Column("method", lambda one: one.name),
        *(Column(dataset, _score(dataset)) for dataset in found.datasets),
        Column("mean rank", lambda one: rank_text(one.rank)),
    ]
    placebos = [place for place, one in enumerate(found.methods) if next(iter(one.rows.values())).placebo_of]
    title = "mIoU [%] by dataset, with its 95 % interval"
    scores = build_table(columns, found.methods, title, name="datasets")._replace(apart=frozenset(placebos))
    return [scores, *([_claims(found)] if found.claims else [])]


def explain_across(found: AcrossDatasets) -> Iterable[str]:
    """Say what the numbers over datasets mean."""
    yield (
        "Mean rank: over the datasets, of the methods that have a score on all of them, 1 the best; its 95 % interval "
        "is over draws of datasets and, on each, of seeds and images. Placebos have none."
    )
    if found.claims:
        yield (
            "Over the datasets: each dataset is one draw, and the interval is that of t over their differences, "
            f"adjusted (Holm) for all lines. With fewer than {LEAST_DATASETS} datasets nothing is decided. Needed: how "
            "many datasets in all would decide if mean and scatter stayed as they are."
        )


def rank_text(rank: MeanRank | None) -> str:
    """Return a mean rank with its interval.

    >>> from segbench.stats.across_datasets import MeanRank
    >>> from segbench.stats.summary import Interval
    >>> rank_text(MeanRank(1.5, Interval(1, 2))), rank_text(MeanRank(1.5, None)), rank_text(None)
    ('1.50 [1.00, 2.00]', '1.50', '-')
    """
    if rank is None:
        return MISSING
    return f"{rank.mean:.2f}" + (f" [{rank.interval.low:.2f}, {rank.interval.high:.2f}]" if rank.interval else "")


def verdict_in_words(found: OverDatasets) -> str:
    """Return the verdict over datasets, and how many datasets would decide what is undecided."""
    decision = found.decision
    if decision.verdict == "equivalent":
        return f"equivalent (within {100 * EQUIVALENCE_MARGIN:g} points)"
    if decision.verdict != "undecided":
        return decision.verdict
    if len(found.by_dataset) < LEAST_DATASETS:
        return f"undecided: {LEAST_DATASETS} datasets are the least that can decide"
    if decision.obstacle:
        return "undecided: every dataset gives the same"
    if found.needed is None:
        return f"undecided: over {MOST_SEEDS_SUGGESTED} datasets needed"
    return f"undecided: about {found.needed} datasets needed"


def difference_text(found: OverDatasets) -> str:
    """Return the mean difference in points with its interval."""
    return f"{points(found.decision.difference.estimate)} {points_interval(found.decision.interval)}"


def _claims(found: AcrossDatasets) -> Table:
    columns: list[Column[ClaimOverDatasets]] = [
        Column("A - B", lambda one: f"{one.one} - {one.other}"),
        *(Column(dataset, _difference(dataset)) for dataset in found.datasets),
        Column("over the datasets", lambda one: difference_text(one.judged)),
        Column("verdict", lambda one: verdict_in_words(one.judged), is_words=True),
    ]
    return build_table(columns, found.claims, "Differences of mIoU in points over the datasets", name="over datasets")


def _score(dataset: str) -> Callable[[Standing], str]:
    def cell(one: Standing) -> str:
        row = one.rows.get(dataset)
        return percent_with_interval(row.score("miou").mean, row.statistics.interval) if row else MISSING

    return cell


def _difference(dataset: str) -> Callable[[ClaimOverDatasets], str]:
    return lambda one: points(one.judged.by_dataset.get(dataset))
