"""What stands where in a report that people read; the text formats differ only in their marks.

What the numbers of a report mean: the passports of its scores, and how everything else was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING

from segbench.report.ranking.timings import EXPLANATION, timing_warnings
from segbench.report.ranking.tuning import find_tunings, tuning_table
from segbench.stats.definitions import METRIC_DEFINITIONS
from segbench.stats.difference import ENOUGH_SEEDS
from segbench.stats.verdict import MARGIN

from . import tables
from .tables import ONE_SEED, QUALITY, efficiency_footnotes, efficiency_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from segbench.report.numbers import Table
    from segbench.report.ranking.groups import Group, Report
    from segbench.report.ranking.label_efficiency import Efficiency
    from segbench.report.ranking.rows import Row
    from segbench.stats.definitions import MetricDefinition
    from segbench.store.record import Record


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
    if number := len(report.auxiliary):
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
            *tables.footnotes(group.comparisons),
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
    if compared := [one for one in group.comparisons if one.other_name]:
        yield tables.differences(compared)
    if playing := [row for row in group.rows if row.verdicts and not row.generates_images]:
        yield tables.games(playing)
    if refining := [row for row in group.rows if row.refinement("changed").n]:
        yield tables.refinements(refining)
    if generating := [row for row in group.rows if row.features]:
        yield tables.generated_images(generating)
    if trials := find_tunings(group.rows):
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
    for what, name in (("interval", "interval_missing"), ("tier", "tier_missing")):
        reasons: dict[str, list[str]] = {}
        for row in rows:
            if reason := getattr(row.statistics, name):
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
    yield from (f"Timing: {warning}." for warning in timing_warnings([row.speed for row in rows]))
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


# The scores that have a column, and how it calls them.
NAMES = {"miou": "mIoU", "pixel_accuracy": "pixel accuracy"} | {
    name: " ".join(header.partition("[")[0].split()) for name, header in QUALITY.items()
}


MEANING = (
    "Mean ± sample standard deviation over the seeds. A dash is a number that is not known.",
    "Inference: the forward pass alone; latency p50 / p95 of a batch in milliseconds over (n) runs. "
    "Training: images a second after warm-up, and seconds in all, means over the seeds. "
    "MiB: peak memory, on a GPU what torch allocated, on a CPU all of the process. GFLOPs: of one image.",
)


INTERVALS = (
    "Intervals: 95 %, crossed over seeds and images (segbench/stats/difference.py). Tiers: a row that is worse than "
    "the first of a tier begins the next one, all pairs judged together; rows of one tier were not told apart, which "
    "does not make them as good."
)


STAGES = (
    f"{EXPLANATION} × twin's: images a second of the network alone as a multiple of the twin's. Best batch: of a sweep."
)


DIFFERENCES = (
    "Differences: same seeds, same images; the interval is crossed over both, at a level adjusted after Holm for all "
    "differences of the ranking together. Verdict: better or worse if 0 is outside, equivalent if all of it is within "
    f"{100 * MARGIN:g} points, else undecided. P(A > B): the probability that A wins with a seed and images drawn at "
    "random. The exact sign-flip p over seeds stands beside and decides nothing: below "
    f"{ENOUGH_SEEDS} seeds it cannot fall below 0.05. Smallest effect: points that this design finds in 80 % of cases. "
    "Needed: seeds in all that would settle it if estimate and variances stayed; a dash: no number would, or, with one "
    "seed, there is no telling."
)


PLACEBOS = (
    "A placebo (METHOD~KIND) has a critic that is broken on purpose: METHOD - METHOD~KIND is what is left of the gain "
    "over the placebo, and only that is merit of the critic."
)


TRAINING_TIME = "Training time is a multiple of B's, without that of methods that come before."


HEALTH = (
    "Health: by written rules over the last third of training (segbench/stats/health.py). Gradient ratio: adversarial "
    "/ supervised, at the generator's output. The critic is right on training reals, fakes, and reals of the val split."
)


GENERATED = (
    "Generated images: KID (kernel inception distance) or the distance of pixel statistics, less is better; precision "
    "and recall of k-nearest-neighbour manifolds; diversity and nearest: root mean square distance to one another and "
    "to the nearest training image. Numbers of different features are never to be compared."
)


REFINEMENT = (
    "Refinement: labelled pixels whose class the refiner changed; corrected were wrong before and are right, spoilt "
    "the reverse."
)


TUNING = "Tuning: trials on the val split; all: mean ± sample standard deviation over the trials of one method."


EFFICIENCY = (
    "Labels: ×1.3 [1.1, 1.6] says that the twin needs 1.3 times as many labels for the same mIoU, with the 95 % "
    "interval; the twin's curve is linear in log2 of the share between its points, and made monotone, for more labels "
    "hurt by chance only. > and <: beyond the shares that the twin was trained with."
)


ONE_SEED_ONLY = f"{ONE_SEED} One seed: the interval is over images only, and another seed may give anything."


def definitions(report: Report) -> list[str]:
    """Return the definitions of what the report shows, the passport of each score among them."""
    rows = _rows(report)
    return [*passport_lines(rows), *_meanings(report, rows)] if rows else []


def definitions_in_short(report: Report) -> list[str]:
    """Return the definitions of what the report shows; of the scores the first's passport and the ids of the rest."""
    rows = _rows(report)
    return [*passports_in_short(rows), *_meanings(report, rows)] if rows else []


