"""`segbench check`: whether components keep to their contract; each component is checked in a process of its own."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.execute.forkserver import import_names
from segbench.execute.pool import Interrupt, Pool
from segbench.execute.processes import fair_share
from segbench.execute.workers import Finished, Limits, Workers
from segbench.plan.machine import usable_cores
from segbench.testing.check import FAULTS, Check, Result, make_failure
from segbench.testing.run import BEGUN, ENDED, CheckJob

from .options import PLURALS, Json, parse_kind, parse_options
from .output import columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from segbench.execute.workers import Event, Outcome
    from segbench.registry import Offer, PluginProblem, Registry


SOME_FAILED = 1

INTERRUPTED = 130

# What a component's row counts, by the heading.
HEADINGS = {
    "PASSED": ("passed",),
    "FAILED": ("failed", "unexpected pass"),
    "KNOWN": ("known failure",),
    "REPORTED": ("reported",),
    "SKIPPED": ("skipped",),
}

_FUNCTION = "segbench.testing.run:run_checks"

# Any optimiser imports torch._dynamo, which takes seconds; the command line is what a worker's __main__ imports.
_SHARED = ("torch", "torch._dynamo", "segbench.cli", "segbench.testing.catalogue")

# Reported as failed where a process ends before its first check begins.
_START = Check("checks_can_begin", lambda offer: None, "Look at the message; `segbench doctor` may say more.")


def check(
    subject: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PLUGIN | KIND NAME]",
            help="A plugin by its name or its distribution's, or a single component; all there are if left out.",
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option", metavar="KEY=VALUE", help="Check KIND NAME with this option; repeatable. [default: its example]"
        ),
    ] = None,
    root: Annotated[
        str | None, typer.Option("--root", help="Folder of the files of `dataset NAME`; else $SEGBENCH_DATA/NAME.")
    ] = None,
    slow: Annotated[bool, typer.Option("--slow", help="Run the checks that take long as well.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Components checked at the same time.")] = 1,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds after which the checks of one component count as hung.")
    ] = 600.0,
    json: Json = False,
) -> None:
    """Check that components keep to their contract; exit with 1 if one does not.

    Every fault is printed with what was found and with its cure. What a component lists under known_failures, and what
    is not required, is printed and does no harm.
    """
    from segbench.registry import load_registry

    offers, broken = _select(load_registry(), subject or [])
    if (option or root) and len(subject or []) != 2:
        raise typer.BadParameter("--option and --root are for a single component: give KIND NAME")
    request = Request(
        offers,
        slow=slow,
        options=parse_options(option) if option else None,
        root=None if root is None else _data_folder(root, offers),
        jobs=jobs,
        seconds=timeout,
    )
    checked = check_all(request, _print_counts) if offers else []
    if checked is None:
        raise typer.Exit(INTERRUPTED)
    typer.echo(_as_json(checked, broken) if json else _as_text(checked, broken))
    if broken or any(one.faulty for one in checked):
        raise typer.Exit(SOME_FAILED)


def _select(registry: Registry, subject: Sequence[str]) -> tuple[list[Offer], list[PluginProblem]]:
    """Return the selected components, and the selected plugins that are broken."""
    if len(subject) > 2:
        raise typer.BadParameter(f"{' '.join(subject)!r}: give PLUGIN, or KIND NAME")
    if len(subject) == 2:
        kind, name = subject
        return [registry.find(parse_kind(kind), name)], []
    every = [offer for kind in PLURALS for offer in registry.offers(kind)]
    if not subject:
        return every, [*registry.problems]
    return _select_plugin(subject[0], every, registry.problems)


def _data_folder(root: str, offers: Sequence[Offer]) -> str:
    """Return the dataset's folder as a path that holds in every process."""
    if any(offer.kind != "dataset" for offer in offers):
        raise typer.BadParameter("--root is for a dataset: give `dataset NAME`")
    path = Path(root).expanduser().absolute()
    if not path.is_dir():
        raise typer.BadParameter(f"--root {root}: there is no such folder")
    return str(path)


def _select_plugin(
    name: str, every: Sequence[Offer], problems: Sequence[PluginProblem]
) -> tuple[list[Offer], list[PluginProblem]]:
    """Return the components of the plugin or distribution of this name; ComponentError lists the plugins."""
    from segbench.errors import ComponentError, nearest

    wanted = _normalised(name)
    offers = [offer for offer in every if wanted in map(_normalised, (offer.plugin, offer.distribution))]
    broken = [problem for problem in problems if wanted in map(_normalised, _names(problem))]
    if not offers and not broken:
        known = sorted({offer.plugin for offer in every} | {problem.plugin for problem in problems})
        raise ComponentError(
            f"unknown plugin {name!r}. Available: {', '.join(known)}.{nearest(name, known)} "
            "For a single component write its kind and its name: segbench check generator smp/unet."
        )
    return offers, broken


def _names(problem: PluginProblem) -> list[str]:
    """Return the names by which a broken plugin is known: its own, and those of who claims it."""
    return [problem.plugin, *(claim.partition(" ")[0] for claim in problem.distribution.split(" and "))]


