"""The layout of a report as text: sections of tables and notes, the same in every format."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

from segbench.report.cell_spec import subset_text
from segbench.report.numbers import letter, name_seeds, plural
from segbench.report.ranking.doses import find_doses
from segbench.report.ranking.timings import timing_warnings
from segbench.report.ranking.trade_off import recommend
from segbench.report.ranking.tuning import find_tunings, tuning_table
from segbench.report.records import describe_cause

from . import tables
from .across_datasets import across_tables, explain_across, summarize_across
from .columns import choose_columns
from .curves import LOOKS, dose_table, efficiency_tables, explain_missing_rates
from .definitions import ONE_SEED_ONLY, define_numbers, has_one_seed_only
from .people import describe_votes, people_notes, people_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from segbench.report.conditions import Conditions
    from segbench.report.numbers import Column, Table
    from segbench.report.ranking.across_datasets import AcrossDatasets
    from segbench.report.ranking.groups import Group, Report
    from segbench.report.ranking.label_efficiency import Efficiency
    from segbench.report.ranking.people import HumanRanking
    from segbench.report.ranking.rows import Row
    from segbench.store.record import HealthVerdict, Record


CROSS_VALIDATED = (
    "cross-validated: every image is tested once a seed, by a network that has not seen it. Scores are of all images; "
    "seconds are the mean of a seed's networks, health is that of its worst"
)


@dataclass(frozen=True)
class Section:
    """One ranking or comparison: its title and the conditions below it, what follows, its tables and notes.

    `name` is that of labels: the benchmark and the dataset.
    """

    title: str
    conditions: tuple[str, ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    name: str = ""
    lead: tuple[str, ...] = ()


@dataclass(frozen=True)
class Document:
    """A report in its parts: the rankings, a line for each failure, and closing lines about the whole."""

    sections: tuple[Section, ...]
    failures: tuple[str, ...]
    closing: tuple[str, ...]


def lay_out_all(report: Report) -> Document:
    """Lay out all tables and notes, what lies across rankings and votes after these, and definitions of all numbers."""
    sections = (
        *map(_ranking, report.groups),
        *map(lay_out_efficiency, report.efficiencies),
        *map(lay_out_across, report.across),
        *map(lay_out_people, report.people),
    )
    return Document(sections, tuple(list_failures(report)), (*define_numbers(report), *_provenance(report)))


def lay_out_columns(report: Report, names: Sequence[str]) -> Document:
    """Lay out one table of each ranking with the columns named; SpecError for an unknown name."""
    sections = []
    for section, group in zip(map(_ranking, report.groups), report.groups, strict=True):
        letters = mark_notes(group.rows)
        notes = (
            *explain_trade_off(group),
            *([ONE_SEED_ONLY] if has_one_seed_only(group) else []),
            *note_lines(letters),
            *explain_missing_intervals(group.rows),
            *explain_places(group),
        )
        sections.append(replace(section, tables=(choose_columns(group, letters, names),), notes=notes))
    return Document(tuple(sections), tuple(list_failures(report)), tuple(_provenance(report)))


def lay_out_definitions(report: Report) -> Document:
    """Lay out the definitions of the numbers that the report shows, without the numbers."""
    nothing = "There is no result yet, so there is no number to explain."
    return Document((), (), tuple(define_numbers(report)) or (nothing,))


def add_class_tables(document: Document, report: Report) -> Document:
    """Add a table of the IoU of each class to the section of every ranking."""
    sections = list(document.sections)
    for place, group in enumerate(report.groups[: len(sections)]):
        sections[place] = _with_classes(sections[place], group)
    return replace(document, sections=tuple(sections))


def list_failures(report: Report) -> list[str]:
    """Return lines for cells without a result, those of one method with one reason together, and incomplete seeds."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for record in report.without_result:
        seeds.setdefault(_failure(record), []).append(record.seed)
    return [f"{method} / {name_seeds(found)}: {reason}" for (method, reason), found in seeds.items()] + [
        f"incomplete: {seed}" for seed in report.incomplete
    ]


