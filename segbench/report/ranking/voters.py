"""Voters: whose votes are used, how steady they are, and what they preferred of each pair."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from segbench.store.judgements import SPOILT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from segbench.store.judgements import Answer, Ballot, Deal, Plan


# Of the sham pairs that a voter was asked about; whoever is below it is left out.
LEAST_ATTENTION = 0.75


class Voter(NamedTuple):
    """What is known of one voter: answers, sham pairs seen and found, repeats seen and answered otherwise.

    `left_out` says why the votes are not used, or is empty; `seconds` is the median time of an answer, `ties` and
    `lefts` the shares of answers that are ties and that chose the left one.
    """

    ballot: Ballot
    answers: int
    shams: int
    found: int
    repeats: int
    changed: int
    ties: float
    lefts: float
    seconds: float
    left_out: str


class Preferred(NamedTuple):
    """What a voter made of a deal: its methods by number, and how far `one` was preferred: 1, 0, or 0.5 for a tie."""

    deal: Deal
    one: int
    other: int
    share: float


def judge_voter(plan: Plan, ballot: Ballot) -> Voter:
    """Return what is known of a voter."""
    answered = [(plan.deals[answer.deal], answer) for answer in ballot.answers]
    choices = [answer.choice for answer in ballot.answers]
    shams = [_chosen(deal, answer, ballot) not in (None, SPOILT) for deal, answer in answered if deal.kind == "sham"]
    preferred = list(preferences(plan, ballot))
    repeats = list(_repeats(preferred))
    number = max(1, len(choices))
    return Voter(
        ballot=ballot,
        answers=len(choices),
        shams=len(shams),
        found=sum(shams),
        repeats=len(repeats),
        changed=sum(first != again for first, again in repeats),
        ties=choices.count("tie") / number,
        lefts=choices.count("left") / number,
        seconds=median([answer.milliseconds for answer in ballot.answers] or [0]) / 1000,
        left_out=_why_left_out(plan, shams) if preferred else "answered no pair of methods",
    )


def preferences(plan: Plan, ballot: Ballot) -> Iterator[Preferred]:
    """Yield what a voter preferred of each pair that was answered, repeats too; the lower number comes first."""
    for answer in ballot.answers:
        deal = plan.deals[answer.deal]
        if deal.kind == "sham":
            continue
        chosen = _chosen(deal, answer, ballot)
        one, other = sorted((deal.left, deal.right))
        yield Preferred(deal, one, other, 0.5 if chosen is None else float(chosen == one))


def _chosen(deal: Deal, answer: Answer, ballot: Ballot) -> int | None:
    """Return the number of the method that was chosen, SPOILT, or None for a tie."""
    if answer.choice == "tie":
        return None
    return deal.left if (answer.choice == "left") != ballot.mirrored else deal.right


def _repeats(found: Sequence[Preferred]) -> Iterator[tuple[float, float]]:
    """Yield both answers to each pair that was asked about twice."""
    asked = {(one.deal.look, one.one, one.other): one.share for one in found if one.deal.kind == "pair"}
    for again in found:
        key = again.deal.look, again.one, again.other
        if again.deal.kind == "repeat" and key in asked:
            yield asked[key], again.share


def _why_left_out(plan: Plan, shams: Sequence[bool]) -> str:
    if not any(deal.kind == "sham" for deal in plan.deals):
        return ""
    if not shams:
        return "stopped before the first pair that checks attention"
    if sum(shams) < LEAST_ATTENTION * len(shams):
        return (
            f"preferred a spoilt label map, or saw no difference, in {len(shams) - sum(shams)} of {len(shams)} checks"
        )
    return ""