def _rows(report: Report) -> list[Row]:
    return [row for group in report.groups for row in group.rows]


def _meanings(report: Report, rows: Sequence[Row]) -> list[str]:
    return [*MEANING, *(text for text, is_shown in _shown(report, rows).items() if is_shown)]


def shown_scores(rows: Sequence[Row]) -> list[str]:
    """Return the names of the scores that have a column, mIoU first."""
    return [name for name in NAMES if any(row.score(name).n for row in rows)]


def passports(rows: Sequence[Row]) -> dict[str, MetricDefinition]:
    """Return the passport of each score that rows have, by its name, if it is still the one that they were made by."""
    used = {found for row in rows for found in row.definitions.items()}
    return {name: passport for name, passport in METRIC_DEFINITIONS.items() if (name, passport.definition) in used}


def passport_lines(rows: Sequence[Row]) -> Iterable[str]:
    """Return the definition of each score shown in a line, and what they have in common in one more."""
    found = _known_passports(rows)
    usual = next(iter(found.values()), None)
    for name, passport in found.items():
        yield _passport_line(name, passport, usual or passport)
    yield from _other_versions(rows)
    if usual:
        which = "Of all these scores: ignored" if len(found) > 1 else "Ignored"
        yield f"{which} pixels are {usual.ignored}; resolution: {usual.resolution}."


def passports_in_short(rows: Sequence[Row]) -> Iterable[str]:
    """Return the definition of the first score shown in a line, and the ids of the others in one more."""
    found = _known_passports(rows)
    for name, passport in list(found.items())[:1]:
        yield f"{_passport_line(name, passport, passport)} Ignored pixels are {passport.ignored}."
    yield from _other_versions(rows)
    if others := [passport.definition for passport in list(found.values())[1:]]:
        yield f"Other scores, word for word with `segbench report --format markdown`: {', '.join(others)}."


def _known_passports(rows: Sequence[Row]) -> dict[str, MetricDefinition]:
    """Return the passports of the scores that have a column, mIoU's first."""
    known = passports(rows)
    return {name: known[name] for name in shown_scores(rows) if name in known}


def _other_versions(rows: Sequence[Row]) -> Iterable[str]:
    known = passports(rows)
    for name, definition in sorted({item for row in rows for item in row.definitions.items()}):
        if name in NAMES and (name not in known or known[name].definition != definition):
            yield f"{NAMES[name]} ({definition}): a definition of another version of segbench."


def _passport_line(name: str, passport: MetricDefinition, usual: MetricDefinition) -> str:
    """Return what a score is, and where it departs from the usual."""
    parts = [f"{NAMES[name]} ({passport.definition}): {passport.formula}", f"absent classes: {passport.absent}"]
    parts += [f"ignored pixels: {passport.ignored}"] * (passport.ignored != usual.ignored)
    parts += [f"resolution: {passport.resolution}"] * (passport.resolution != usual.resolution)
    return f"{'; '.join(parts)}."


def _shown(report: Report, rows: Sequence[Row]) -> Mapping[str, bool]:
    compared = [one for group in report.groups for one in group.comparisons if one.other]
    one_seed = any(row.statistics.is_over_images_only for row in rows)
    one_seed = one_seed or any(one.is_over_images_only for one in compared)
    return {
        INTERVALS: any(row.statistics.estimate for row in rows),
        ONE_SEED_ONLY: one_seed,
        STAGES: any(row.timing or row.stage("argmax") for row in rows),
        DIFFERENCES: any(one.judgement for one in compared),
        TRAINING_TIME: bool(compared),
        PLACEBOS: any(row.placebo_of for row in rows),
        HEALTH: any(row.verdicts for row in rows),
        GENERATED: any(row.features for row in rows),
        REFINEMENT: any(row.refinement("changed").n for row in rows),
        TUNING: any(record.settled and record.settled.trials for row in rows for record in row.records),
        EFFICIENCY: any(curve.exchanges for one in report.efficiencies for curve in one.curves),
    }
