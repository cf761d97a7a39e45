"""Check components, each in a process of its own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from segbench.execute.forkserver import import_names
from segbench.execute.pool import Interrupt, Pool
from segbench.execute.processes import fair_share
from segbench.execute.temporary import temporary_folder
from segbench.execute.workers import Finished, Limits, Workers
from segbench.plan.machine import usable_cores
from segbench.testing.check import FAULTS, Check, Result, make_failure
from segbench.testing.run import CHECK_BEGUN, CHECK_ENDED, CheckJob

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from segbench.execute.workers import Event, Outcome, Running
    from segbench.registry import Offer


_FUNCTION = "segbench.testing.run:run_checks"

# Any optimiser imports torch._dynamo, which takes seconds.
_SHARED = ("torch", "torch._dynamo", "segbench.testing.catalogue")

# Reported as failed where a process ends before its first check begins.
_START = Check("checks_can_begin", lambda offer: None, "Look at the message; `segbench doctor` may say more.")


@dataclass(frozen=True)
class Request:
    """What is checked and how; `options` and `root` are those of CheckJob, `seconds` is the limit of one process."""

    offers: Sequence[Offer]
    slow: bool = False
    options: Mapping[str, Any] | None = None
    root: str | None = None
    jobs: int = 1
    seconds: float | None = None


@dataclass
class Checked:
    """A component and the results of its checks so far; `running` is the check that has begun and not ended."""

    offer: Offer
    results: list[Result] = field(default_factory=list)
    running: Check | None = None

    @property
    def faulty(self) -> bool:
        """Whether the component is not fit for use."""
        return any(result.outcome in FAULTS for result in self.results)

    def receive(self, event: Event) -> None:
        """Record an event of its process."""
        if event.name == CHECK_BEGUN:
            fields = event.fields
            self.running = replace(_START, name=fields["name"], cure=fields["cure"], required=fields["required"])
        elif event.name == CHECK_ENDED:
            self.results.append(Result(**event.fields))
            self.running = None

    def end(self, outcome: Outcome) -> bool:
        """Record how its process ended; return whether checks are left for another process."""
        if isinstance(outcome, Finished):
            return False
        self.results.append(make_failure(self.running or _START, self.offer, outcome.failure.cause))
        begun, self.running = self.running is not None, None
        return begun


def check_all(request: Request, report: Callable[[Checked], None]) -> list[Checked] | None:
    """Check every component of a request, and report each when it is done; None if interrupted.

    A process that crashes, hangs or takes too much memory fails the check that was running; another process does the
    rest.
    """
    every = {f"{offer.kind} {offer.full_name}": Checked(offer) for offer in request.offers}
    limits = Limits(request.seconds, fair_share(request.jobs))
    waiting, workers = list(every), _workers(request)
    with (
        Interrupt() as interrupt,
        temporary_folder() as folder,
        Pool(request.jobs, interrupt, lambda key, event: every[key].receive(event)) as pool,
    ):

        def start(key: str) -> Running:
            return workers.start(_FUNCTION, _job(every[key], request), Path(mkdtemp(dir=folder)), limits)

        for key, outcome in pool.run_all(waiting, start):
            if every[key].end(outcome):
                waiting.insert(0, key)
            else:
                report(every[key])
    return None if interrupt.requested else list(every.values())


def _workers(request: Request) -> Workers:
    """Return workers that share what the checks and the components' libraries import."""
    libraries = {name for offer in request.offers for name in offer.component.requires}
    return Workers((*_SHARED, *(module for library in sorted(libraries) for module in import_names(library))))


def _job(checked: Checked, request: Request) -> CheckJob:
    return CheckJob(
        kind=checked.offer.kind,
        name=checked.offer.full_name,
        slow=request.slow,
        options=request.options,
        root=request.root,
        done=tuple(result.check for result in checked.results),
        threads=max(1, usable_cores() // request.jobs),
    )