def select_segmenting(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of methods that predict label maps, and so have an mIoU."""
    return [row for row in rows if not row.generates_images]


def mark_notes(rows: Sequence[Row]) -> dict[str, str]:
    """Return a mark for each note of some rows: first those in the names of recipes, then a, b, ... as they appear."""
    recipes = dict(sorted({row.recipe: row.letter for row in rows if row.recipe}.items(), key=lambda item: item[1]))
    notes = dict.fromkeys(note for row in rows for note in row.notes if note not in recipes)
    free = (mark for mark in map(letter, count()) if mark not in recipes.values())
    return {**recipes, **dict(zip(notes, free, strict=False))}


def note_lines(letters: dict[str, str]) -> list[str]:
    """Return the notes, each behind its mark."""
    return [f"({letter}) {note}" for note, letter in letters.items()]


def describe_conditions(group: Group, main: str | None = None) -> Iterable[str]:
    """Return lines for the protocol and the conditions of a ranking, those of most rows as `main` says it, or whole."""
    if group.protocol:
        yield f"protocol: {group.protocol}"
    if group.data.folds:
        yield CROSS_VALIDATED
    yield from list_places(group, main)


def list_places(group: Group, main: str | None = None) -> Iterable[str]:
    """Return a line for each place of a ranking, numbered where there are several, the first as `main` says it."""
    if group.conditions:
        main = main or group.conditions.heading
        yield f"1: {main}" if len(group.places) > 1 else main
    for place, where in enumerate(group.places[1:], start=2):
        yield f"{place}: {where.describe_beside([one for one in group.places if one != where])}"


def explain_places(group: Group, apart: str = "stands in tables of its own") -> Iterable[str]:
    """Say what holds for scores and speeds where a ranking has several places, and where their other speeds are."""
    if len(group.places) > 1:
        yield f"Speed, latency, seconds and memory are those under 1; what was measured elsewhere {apart}."
    if len(group.machines) > 1:
        yield (
            "Scores of several machines or versions rank together: their rounding differs, which acts like another "
            "seed, and seeds are in every interval. Pairs share seeds and images."
        )


def explain_trade_off(group: Group) -> Iterable[str]:
    """Recommend a row by mIoU and speed, and say which rows are beaten in both."""
    if sentence := recommend(group):
        yield sentence
    if beaten := [f"{row.name} by {row.beaten_by}" for row in group.rows if row.beaten_by]:
        yield f"{tables.BEATEN} Another row has a higher mean mIoU and is faster: {', '.join(beaten)}."


def explain_missing_intervals(rows: Sequence[Row]) -> Iterable[str]:
    """Say which rows have no interval, or no tier, and why."""
    for what, name in (("interval", "interval_missing"), ("tier", "tier_missing")):
        reasons: dict[str, list[str]] = {}
        for row in rows:
            if reason := getattr(row.statistics, name):
                reasons.setdefault(reason, []).append(row.name)
        yield from (f"No {what} of {', '.join(methods)}: {reason}." for reason, methods in reasons.items())


def explain_pairs(group: Group) -> Iterable[str]:
    """Say how many pairs of rows differ when they are compared alone, though not among all pairs of the ranking."""
    if number := sum(pair.differs_alone_only for pair in group.pairs):
        differ = "pair differs" if number == 1 else "pairs differ"
        yield (
            f"{number} of {len(group.pairs)} {differ} if compared alone, as by `segbench compare`, and not among all "
            "pairs of this ranking, as in tiers: see --pairs."
        )


def explain_health(rows: Sequence[Row], fine: Sequence[str] = ("healthy",)) -> Iterable[str]:
    """Give the reason of each verdict on adversarial training that is not fine, from the first seed that has it."""
    for row in rows:
        for verdict, seeds in row.verdicts.items():
            if verdict in (*fine, *expected_health(row)):
                continue
            first = next(record for record in row.records if record.seed == seeds[0])
            reason = first.health.reason if first.health else ""
            others = f" (so {'are seeds' if len(seeds) > 2 else 'is seed'} {', '.join(map(str, seeds[1:]))})"
            yield f"{row.name}, seed {seeds[0]}: {verdict}: {reason}{others if seeds[1:] else ''}"


def expected_health(row: Row) -> tuple[HealthVerdict, ...]:
    """Return the verdicts on adversarial training that a row is made for: a placebo's critic is to have no say."""
    return ("inert",) if row.placebo_of else ()


def warn_of_timing(rows: Sequence[Row]) -> Iterable[str]:
    """Say what may have made times wrong."""
    return (f"Timing: {warning}." for warning in timing_warnings([row.speed for row in rows]))


def warn_of_rankings(report: Report) -> Iterable[str]:
    """Say that rankings of the same data must not be mixed, where there are several."""
    benchmarks = [(group.data.benchmark, group.data.dataset) for group in report.groups]
    if len(set(benchmarks)) < len(benchmarks):
        yield "Rows of different rankings above were measured under different conditions; they must not be compared."


def list_unread(report: Report) -> list[str]:
    """Name the files that could not be read."""
    return [f"Not read: {problem}" for problem in report.problems]


def lay_out_efficiency(efficiency: Efficiency) -> Section:
    """Lay out what methods make of a share of the labels."""
    return Section(
        title=f"{efficiency.benchmark} / {efficiency.dataset}: label efficiency",
        conditions=(efficiency.split or "unknown split",),
        tables=tuple(efficiency_tables(efficiency)),
        notes=tuple(explain_missing_rates(efficiency)),
        name=f"{efficiency.benchmark} {efficiency.dataset}",
    )


def lay_out_people(people: HumanRanking) -> Section:
    """Lay out what people prefer, beside the scores of the same methods."""
    return Section(
        title=f"{people.plan.benchmark} / {people.plan.dataset}: what people prefer",
        conditions=(describe_votes(people),),
        tables=tuple(people_tables(people)),
        notes=tuple(people_notes(people)),
        name=f"{people.plan.benchmark} {people.plan.dataset}",
    )


def lay_out_across(across: AcrossDatasets) -> Section:
    """Lay out what holds over the datasets of a benchmark."""
    subset = "" if across.subset == "all" else f", trained on {subset_text(across.subset)}"
    return Section(
        title=f"{across.benchmark}: across datasets{subset}",
        conditions=(", ".join(across.datasets),),
        tables=tuple(across_tables(across)),
        notes=(summarize_across(across), *explain_across(across)),
        name=f"{across.benchmark} across datasets",
    )


def _ranking(group: Group) -> Section:
    letters = mark_notes(group.rows)
    return Section(
        title=f"{group.data.benchmark} / {group.data.dataset}",
        conditions=(group.data.heading, *describe_conditions(group)),
        tables=tuple(_tables(group, letters)),
        notes=(
            *explain_trade_off(group),
            *note_lines(letters),
            *explain_missing_intervals(group.rows),
            *explain_pairs(group),
            *tables.explain_missing_differences(group.comparisons),
            *([LOOKS] if find_doses(group) else []),
            *explain_health(group.rows),
            *explain_places(group),
            *(line for where in group.places for line in warn_of_timing(group.under(where))),
            *_describe_load(group.rows),
        ),
        name=name_section(group),
    )


def name_section(group: Group) -> str:
    """Return the name of the section of a ranking."""
    return f"{group.data.benchmark} {group.data.dataset}"


def _tables(group: Group, letters: dict[str, str]) -> Iterable[Table]:
    """Return the tables of a ranking; one without rows is left out."""
    if predicting := select_segmenting(group.rows):
        yield tables.ranking(group, predicting, letters)
        if scores := tables.quality(predicting):
            yield scores
    if compared := [one for one in group.comparisons if one.other_name]:
        yield tables.differences(compared)
    yield from map(dose_table, find_doses(group))
    if adversarial := [row for row in group.rows if row.verdicts and not row.generates_images]:
        yield tables.adversarial_training(adversarial)
    if refining := [row for row in group.rows if row.refinement("changed").n]:
        yield tables.refinements(refining)
    if generating := [row for row in group.rows if row.features]:
        yield tables.generated_images(generating)
    if trials := find_tunings(group.rows):
        yield tuning_table(trials)
    yield from _tables_of_place(group.conditions, group.under(group.conditions), letters)
    for place, where in enumerate(group.places[1:], start=2):
        for table in _tables_of_place(where, group.under(where), letters, [tables.TRAINING_SECONDS]):
            title = " · ".join(filter(None, [f"Under {place}", table.title]))
            yield table._replace(title=title, name=f"{table.name or table.title} {place}")


def _tables_of_place(
    where: Conditions | None, rows: Sequence[Row], letters: dict[str, str], more: Sequence[Column[Row]] = ()
) -> Iterable[Table]:
    """Return the tables of what depends on where it was measured."""
    if beyond := tables.stages(rows, where.batch_size if where else None):
        yield beyond
    yield tables.costs(where, rows, letters)
    if trained := [row for row in rows if row.train("steps").n]:
        yield tables.training(trained, more)


def _with_classes(section: Section, group: Group) -> Section:
    by_class = tables.classes(select_segmenting(group.rows))
    number = max((len(row.class_scores("iou")) for row in group.rows), default=0)
    note = f"No table of classes: {number} are more than {tables.MOST_CLASSES}; JSON has them all."
    return replace(
        section,
        tables=(*section.tables, *([by_class] if by_class else [])),
        notes=(*section.notes, *([note] if number > tables.MOST_CLASSES else [])),
    )


def _describe_load(rows: Sequence[Row]) -> Iterable[str]:
    """Say with how many threads and under what load of the machine times were taken."""
    timings = [row.timing for row in rows if row.timing]
    loads = [state.load for timing in timings for state in (timing.before, timing.after) if state.load is not None]
    if loads:
        threads = sorted({timing.threads for timing in timings})
        ends = " to ".join(dict.fromkeys(f"{load:.1f}" for load in (min(loads), max(loads))))
        number = " or ".join(map(str, threads))
        yield f"Timed with {number} thread{'s' * (threads != [1])}; load of the machine before and after: {ends}."


def _failure(record: Record) -> tuple[str, str]:
    """Return what failed, but for its seed, and why."""
    subset = "" if record.subset == "all" else f" / {record.subset}"
    return f"{record.status}: {record.benchmark} / {record.dataset}{subset} / {record.method}", describe_cause(record)


def _provenance(report: Report) -> Iterable[str]:
    """Say which cells are in no ranking, which versions made the records, where these are, and which were not read."""
    yield from warn_of_rankings(report)
    if number := len(report.auxiliary):
        kinds = "folds, trials of tuning, and shares of the labels that no method lists"
        yield f"Not in the rankings: {plural(number, 'auxiliary cell')} that serve others ({kinds})."
    yield from _list_versions(report)
    yield f"Records: {', '.join(str(folder) for folder in report.folders)}"
    yield from list_unread(report)


def _list_versions(report: Report) -> Iterable[str]:
    """List the versions of segbench and torch that made the records, several where they differ."""
    environments = [record.environment for group in report.groups for row in group.rows for record in row.records]
    found = {name: sorted({str(one[name]) for one in environments if one.get(name)}) for name in ("segbench", "torch")}
    named = [f"{name} {' and '.join(versions)}" for name, versions in found.items() if versions]
    if named:
        yield f"Made with {', '.join(named)}."
