"""What people are asked to judge, and their votes: files in the folder `judgements` of a benchmark's results.

A plan says what a page deals; its hash is over everything in it, so a page, its votes and its plan belong together. The
page itself names no method: which label map is whose stands in the plan alone.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import Field

from segbench.errors import RecordError

from .atomic import write_atomically
from .json_file import read_model, sealed_json
from .record import Part

if TYPE_CHECKING:
    from pathlib import Path


JUDGEMENTS = "judgements"
# In the place of a method's number: the other label map of a sham pair, spoilt.
SPOILT = -1
MOST_METHODS = 50  # that a page compares: already 1,225 pairs an image
SHOWN_DIGITS = 12  # of a hash, in names of files and in messages

Kind = Literal["pair", "repeat", "sham"]
Choice = Literal["left", "right", "tie"]
Place = Annotated[int, Field(ge=0)]
File = TypeVar("File", bound=Part)


class Shown(Part):
    """The prediction of one method on a look: its cell, the hash of the label map as shown, scores on that image.

    `miou` and `boundary_iou` are null where the image has none of either.
    """

    cell: str
    labels: str
    miou: float | None = None
    boundary_iou: float | None = None


class Look(Part):
    """An image with the predictions of one seed, in the order of the plan's methods; `unit` is the image's cluster."""

    image: str
    unit: str
    seed: int
    shown: list[Shown]


class Deal(Part):
    """Two label maps of a look side by side, by the numbers of their methods, or SPOILT.

    A repeat is a pair that returns with its sides swapped; a sham has a prediction on one side and beside it the same
    one, spoilt.
    """

    kind: Kind
    look: Place
    left: Annotated[int, Field(ge=SPOILT)]
    right: Annotated[int, Field(ge=SPOILT)]


class Tie(Part):
    """Two methods, by their numbers, whose label maps of a look are the same: a tie that nobody is asked about."""

    look: Place
    one: Place
    other: Place


class Plan(Part):
    """All that a page deals; `deals` in the order of a circle that each voter enters at a place of their own."""

    version: Literal[1] = 1
    benchmark: str
    dataset: str
    split: str | None
    methods: Annotated[list[str], Field(min_length=2, max_length=MOST_METHODS)]
    seed: int
    looks: Annotated[list[Look], Field(min_length=1)]
    deals: list[Deal]
    ties: list[Tie]

    @property
    def hash(self) -> str:
        """The SHA-256 of the plan, in hexadecimal."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


class Answer(Part):
    """What a voter chose of a deal, by its place in the plan, and after how many milliseconds."""

    deal: Place
    choice: Choice
    milliseconds: Place


class Ballot(Part):
    """The votes of one person: `voter` is a random number of 16 digits, `name` what they call themselves, or empty."""

    version: Literal[1] = 1
    plan: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    voter: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    name: Annotated[str, Field(max_length=100)] = ""
    answers: list[Answer]

    @property
    def label(self) -> str:
        """The voter in a message."""
        return f"{self.name} ({self.voter[:4]})" if self.name else self.voter[:4]

    def start(self, deals: int) -> int:
        """The place in the circle of deals at which this voter enters it."""
        return int(self.voter[:8], 16) % deals

    @property
    def mirrored(self) -> bool:
        """Whether this voter sees left and right swapped."""
        return int(self.voter[-1], 16) % 2 == 1


def write_plan(folder: Path, plan: Plan) -> Path:
    """Write a plan into the judgements of a benchmark's folder and return its path; RecordError if that fails."""
    return _write(folder / JUDGEMENTS / f"plan-{plan.hash[:SHOWN_DIGITS]}.json", plan)


def write_ballot(folder: Path, ballot: Ballot) -> Path:
    """Write votes into the judgements of a benchmark's folder, in place of earlier ones of this voter on this plan."""
    return _write(folder / JUDGEMENTS / f"votes-{ballot.plan[:SHOWN_DIGITS]}-{ballot.voter}.json", ballot)


def read_plan(path: Path) -> Plan:
    """Read a plan; RecordError if it cannot be read, is none, or is not what its name says."""
    plan = _read(path, Plan, "a plan of judgements")
    if path.name != f"plan-{plan.hash[:SHOWN_DIGITS]}.json":
        raise RecordError(f"{path} is not what was dealt: its hash begins with {plan.hash[:SHOWN_DIGITS]}")
    if cause := _find_fault(plan):
        raise RecordError(f"{path} is not a plan of judgements: {cause}")
    return plan


def read_ballot(path: Path) -> Ballot:
    """Read the votes that a page saved; RecordError if they cannot be read, are none, or were changed since."""
    return _read(path, Ballot, "the votes that a page of `segbench judge` saved")


def plan_paths(folder: Path) -> list[Path]:
    """Return the paths of the plans in the judgements of a benchmark's folder, in the order of their names."""
    return sorted((folder / JUDGEMENTS).glob("plan-*.json"))


def ballot_paths(folder: Path, plan: Plan) -> list[Path]:
    """Return the paths of the votes on a plan in the judgements of a benchmark's folder."""
    return sorted((folder / JUDGEMENTS).glob(f"votes-{plan.hash[:SHOWN_DIGITS]}-*.json"))


def _write(path: Path, content: Part) -> Path:
    write_atomically(path, sealed_json(content.model_dump(mode="json")))
    return path


def _read(path: Path, form: type[File], what: str) -> File:
    return read_model(path, form, f"does not hold {what}", needs_seal=True)


def _find_fault(plan: Plan) -> str | None:
    """Say which number in a plan stands for nothing."""
    methods, looks = len(plan.methods), len(plan.looks)
    shams = [(deal.look, deal.left, deal.right) for deal in plan.deals if deal.kind == "sham"]
    pairs = [(deal.look, deal.left, deal.right) for deal in plan.deals if deal.kind != "sham"]
    pairs += [(tie.look, tie.one, tie.other) for tie in plan.ties]
    if any(len(look.shown) != methods for look in plan.looks):
        return "a look has not one label map of each method"
    if any(look >= looks or max(one, other) >= methods for look, one, other in (*pairs, *shams)):
        return "it deals what it does not have"
    if any(one == other or SPOILT in (one, other) for _, one, other in pairs):
        return "a pair has not two methods"
    if any((one == SPOILT) == (other == SPOILT) for _, one, other in shams):
        return "a sham pair has not one spoilt label map"
    return None


def check_ballot(ballot: Ballot, plan: Plan) -> str | None:
    """Say what is wrong with votes on a plan: their plan, or deals that this voter was not dealt in this order."""
    if ballot.plan != plan.hash:
        return f"its plan is {ballot.plan[:SHOWN_DIGITS]}, not {plan.hash[:SHOWN_DIGITS]}"
    if len(ballot.answers) > len(plan.deals):
        return f"it holds {len(ballot.answers)} answers to {len(plan.deals)} questions"
    start = ballot.start(len(plan.deals)) if plan.deals else 0
    for place, answer in enumerate(ballot.answers):
        if answer.deal != (start + place) % len(plan.deals):
            return f"answer {place + 1} is to question {answer.deal}, which this voter was not asked then"
    return None
