"""Votes that come back are checked against the plan of what was dealt, and kept beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.errors import RecordError
from segbench.store.judgements import SHOWN_DIGITS, check_ballot, plan_paths, read_ballot, read_plan, write_ballot

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from segbench.store.judgements import Ballot, Plan


def import_votes(folders: Sequence[Path], paths: Sequence[Path]) -> list[tuple[Path, Plan]]:
    """Check files of votes against the plans of some benchmarks' folders, and keep each beside its plan.

    Returns the plans that the votes are on, with their folders. Nothing is kept unless all files can be. Raises
    RecordError, naming the file, for one that cannot be read, was changed, is of a plan that is not there, or holds
    answers to what its voter was not asked.
    """
    plans = {plan.hash: (folder, plan) for folder in folders for plan in map(read_plan, plan_paths(folder))}
    checked = []
    for path in paths:
        ballot = read_ballot(path)
        if ballot.plan not in plans:
            raise RecordError(_no_such_plan(path, ballot, plans, folders))
        if cause := check_ballot(ballot, plans[ballot.plan][1]):
            raise RecordError(f"cannot use {path}: {cause}; it is not what a page saved")
        checked.append(ballot)
    for ballot in _latest(checked):
        write_ballot(plans[ballot.plan][0], ballot)
    return [plans[hash] for hash in dict.fromkeys(ballot.plan for ballot in checked)]


def _latest(ballots: Iterable[Ballot]) -> list[Ballot]:
    """Return of each voter on each plan the file with the most answers: a page that is gone on with saves them all."""
    longest: dict[tuple[str, str], Ballot] = {}
    for ballot in ballots:
        key = ballot.plan, ballot.voter
        if key not in longest or len(ballot.answers) > len(longest[key].answers):
            longest[key] = ballot
    return list(longest.values())


def _no_such_plan(path: Path, ballot: Ballot, plans: dict[str, tuple[Path, Plan]], folders: Sequence[Path]) -> str:
    where = ", ".join(map(str, folders))
    known = ", ".join(hash[:SHOWN_DIGITS] for hash in plans) or "none"
    return (
        f"{path} holds votes on the plan {ballot.plan[:SHOWN_DIGITS]}, which is not in {where} (there: {known}); "
        "name the results folder that its page was made from"
    )
