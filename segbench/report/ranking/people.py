"""The human ranking: what the votes of attentive people make of methods, beside the scores of their rows."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import RecordError
from segbench.store.folder import RecordProblem
from segbench.store.judgements import SPOILT, ballot_paths, check_ballot, plan_paths, read_ballot, read_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from segbench.stats.preferences import Preferences, Votes
    from segbench.store.judgements import Answer, Ballot, Deal, Plan

    from .groups import Group
    from .rows import Row


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


# The scores that are put beside what people prefer.
SCORES = ("miou", "boundary_iou")


class Outcome(NamedTuple):
    """How often a method was preferred, was not, or was as good, over all pairs it was seen in."""

    wins: int
    ties: int
    losses: int


@dataclass(frozen=True)
class HumanRanking:
    """A plan with the votes on it: the voters, and of those that are used the ranking; None where there are none.

    `rows` are those of the plan's methods, None for one that is in no ranking any more.
    """

    plan: Plan
    voters: tuple[Voter, ...]
    rows: tuple[Row | None, ...]
    outcomes: tuple[Outcome, ...]
    preferences: Preferences | None

    @property
    def used(self) -> tuple[Voter, ...]:
        """The voters whose votes are used."""
        return tuple(voter for voter in self.voters if not voter.left_out)

    @property
    def images(self) -> int:
        """The number of images that were shown."""
        return len({look.image for look in self.plan.looks})


def read_people(
    folders: Sequence[Path], groups: Sequence[Group]
) -> tuple[tuple[HumanRanking, ...], tuple[RecordProblem, ...]]:
    """Read the judgements in benchmarks' folders and rank methods by them; files that cannot be used are problems."""
    found, problems = [], []
    for path in [path for folder in folders for path in plan_paths(folder)]:
        try:
            plan = read_plan(path)
        except RecordError as error:
            problems.append(RecordProblem(path, str(error)))
            continue
        ballots: list[Ballot] = []
        for of_voter in ballot_paths(path.parent.parent, plan):
            try:
                ballots.append(_read_own(of_voter, plan))
            except RecordError as error:
                problems.append(RecordProblem(of_voter, str(error)))
        if ballots:
            found.append(rank_by_people(plan, ballots, groups))
    return tuple(found), tuple(problems)


def rank_by_people(
    plan: Plan, ballots: Sequence[Ballot], groups: Sequence[Group], resamples: int | None = None
) -> HumanRanking:
    """Return the human ranking of a plan's methods; those in `groups` have their mean scores beside it."""
    from segbench.stats.preferences import RESAMPLES_OF_VOTES, rank_by_votes

    voters = tuple(judge_voter(plan, ballot) for ballot in ballots)
    used = [voter.ballot for voter in voters if not voter.left_out]
    rows = tuple(_row_of(plan, method, groups) for method in range(len(plan.methods)))
    return HumanRanking(
        plan=plan,
        voters=voters,
        rows=rows,
        outcomes=_outcomes(plan, used),
        preferences=rank_by_votes(_collect(plan, used, rows), resamples or RESAMPLES_OF_VOTES) if used else None,
    )


def _read_own(path: Path, plan: Plan) -> Ballot:
    ballot = read_ballot(path)
    if cause := check_ballot(ballot, plan):
        raise RecordError(cause)
    return ballot


def _row_of(plan: Plan, method: int, groups: Sequence[Group]) -> Row | None:
    keys = {look.shown[method].cell for look in plan.looks}
    rows = (row for group in groups for row in group.rows)
    return next((row for row in rows if keys & {record.key for record in row.records}), None)


def _collect(plan: Plan, ballots: Sequence[Ballot], rows: Sequence[Row | None]) -> Votes:
    """Return votes as arrays; each voter counts a pair once, and ties by themselves by the share of pairs answered."""
    import numpy as np

    from segbench.stats.preferences import Votes

    methods = len(plan.methods)
    wins = np.zeros((len(ballots), len(plan.looks), methods, methods))
    pairs = sum(deal.kind == "pair" for deal in plan.deals)
    for place, ballot in enumerate(ballots):
        shares: dict[tuple[int, int, int], list[float]] = defaultdict(list)
        for found in preferences(plan, ballot):
            shares[found.deal.look, found.one, found.other].append(found.share)
        for (look, one, other), answers in shares.items():
            wins[place, look, one, other] = np.mean(answers)
            wins[place, look, other, one] = 1 - np.mean(answers)
        for tie in plan.ties:
            wins[place, tie.look, [tie.one, tie.other], [tie.other, tie.one]] = 0.5 * len(shares) / max(1, pairs)
    units = np.unique([look.unit for look in plan.looks], return_inverse=True)[1]
    scores = {
        name: np.array([[getattr(shown, name) for shown in look.shown] for look in plan.looks], dtype=float)
        for name in SCORES
    }
    means = {name: np.array([row.score(name).mean if row else None for row in rows], dtype=float) for name in SCORES}
    return Votes(tuple(plan.methods), wins, units, scores, means)


def _outcomes(plan: Plan, ballots: Sequence[Ballot]) -> tuple[Outcome, ...]:
    counts = [[0, 0, 0] for _ in plan.methods]
    for ballot in ballots:
        for found in preferences(plan, ballot):
            for method, share in ((found.one, found.share), (found.other, 1 - found.share)):
                counts[method][round(2 * (1 - share))] += 1
    for tie in plan.ties:
        for method in (tie.one, tie.other):
            counts[method][1] += len(ballots)
    return tuple(Outcome(*count) for count in counts)
