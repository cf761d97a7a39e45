"""What stands where in a report that people read; the text formats differ only in their marks."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING

from . import difference_table, tables
from .definitions import definitions, definitions_in_short
from .efficiency_tables import efficiency_footnotes, efficiency_tables
from .timings import timing_warnings
from .tuning import tuned, tuning_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from segbench.store.record import Record

    from .groups import Group, Report
    from .label_efficiency import Efficiency
    from .rows import Row
    from .table import Table


@dataclass(frozen=True)
class Section:
    """One ranking: its headings, tables and footnotes."""

    title: str
    conditions: tuple[str, ...]
    tables: tuple[Table, ...]
    footnotes: tuple[str, ...]


def sections(report: Report) -> list[Section]:
    """Lay out the rankings of a report, and after them what methods make of a share of the labels."""
    rankings = [_section(group, with_classes=report.with_classes) for group in report.groups]
    return [*rankings, *(_efficiency_section(efficiency) for efficiency in report.efficiencies)]


def failures(report: Report) -> list[str]:
    """Return one line for each cell that left no result, with its reason."""
    return [_failure(record) for record in report.without_result]


def closing(report: Report) -> list[str]:
    """Return what stands below the tables: definitions, versions, where the records are, and what was not read."""
    return [*definitions(report), *_provenance(report)]


def closing_in_short(report: Report) -> list[str]:
    """Return the same with the first score's passport only."""
    return [*definitions_in_short(report), *_provenance(report)]


def _provenance(report: Report) -> list[str]:
    """Say what was left out, where the records are, what made them, and what was not read."""
    lines = []
    if any(len(same) > 1 for same in _groups_by_benchmark(report).values()):
        lines.append("Rows of different rankings above were measured under different conditions: do not compare them.")
    if number := len(report.helpers):
        which = "1 cell that only serves" if number == 1 else f"{number} cells that only serve"
        kinds = "folds, trials of tuning, and shares of labels that nobody asked for"
        lines.append(f"Left out of the rankings: {which} others ({kinds}).")
    lines += _software(report)
    lines.append(f"Records: {', '.join(str(folder) for folder in report.folders)}")
    return lines + [f"Not read: {problem}" for problem in report.problems]


def _section(group: Group, *, with_classes: bool) -> Section:
    letters = _letters(group.rows)
    conditions = [group.data.heading]
    conditions += [f"protocol: {group.protocol}"] if group.protocol else []
    conditions += [group.conditions.heading] if group.conditions else []
    by_class = tables.classes(_segmenting(group)) if with_classes else None
    return Section(
        title=f"{group.data.benchmark} / {group.data.dataset}",
        conditions=tuple(conditions),
        tables=(*_tables(group, letters), *([by_class] if by_class else [])),
        footnotes=(
            *(f"({letter}) {note}" for note, letter in letters.items()),
            *_standing_footnotes(group.rows),
            *difference_table.footnotes(group.compared),
            *_health_footnotes(group.rows),
            *_timing_footnotes(group.rows),
            *(_class_footnotes(group.rows) if with_classes else ()),
        ),
    )


def _efficiency_section(efficiency: Efficiency) -> Section:
    return Section(
        title=f"{efficiency.benchmark} / {efficiency.dataset}: label efficiency",
        conditions=(efficiency.split or "unknown split",),
        tables=tuple(efficiency_tables(efficiency)),
        footnotes=tuple(efficiency_footnotes(efficiency)),
    )


def _tables(group: Group, letters: dict[str, str]) -> Iterable[Table]:
    """Return the tables of a ranking; one without rows is left out."""
    if segmenting := _segmenting(group):
        yield tables.results(group, segmenting, letters)
        if scores := tables.quality(segmenting):
            yield scores
    if compared := [one for one in group.compared if one.named]:
        yield difference_table.differences(compared)
    if playing := [row for row in group.rows if row.verdicts and not row.generates_images]:
        yield tables.games(playing)
    if refining := [row for row in group.rows if row.refinement("changed").n]:
        yield tables.refinements(refining)
    if generating := [row for row in group.rows if row.features]:
        yield tables.generated_images(generating)
    if trials := tuned(group.rows):
        yield tuning_table(trials)
    if beyond := tables.stages(group):
        yield beyond
    yield tables.costs(group, letters)
    if trained := [row for row in group.rows if row.train("steps").n]:
        yield tables.training(trained)


