"""The checks of one component as the work of a process: `segbench check` starts it by its dotted path."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from segbench.registry.datasets import VARIABLE

from .check import run_check
from .select import find_offer, selected_checks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segbench.contracts import Kind
    from segbench.registry import Offer

# The events of a job: a check begins (name, cure, required), a check has ended (the fields of its Result).
BEGUN = "begun"
ENDED = "ended"


@dataclass(frozen=True)
class CheckJob:
    """A component whose checks are to be run in a process of their own.

    `options` take the place of the component's example options, `root` that of a dataset's usual folder; None leaves
    them. `done` are checks that have been run already. torch gets so many `threads`.
    """

    kind: Kind
    name: str
    slow: bool = False
    options: Mapping[str, Any] | None = None
    root: str | None = None
    done: tuple[str, ...] = ()
    threads: int = field(default=1)


class Listener(Protocol):
    """Who hears how the checks come along."""

    def emit(self, event: str, **fields: Any) -> None:
        """Report an event: BEGUN or ENDED."""


def run_checks(job: CheckJob, listener: Listener) -> None:
    """Run the checks of a component one by one and report each before and after."""
    offer = _offer(job)
    if offer.kind != "dataset":
        import torch

        torch.set_num_threads(job.threads)
    for check in selected_checks(offer, slow=job.slow):
        if check.name not in job.done:
            listener.emit(BEGUN, name=check.name, cure=check.cure, required=check.required)
            listener.emit(ENDED, **run_check(check, offer)._asdict())


def _offer(job: CheckJob) -> Offer:
    offer = find_offer(job.kind, job.name)
    if job.root is not None:
        _take_as_data(Path(job.root), offer.component.name)
    if job.options is None:
        return offer
    return replace(offer, component=replace(offer.component, example_options=job.options))


def _take_as_data(root: Path, name: str) -> None:
    """Let the dataset of this name find its files in `root`, which need not bear its name."""
    folder = Path.cwd() / "data"
    folder.mkdir()
    (folder / name).symlink_to(root, target_is_directory=True)
    os.environ[VARIABLE] = str(folder)
