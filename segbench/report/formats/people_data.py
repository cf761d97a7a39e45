"""What people prefer, as data for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .row_data import Data, Number

if TYPE_CHECKING:
    from segbench.report.ranking.people import HumanRanking
    from segbench.stats.preferences import Measured


class MeasuredData(Data):
    """A number with its 95 % interval over voters and images; None where there is one of each."""

    value: Number
    low: Number | None
    high: Number | None


class PreferredData(Data):
    """A method: the probability to be preferred to another one, its log strength, votes, and scores beside them."""

    method: str
    preferred: MeasuredData | None
    strength: MeasuredData | None
    wins: int
    ties: int
    losses: int
    miou: Number | None
    boundary_iou: Number | None


class AgreementData(Data):
    """Kendall's tau-b of a score with people, over methods and over the pairs of methods of each image."""

    of_methods: MeasuredData | None
    of_images: MeasuredData | None


class VoterData(Data):
    """A voter: checks of attention passed, repeated pairs answered otherwise, and why the votes are left out."""

    voter: str
    name: str
    answers: int
    checks: int
    passed: int
    repeats: int
    changed: int
    seconds: Number
    left_out: str | None


class PeopleData(Data):
    """The human ranking of the methods of one plan."""

    benchmark: str
    dataset: str
    split: str | None
    plan: str
    images: int
    identical: int
    methods: tuple[PreferredData, ...]
    agreement: dict[str, AgreementData]
    voters: tuple[VoterData, ...]


def people_data(people: HumanRanking) -> PeopleData:
    """Return a human ranking as data."""
    plan, found = people.plan, people.preferences
    agreements = found.agreements if found else {}
    return PeopleData(
        benchmark=plan.benchmark,
        dataset=plan.dataset,
        split=plan.split,
        plan=plan.hash,
        images=people.images,
        identical=len(plan.ties),
        methods=tuple(_method(people, place) for place in range(len(plan.methods))),
        agreement={
            name: AgreementData(of_methods=_measured(one.of_methods), of_images=_measured(one.of_images))
            for name, one in agreements.items()
        },
        voters=tuple(
            VoterData(
                voter=one.ballot.voter,
                name=one.ballot.name,
                answers=one.answers,
                checks=one.shams,
                passed=one.found,
                repeats=one.repeats,
                changed=one.changed,
                seconds=one.seconds,
                left_out=one.left_out or None,
            )
            for one in people.voters
        ),
    )


def _method(people: HumanRanking, place: int) -> PreferredData:
    name, row, found = people.plan.methods[place], people.rows[place], people.preferences
    scores: dict[str, Any] = {score: row.score(score).mean if row else None for score in ("miou", "boundary_iou")}
    return PreferredData(
        method=name,
        preferred=_measured(found.shares[name] if found else None),
        strength=_measured(found.strengths[name] if found else None),
        **people.outcomes[place]._asdict(),
        **scores,
    )


def _measured(found: Measured | None) -> MeasuredData | None:
    if found is None:
        return None
    low, high = found.interval or (None, None)
    return MeasuredData(value=found.value, low=low, high=high)
