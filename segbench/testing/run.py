"""Run the checks of one component: in this process, as test cases of pytest, or as the job of a worker process.

Nothing here imports torch before a check is needed: the command line and checks of datasets start without it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from segbench.contract import KINDS
from segbench.errors import ComponentError, alternatives
from segbench.registry import load_registry
from segbench.registry.datasets import DATA_VARIABLE

from .check import CheckSkipped, perform, run_check

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from segbench.contract import Kind
    from segbench.registry import Offer

    from .check import Check, Result


def check_component(kind: Kind, name: str, *, slow: bool = False) -> list[Result]:
    """Run every check of an installed component in this process and return the results.

    Slow checks are left out unless `slow`. Raises ComponentError for a kind or a component that there is not.
    """
    offer = find_offer(kind, name)
    return [run_check(check, offer) for check in selected_checks(offer, slow=slow)]


def find_offer(kind: Kind, name: str) -> Offer:
    """Return the installed component of this full or short name; raise ComponentError if there is none."""
    if kind not in KINDS:
        raise ComponentError(f"unknown kind {kind!r}.{alternatives(kind, KINDS)}")
    return load_registry().find(kind, name)


def selected_checks(offer: Offer, *, slow: bool) -> list[Check]:
    """Return the checks of a component in their order, the slow ones only if wanted."""
    from .catalogue import checks_for

    return [check for check in checks_for(offer) if slow or not check.slow]


# As test cases of pytest.


def parametrize_with_checks(kind: Kind, name: str, *, slow: bool = False) -> Any:
    """Return a decorator that makes one case of pytest of every check of an installed component.

    The test function takes the argument `check` and calls it. What the component lists in `known_failures` is expected
    to fail, with its reason; what does not apply is skipped, with its reason. Slow checks are left out unless `slow`.
    Raises ComponentError for a kind or a component that there is not.

        @parametrize_with_checks("generator", "my-net")
        def test_my_net_keeps_to_the_contract(check):
            check()
    """
    import pytest

    offer = find_offer(kind, name)
    return pytest.mark.parametrize("check", [_case(check, offer) for check in selected_checks(offer, slow=slow)])


def _case(check: Check, offer: Offer) -> Any:
    import pytest

    reason = offer.component.known_failures.get(check.name)
    marks = () if reason is None else (pytest.mark.xfail(reason=reason, strict=True),)
    return pytest.param(_callable(check, offer), id=check.name, marks=marks)


def _callable(check: Check, offer: Offer) -> Callable[[], None]:
    """Return the check as a function without arguments: it raises what the component raises, the cure as a note."""

    def run() -> None:
        import pytest

        try:
            perform(check, offer)
        except CheckSkipped as reason:
            pytest.skip(str(reason))
        except Exception as error:
            if not check.required:
                pytest.xfail(f"not required, but: {error}")
            error.add_note(f"Cure: {check.cure}")
            raise

    return run


# As the job of a worker process, which `segbench check` starts by the dotted path of `run_checks`.

# The events of a job: a check begins (name, cure, required), a check has ended (the fields of its Result).
CHECK_BEGUN = "begun"
CHECK_ENDED = "ended"


@dataclass(frozen=True)
class CheckJob:
    """A component whose checks a worker process runs.

    `options` replace the component's example options and `root` a dataset's usual folder; None keeps them. `done` names
    checks that have been run already. torch gets as many `threads`.
    """

    kind: Kind
    name: str
    slow: bool = False
    options: Mapping[str, Any] | None = None
    root: str | None = None
    done: tuple[str, ...] = ()
    threads: int = 1


class Listener(Protocol):
    """What receives the events of a job."""

    def emit(self, event: str, **fields: Any) -> None:
        """Receive an event: CHECK_BEGUN or CHECK_ENDED."""


def run_checks(job: CheckJob, listener: Listener) -> None:
    """Run the checks of a component one by one and report each before and after."""
    offer = _offer(job)
    if offer.kind != "dataset":
        import torch

        torch.set_num_threads(job.threads)
    for check in selected_checks(offer, slow=job.slow):
        if check.name not in job.done:
            listener.emit(CHECK_BEGUN, name=check.name, cure=check.cure, required=check.required)
            listener.emit(CHECK_ENDED, **run_check(check, offer)._asdict())


def _offer(job: CheckJob) -> Offer:
    offer = find_offer(job.kind, job.name)
    if job.root is not None:
        _use_as_root(Path(job.root), offer.component.name)
    if job.options is None:
        return offer
    return replace(offer, component=replace(offer.component, example_options=job.options))


def _use_as_root(root: Path, name: str) -> None:
    """Let the dataset of this name find its files in `root`, which may have another name."""
    folder = Path.cwd() / "data"
    folder.mkdir()
    (folder / name).symlink_to(root, target_is_directory=True)
    os.environ[DATA_VARIABLE] = str(folder)