def _segmenting(group: Group) -> list[Row]:
    return [row for row in group.rows if not row.generates_images]


def _standing_footnotes(rows: Sequence[Row]) -> Iterable[str]:
    """Say which rows have no interval, or no tier, and why."""
    for what, name in (("interval", "missing"), ("tier", "untiered")):
        reasons: dict[str, list[str]] = {}
        for row in rows:
            if reason := getattr(row.standing, name):
                reasons.setdefault(reason, []).append(row.method)
        yield from (f"No {what} of {', '.join(methods)}: {reason}." for reason, methods in reasons.items())


def _health_footnotes(rows: Sequence[Row]) -> Iterable[str]:
    """Give the reason of each verdict that is not healthy, from the first seed that has it."""
    for row in rows:
        for verdict, seeds in row.verdicts.items():
            if verdict == "healthy":
                continue
            first = next(record for record in row.records if record.seed == seeds[0])
            reason = first.health.reason if first.health else ""
            others = f" (so {'are seeds' if len(seeds) > 2 else 'is seed'} {', '.join(map(str, seeds[1:]))})"
            yield f"{row.method}, seed {seeds[0]}: {verdict}: {reason}{others if seeds[1:] else ''}"


def _class_footnotes(rows: Sequence[Row]) -> Iterable[str]:
    number = max((len(row.class_scores("iou")) for row in rows), default=0)
    if number > tables.MOST_CLASSES:
        yield f"No table of classes: {number} are more than {tables.MOST_CLASSES}; JSON has them all."


def _timing_footnotes(rows: Sequence[Row]) -> Iterable[str]:
    """Say what could have made times wrong, with how many threads and under what load they were taken."""
    yield from (f"Timing: {warning}." for warning in timing_warnings([row.rival for row in rows]))
    timings = [row.timing for row in rows if row.timing]
    loads = [state.load for timing in timings for state in (timing.before, timing.after) if state.load is not None]
    if loads:
        threads = sorted({timing.threads for timing in timings})
        ends = " to ".join(dict.fromkeys(f"{load:.1f}" for load in (min(loads), max(loads))))
        number = " or ".join(map(str, threads))
        yield f"Timed with {number} thread{'s' * (threads != [1])} at a load of the machine of {ends}."


def _letters(rows: Sequence[Row]) -> dict[str, str]:
    """Return a mark for each note, in the order in which they appear: a, b, ..., z, aa, ab."""
    notes = list(dict.fromkeys(note for row in rows for note in row.notes))
    return {note: _letter(i) for i, note in enumerate(notes)}


def _letter(i: int) -> str:
    return (_letter(i // 26 - 1) if i >= 26 else "") + ascii_lowercase[i % 26]


def _failure(record: Record) -> str:
    cause = " ".join(record.error.cause.split()) if record.error else "no cause recorded"
    plugin = f" (plugin {record.error.plugin})" if record.error and record.error.plugin else ""
    subset = "" if record.subset == "all" else f" / {record.subset}"
    cell = f"{record.benchmark} / {record.dataset}{subset} / {record.method} / seed {record.seed}"
    return f"{record.status}: {cell}: {cause}{plugin}"


def _software(report: Report) -> list[str]:
    """Return the versions that made the rows, several where they differ."""
    environments = [record.environment for group in report.groups for row in group.rows for record in row.records]
    found = {name: sorted({str(one[name]) for one in environments if one.get(name)}) for name in ("segbench", "torch")}
    named = [f"{name} {' and '.join(versions)}" for name, versions in found.items() if versions]
    return [f"Made with {', '.join(named)}."] if named else []


def _groups_by_benchmark(report: Report) -> dict[tuple[str, str], list[Group]]:
    found: dict[tuple[str, str], list[Group]] = {}
    for group in report.groups:
        found.setdefault((group.data.benchmark, group.data.dataset), []).append(group)
    return found