def _normalised(name: str) -> str:
    """Return a distribution's name in the one form that all its spellings share (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


# Running the checks.


@dataclass(frozen=True)
class Request:
    """What is checked and how; `options` and `root` are as of CheckJob, `seconds` those of one process."""

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
        if event.name == BEGUN:
            fields = event.fields
            self.running = replace(_START, name=fields["name"], cure=fields["cure"], required=fields["required"])
        elif event.name == ENDED:
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
    waiting = list(every)
    with (
        Interrupt() as interrupt,
        TemporaryDirectory(prefix="segbench-") as folder,
        Pool(_workers(request), request.jobs, interrupt, lambda key, event: every[key].receive(event)) as pool,
    ):
        while (waiting or pool.is_busy) and not interrupt.requested:
            while waiting and pool.has_room:
                key = waiting.pop(0)
                pool.start(key, _FUNCTION, _job(every[key], request), Path(mkdtemp(dir=folder)), limits)
            for key, outcome in pool.advance():
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


# Printing the results.


def _print_counts(checked: Checked) -> None:
    typer.echo(f"{_title(checked.offer)}: {_count(checked.results)}", err=True)


def _count(results: Iterable[Result]) -> str:
    counts = Counter(result.outcome for result in results)
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items())


def _title(offer: Offer) -> str:
    return f"{offer.kind} {offer.full_name}"


def _as_json(checked: Sequence[Checked], broken: Sequence[PluginProblem]) -> str:
    import json

    components = [
        {
            "kind": one.offer.kind,
            "name": one.offer.full_name,
            "plugin": one.offer.plugin,
            "distribution": one.offer.distribution,
            "version": one.offer.version,
            "results": [result._asdict() for result in one.results],
        }
        for one in checked
    ]
    plugins = [
        {"plugin": problem.plugin, "distribution": problem.distribution, "message": problem.message}
        for problem in broken
    ]
    ok = not broken and not any(one.faulty for one in checked)
    return json.dumps({"ok": ok, "broken": plugins, "components": components}, indent=2)


def _as_text(checked: Sequence[Checked], broken: Sequence[PluginProblem]) -> str:
    table = columns([("KIND", "NAME", *HEADINGS), *map(_row, checked)]) if checked else ""
    remarks = [text for one in checked if (text := _describe_faults(one))]
    parts = [table, *map(str, broken), *remarks, _list_skipped(checked), _verdict(checked, broken)]
    return "\n\n".join(filter(None, parts))


def _row(checked: Checked) -> tuple[str, ...]:
    counts = Counter(result.outcome for result in checked.results)
    numbers = [sum(number for outcome, number in counts.items() if outcome in counted) for counted in HEADINGS.values()]
    return checked.offer.kind, checked.offer.full_name, *(str(number or "-") for number in numbers)


def _describe_faults(checked: Checked) -> str:
    """Return a component's faults, each with its cure, then what is known to fail and what is reported."""
    order = ["failed", "unexpected pass", "known failure", "reported"]
    results = [result for result in checked.results if result.outcome in order]
    results = sorted(results, key=lambda result: order.index(result.outcome))
    lines = [_describe_group(alike) for alike in _group_by_reason(results)]
    return "\n".join([_title(checked.offer), *lines]) if lines else ""


def _list_skipped(checked: Sequence[Checked]) -> str:
    """Return what was skipped, once for each reason, since many components share one."""
    names: dict[str, dict[str, None]] = {}
    titles: dict[str, dict[str, None]] = {}
    for one in checked:
        for result in one.results:
            if result.outcome == "skipped":
                names.setdefault(result.message, {})[result.check] = None
                titles.setdefault(result.message, {})[_title(one.offer)] = None
    lines = [_describe_skip(reason, [*names[reason]], [*titles[reason]], len(checked)) for reason in names]
    return "\n".join(["skipped", *lines]) if lines else ""


def _describe_skip(reason: str, checks: Sequence[str], titles: Sequence[str], of: int) -> str:
    where = "" if of == 1 else f" ({titles[0] if len(titles) == 1 else f'{len(titles)} components'})"
    return f"  {', '.join(checks)}\n    {_indent(reason)}{where}"


def _group_by_reason(results: Sequence[Result]) -> list[list[Result]]:
    """Return the results in groups: those that failed for one reason, such as a network that cannot be built."""
    groups: list[list[Result]] = []
    for result in results:
        of_one_reason = (group for group in groups if result.outcome == group[0].outcome == "failed")
        same = next((group for group in of_one_reason if _have_one_reason(group[0].message, result.message)), None)
        if same is None:
            groups.append([result])
        else:
            same.append(result)
    return groups


def _have_one_reason(message: str, other: str) -> bool:
    """Whether two messages end alike; what comes before may say for which input it was."""
    return message.endswith(other) or other.endswith(message)


def _describe_group(alike: Sequence[Result]) -> str:
    first, *others = alike
    message = _indent(min((result.message for result in alike), key=len))
    if others:
        return (
            f"  failed: {first.check} and {len(others)} more\n    {message}\n"
            "    cure: All of them fail for this one reason: correct it, then check again."
        )
    cure = f"\n    cure: {first.cure}" if first.cure else ""
    return f"  {first.outcome}: {first.check}\n    {message}{cure}"


def _indent(message: str) -> str:
    return message.strip().replace("\n", "\n    ")


def _verdict(checked: Sequence[Checked], broken: Sequence[PluginProblem]) -> str:
    faulty = [_title(one.offer) for one in checked if one.faulty] + [f"plugin {problem.plugin}" for problem in broken]
    if faulty:
        return f"not fit for use: {', '.join(faulty)}"
    return f"{len(checked)} component{'s' if len(checked) != 1 else ''} checked, nothing is wrong"
