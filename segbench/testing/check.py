"""What a conformance check is, and what comes of one on a component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from segbench.registry import Offer

# "known failure" fails as the component says it does; "mended" passes though the component says that it fails.
Outcome = Literal["passed", "failed", "known failure", "mended", "skipped", "reported"]

# What stands in the way of a component being used.
FAULTS: tuple[Outcome, ...] = ("failed", "mended")


class CheckFailed(Exception):
    """A component breaks its contract; the message says what was given and what was found."""


class CheckSkipped(Exception):
    """A check does not apply to a component; the message says why."""


@dataclass(frozen=True)
class Check:
    """One fact that holds for every component of a kind.

    `run` raises CheckFailed where it does not hold, or CheckSkipped; `cure` tells the author what to do then. A check
    that is not `required` is reported and never fails; a `slow` one runs only when asked for.
    """

    name: str
    run: Callable[[Offer], None]
    cure: str
    slow: bool = False
    required: bool = True


class Result(NamedTuple):
    """What came of one check; `message` is what was found, or the reason why not."""

    check: str
    outcome: Outcome
    message: str
    cure: str


def check(cure: str, *, slow: bool = False, required: bool = True) -> Callable[[Callable[[Offer], None]], Check]:
    """Make a check of a function, named after it.

    @check("Return one channel a class.")
    def logits_have_one_channel_a_class(offer: Offer) -> None: ...
    """

    def decorate(run: Callable[[Offer], None]) -> Check:
        return Check(run.__name__, run, cure, slow, required)

    return decorate


def run_check(check: Check, offer: Offer) -> Result:
    """Run a check on a component; whatever the component raises is a failure of it."""
    try:
        check.run(offer)
    except CheckSkipped as reason:
        return Result(check.name, "skipped", str(reason), "")
    except (Exception, SystemExit) as error:
        return _failure(check, offer, error)
    if check.name in offer.component.known_failures:
        return Result(check.name, "mended", "passes, though listed as a known failure", "Take it off known_failures.")
    return Result(check.name, "passed", "", "")


def _failure(check: Check, offer: Offer, error: BaseException) -> Result:
    message = str(error) if isinstance(error, CheckFailed) else f"{type(error).__name__}: {error}"
    reason = offer.component.known_failures.get(check.name)
    if reason is not None:
        return Result(check.name, "known failure", reason, "")
    if not check.required:
        return Result(check.name, "reported", message, check.cure)
    return Result(check.name, "failed", message, check.cure)
