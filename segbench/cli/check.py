"""`segbench check`: whether components keep to their contract."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import PLURALS, Json, parse_kind, parse_options
from .output import INTERRUPTED, SOME_FAILED, columns, print_content, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from segbench.registry import Offer, PluginProblem, Registry
    from segbench.testing.check import Result

    from .checking import Checked


# The columns of the table, and the outcomes that each one counts.
HEADINGS = {
    "PASSED": ("passed",),
    "FAILED": ("failed", "unexpected pass"),
    "KNOWN": ("known failure",),
    "REPORTED": ("reported",),
    "SKIPPED": ("skipped",),
}


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

    Every fault is printed with what was found and how to correct it. Failures that a component lists under
    known_failures, and failures of checks that are not required, are printed and do not count.
    """
    from segbench.registry import load_registry

    from .checking import Request, check_all

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
    print_content(_describe(checked, broken), json, lambda _: _as_text(checked, broken))
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
    from segbench.errors import ComponentError, alternatives

    wanted = _normalised(name)
    offers = [offer for offer in every if wanted in map(_normalised, (offer.plugin, offer.distribution))]
    broken = [problem for problem in problems if wanted in map(_normalised, _names(problem))]
    if not offers and not broken:
        known = sorted({offer.plugin for offer in every} | {problem.plugin for problem in problems})
        raise ComponentError(
            f"unknown plugin {name!r}.{alternatives(name, known)} "
            "For a single component write its kind and its name: segbench check generator smp/unet."
        ).among(known)
    return offers, broken


def _names(problem: PluginProblem) -> list[str]:
    """Return the names by which a broken plugin is known: its own, and those of the distributions that claim it."""
    return [problem.plugin, *(claim.partition(" ")[0] for claim in problem.distribution.split(" and "))]


def _normalised(name: str) -> str:
    """Return a distribution's name in the one form that all its spellings share (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


# Printing the results.


def _print_counts(checked: Checked) -> None:
    say(f"{_title(checked.offer)}: {_count(checked.results)}", err=True)


def _count(results: Iterable[Result]) -> str:
    counts = Counter(result.outcome for result in results)
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items())


def _title(offer: Offer) -> str:
    return f"{offer.kind} {offer.full_name}"


def _describe(checked: Sequence[Checked], broken: Sequence[PluginProblem]) -> dict[str, Any]:
    """Return the results of all checks, ready for JSON."""
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
    return {"ok": ok, "broken": plugins, "components": components}


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
