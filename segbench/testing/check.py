"""A conformance check, and the result of running it on a component."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from segbench.errors import ComponentError, SegbenchError
from segbench.registry.options import check_requirements, unwrap
from segbench.registry.process_state import restore_after_import

if TYPE_CHECKING:
    from collections.abc import Callable

    from segbench.registry import Offer


# "known failure": it fails, as the component says; "unexpected pass": it passes, though the component says it fails.
Outcome = Literal["passed", "failed", "known failure", "unexpected pass", "skipped", "reported"]


# Outcomes with which a component is not fit for use.
FAULTS: tuple[Outcome, ...] = ("failed", "unexpected pass")


class CheckFailed(Exception):
    """A component breaks its contract; the message says what was given and what was found."""


class CheckSkipped(Exception):
    """A check does not apply to a component; the message says why."""


@dataclass(frozen=True)
class Check:
    """One fact that holds for every component of a kind.

    `run` raises CheckFailed where it does not hold, or CheckSkipped; `cure` says what the author should do then. One
    that is not `required` is reported and never fails; a `slow` one runs only when asked for. One that `builds` the
    component is skipped where a library is missing that the component needs.
    """

    name: str
    run: Callable[[Offer], None]
    cure: str
    slow: bool = False
    required: bool = True
    builds: bool = True


class Result(NamedTuple):
    """The result of one check; `message` is what was found, or the reason why it was skipped or may fail."""

    check: str
    outcome: Outcome
    message: str
    cure: str


def check(
    cure: str, *, slow: bool = False, required: bool = True, builds: bool = True
) -> Callable[[Callable[[Offer], None]], Check]:
    """Make a check of a function, named after it.

    @check("Return one channel a class.")
    def logits_have_one_channel_a_class(offer: Offer) -> None: ...
    """

    def decorate(run: Callable[[Offer], None]) -> Check:
        return Check(run.__name__, run, cure, slow, required, builds)

    return decorate


def run_check(check: Check, offer: Offer) -> Result:
    """Run a check on a component; anything that the component raises is a failure."""
    try:
        perform(check, offer)
    except CheckSkipped as reason:
        return Result(check.name, "skipped", str(reason), "")
    except (Exception, SystemExit) as error:
        return make_failure(check, offer, _message(error) + find_place(error, offer))
    if check.name in offer.component.known_failures:
        return Result(
            check.name, "unexpected pass", "passes, though listed as a known failure", "Take it off known_failures."
        )
    return Result(check.name, "passed", "", "")


def perform(check: Check, offer: Offer) -> None:
    """Run a check and raise what it raises.

    What it changes for the whole process is put back, so that no check disturbs the next.
    """
    if check.builds:
        try:
            check_requirements(offer)
        except ComponentError as reason:
            raise CheckSkipped(str(reason)) from reason
    with restore_after_import():
        check.run(offer)


def make_failure(check: Check, offer: Offer, message: str) -> Result:
    """Return the result of a check that found something: a known failure if the component says so."""
    reason = offer.component.known_failures.get(check.name)
    if reason is not None:
        return Result(check.name, "known failure", reason, "")
    if not check.required:
        return Result(check.name, "reported", message, check.cure)
    return Result(check.name, "failed", message, check.cure)


def _message(error: BaseException) -> str:
    """Say what a check found; an error of the component's own has its type in front."""
    return str(error) if isinstance(error, (CheckFailed, SegbenchError)) else f"{type(error).__name__}: {error}"


def find_place(error: BaseException, offer: Offer) -> str:
    """Return " (FILE, line N, in FUNCTION)" for the innermost line of the component's package, or an empty text."""
    folder = _folder_of(offer.component.build)
    current: BaseException | None = error
    while current is not None and folder is not None:
        for frame in reversed(extract_tb(current.__traceback__)):
            if Path(frame.filename).is_relative_to(folder):
                return f" ({Path(frame.filename).name}, line {frame.lineno}, in {frame.name})"
        current = current.__cause__
    return ""


def _folder_of(build: Any) -> Path | None:
    """Return the folder of the file that defines `build`; None if no file does."""
    try:
        return Path(inspect.getfile(unwrap(build))).parent
    except TypeError:
        return None
