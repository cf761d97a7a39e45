"""What people prefer, as tables, notes and data: the human ranking beside scores, their agreement, and the voters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench.report.numbers import MISSING, Table, percent, percent_interval, plural
from segbench.report.ranking.people import SCORES
from segbench.store.judgements import SHOWN_DIGITS

from .row_data import Data, Number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from segbench.report.ranking.people import HumanRanking, Voter
    from segbench.report.ranking.rows import Row
    from segbench.stats.preferences import Measured


SCORE_NAMES = {"miou": "mIoU", "boundary_iou": "Boundary IoU"}


def describe_votes(people: HumanRanking) -> str:
    """Return what was asked and of how many voters, in one line."""
    plan = people.plan
    parts = [
        plan.split or "unknown split",
        plural(people.images, "image"),
        f"{len(people.used)} of {plural(len(people.voters), 'voter')} used",
        plural(sum(voter.answers for voter in people.used), "answer"),
        f"plan {plan.hash[:SHOWN_DIGITS]}",
    ]
    return " · ".join(parts)


def people_tables(people: HumanRanking) -> list[Table]:
    """Return the ranking, the agreement of scores with it, and the voters."""
    ranked = [_ranking(people), _agreements(people)] if people.preferences else []
    return [*ranked, _voters(people)]


def people_notes(people: HumanRanking) -> Iterator[str]:
    """Say what a reader must know of the votes."""
    yield (
        "Preferred: the probability of being preferred to another method, mean over the others, by Bradley-Terry; "
        "a tie is half a win each way. Intervals at 95 %, over voters and images."
    )
    if len(people.used) == 1:
        yield "With one voter the intervals are over images only: they say nothing of other people's taste."
    if number := len(people.plan.ties):
        yield f"{plural(number, 'pair')} of identical label maps counted as ties and {_were(number)} not asked about."
    yield from (f"Left out: {voter.ballot.label}: {voter.left_out}." for voter in people.voters if voter.left_out)
    if not people.preferences:
        yield "No voter's answers can be used, so there is no ranking."
    if not any(deal.kind == "sham" for deal in people.plan.deals):
        yield "Attention was not checked: no prediction was good enough to be clearly better than a spoilt one."
    if people.preferences and len(people.plan.methods) == 2:
        yield "With two methods, tau of their order is 1 or -1: whether people and the score agree on which is better."
    gone = [name for name, row in zip(people.plan.methods, people.rows, strict=True) if row is None]
    if gone:
        yield f"No longer in a ranking, so without scores: {', '.join(gone)}."


def _ranking(people: HumanRanking) -> Table:
    assert people.preferences is not None
    shares = people.preferences.shares
    lines = [
        [
            name,
            percent(shares[name].value),
            percent_interval(shares[name].interval),
            *map(str, outcome),
            *(_score(row, score) for score in SCORES),
        ]
        for name, outcome, row in zip(people.plan.methods, people.outcomes, people.rows, strict=True)
    ]
    lines.sort(key=lambda line: (-shares[line[0]].value, line[0]))
    headers = ["method", "preferred\n%", "95 % interval", "wins", "ties", "losses"]
    return Table(
        [*headers, *(f"{SCORE_NAMES[score]}\n%" for score in SCORES)], lines, "What people prefer", name="people"
    )


def _agreements(people: HumanRanking) -> Table:
    assert people.preferences is not None
    lines = [
        [SCORE_NAMES[name], *_tau(found.of_methods), *_tau(found.of_images)]
        for name, found in people.preferences.agreements.items()
    ]
    headers = ["score", "tau of\nmethods", "95 % interval", "tau of\nimages", "95 % interval"]
    return Table(headers, lines, "How far scores agree with people (Kendall's tau-b, -1 to 1)", name="agreement")


def _voters(people: HumanRanking) -> Table:
    lines = [
        [
            voter.ballot.label,
            str(voter.answers),
            f"{voter.found} of {voter.shams}",
            f"{voter.changed} of {voter.repeats}",
            percent(voter.ties),
            percent(voter.lefts),
            f"{voter.seconds:.1f}",
            "no" if voter.left_out else "yes",
        ]
        for voter in sorted(people.voters, key=_by_label)
    ]
    headers = ["voter", "answers", "checks\npassed", "repeats\nchanged", "ties\n%", "left\n%", "median\ns", "used"]
    return Table(headers, lines, "Voters", name="voters")


def _by_label(voter: Voter) -> tuple[str, str]:
    return voter.ballot.label, voter.ballot.voter


def _score(row: Row | None, name: str) -> str:
    return percent(row.score(name).mean) if row else MISSING


def _tau(found: Measured | None) -> Iterable[str]:
    if found is None:
        return MISSING, MISSING
    interval = found.interval
    return f"{found.value:+.2f}", f"[{interval.low:+.2f}, {interval.high:+.2f}]" if interval else MISSING


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


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
