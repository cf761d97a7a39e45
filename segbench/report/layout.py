"""What stands where in a report that people read; the text formats differ only in their marks."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING

from segbench.stats.paired import ENOUGH_SEEDS, sign_flip_floor

from . import tables
from .twins import comparisons

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from segbench.store.record import Record

    from .groups import Group, Report
    from .rows import Row
    from .tables import Table
    from .twins import Comparison

DEFINITIONS = (
    "mIoU: one confusion matrix summed over the split, labels at native resolution, ignored pixels excluded; "
    "IoU = TP / (TP + FP + FN); mean over the classes with a non-empty union. "
    "Mean ± sample standard deviation over the seeds.",
    "Inference: the forward pass alone; latency p50 / p95 of a batch in milliseconds over (n) runs. "
    "Training: images a second after warm-up, and seconds in all, means over the seeds. "
    "MiB: peak memory, on a GPU what torch allocated, on a CPU all of the process. GFLOPs: of one image. "
    "A dash is a number that is not known.",
)
AGAINST_TWIN = (
    "Against the twin: same seed, same images; mean ± sample standard deviation of the paired differences. No interval "
    "is computed, so that a difference is no verdict. A placebo (METHOD~KIND) has a critic that is broken on purpose: "
    "what it gains too is no merit of the critic. Training time is a multiple of the twin's, without that of methods "
    "that come before."
)
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


@dataclass(frozen=True)
class Section:
    """One ranking: its headings, tables and footnotes."""

    title: str
    conditions: tuple[str, ...]
    tables: tuple[Table, ...]
    footnotes: tuple[str, ...]


def sections(report: Report) -> list[Section]:
    """Lay out the rankings of a report."""
    return [_section(group) for group in report.groups]


def failures(report: Report) -> list[str]:
    """Return one line for each cell that left no result, with its reason."""
    return [_failure(record) for record in report.without_result]


def closing(report: Report) -> list[str]:
    """Return what stands below the tables: definitions, versions, where the records are, and what was not read."""
    lines = _definitions(report)
    if any(len(same) > 1 for same in _groups_by_benchmark(report).values()):
        lines.append("Rows of different rankings above were measured under different conditions: do not compare them.")
    if number := len(report.helpers):
        which = "1 cell that only serves" if number == 1 else f"{number} cells that only serve"
        lines.append(f"Left out of the rankings: {which} others (folds, and shares of labels that nobody asked for).")
    lines += _software(report)
    lines.append(f"Records: {', '.join(str(folder) for folder in report.folders)}")
    return lines + [f"Not read: {problem}" for problem in report.problems]


def _section(group: Group) -> Section:
    letters = _letters(group.rows)
    compared = comparisons(group)
    conditions = [group.data.heading]
    conditions += [f"protocol: {group.protocol}"] if group.protocol else []
    conditions += [group.conditions.heading] if group.conditions else []
    return Section(
        title=f"{group.data.benchmark} / {group.data.dataset}",
        conditions=tuple(conditions),
        tables=tuple(_tables(group, compared, letters)),
        footnotes=(
            *(f"({letter}) {note}" for note, letter in letters.items()),
            *_twin_footnotes(compared),
            *_health_footnotes(group.rows),
        ),
    )


def _tables(group: Group, compared: Sequence[Comparison], letters: dict[str, str]) -> Iterable[Table]:
    """Return the tables of a ranking; one without rows is left out."""
    segmenting = [row for row in group.rows if not row.generates_images]
    if segmenting:
        yield tables.results(group, segmenting, letters)
    if compared:
        yield tables.against_twins(compared)
    if refining := _refining(group):
        yield tables.refinements(refining)
    if generating := _generating(group):
        yield tables.generated_images(generating)
    yield tables.costs(group, letters)


def _refining(group: Group) -> list[Row]:
    return [row for row in group.rows if row.refinement("changed").n]


def _generating(group: Group) -> list[Row]:
    return [row for row in group.rows if row.features]


def _twin_footnotes(compared: Sequence[Comparison]) -> Iterable[str]:
    """Say which differences are not to be read, and why."""
    few = sorted({len(one.miou.seeds) for one in compared if one.miou.seeds and one.miou.is_exploratory})
    if few:
        floors = ", ".join(f"{sign_flip_floor(n):g} with {n} seed{'s' * (n != 1)}" for n in few)
        yield (
            f"Exploratory: with fewer than {ENOUGH_SEEDS} seeds in common no difference can be called significant; an "
            f"exact sign-flip test over n seeds cannot go below p = 2/2^n, {floors}."
        )
    for one in compared:
        if one.row.twin and one.twin is None:
            yield f"{one.row.method}: its twin {one.row.twin} has not exactly one row in this ranking to compare with."


def _health_footnotes(rows: Sequence[Row]) -> Iterable[str]:
    """Give the reason of each verdict that is not healthy, from the first seed that has it."""
    for row in rows:
        for verdict, seeds in row.verdicts.items():
            if verdict == "healthy":
                continue
            first = next(record for record in row.records if record.seed == seeds[0])
            reason = first.health.reason if first.health else ""
            others = f" (so are seeds {', '.join(map(str, seeds[1:]))})" if len(seeds) > 1 else ""
            yield f"{row.method}, seed {seeds[0]}: {verdict}: {reason}{others}"


def _definitions(report: Report) -> list[str]:
    """Return the definitions of what the report shows."""
    groups, rows = report.groups, [row for group in report.groups for row in group.rows]
    shown = {
        AGAINST_TWIN: any(one.twin for group in groups for one in comparisons(group)),
        HEALTH: any(row.verdicts for row in rows),
        GENERATED: any(_generating(group) for group in groups),
        REFINEMENT: any(_refining(group) for group in groups),
    }
    return [*(DEFINITIONS if groups else ()), *(text for text, is_shown in shown.items() if is_shown)]


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
