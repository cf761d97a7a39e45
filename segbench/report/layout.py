"""What stands where in a report that people read; the text formats differ only in their marks."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING, NamedTuple

from .conditions import sizes_text
from .numbers import MISSING, percent, significant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segbench.store.record import Record

    from .groups import Group, Report
    from .rows import Row

DEFINITIONS = (
    "mIoU: one confusion matrix summed over the split, labels at native resolution, ignored pixels excluded; "
    "IoU = TP / (TP + FP + FN); mean over the classes with a non-empty union. "
    "Mean ± sample standard deviation over the seeds.",
    "Inference: the forward pass alone; latency p50 / p95 of a batch in milliseconds over (n) runs. "
    "Training: images a second after warm-up, and seconds in all, means over the seeds. "
    "MiB: peak memory, on a GPU what torch allocated, on a CPU all of the process. GFLOPs: of one image. "
    "A dash is a number that is not known.",
)


class Table(NamedTuple):
    """Headers and cells; the first column is text, the others are numbers. A header may hold line breaks."""

    headers: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Section:
    """One ranking: its headings, tables and footnotes."""

    title: str
    conditions: tuple[str, ...]
    tables: tuple[Table, ...]
    footnotes: tuple[str, ...]


class Column(NamedTuple):
    """A column: its header, and the cell of a row."""

    header: str
    cell: Callable[[Row], str]


def sections(report: Report) -> list[Section]:
    """Lay out the rankings of a report."""
    return [_section(group) for group in report.groups]


def failures(report: Report) -> list[str]:
    """Return one line for each cell that left no result, with its reason."""
    return [_failure(record) for record in report.without_result]


def closing(report: Report) -> list[str]:
    """Return what stands below the tables: definitions, versions, where the records are, and what was not read."""
    lines = list(DEFINITIONS) if report.groups else []
    if any(len(same) > 1 for same in _groups_by_benchmark(report).values()):
        lines.append("Rows of different rankings above were measured under different conditions: do not compare them.")
    lines += _software(report)
    lines.append(f"Records: {', '.join(str(folder) for folder in report.folders)}")
    return lines + [f"Not read: {problem}" for problem in report.problems]


def _section(group: Group) -> Section:
    letters = _letters(group.rows)
    conditions = [group.data.heading]
    conditions += [f"protocol: {group.protocol}"] if group.protocol else []
    conditions += [group.conditions.heading] if group.conditions else []
    return Section(
        title=f"{group.data.benchmark} / {group.data.dataset}",
        conditions=tuple(conditions),
        tables=tuple(_table(columns, group.rows, letters) for columns in (_results(group), _costs(group))),
        footnotes=tuple(f"({letter}) {note}" for note, letter in letters.items()),
    )


def _results(group: Group) -> list[Column]:
    """Return the columns of accuracy and speed."""
    return [
        Column("mIoU [%]", lambda row: percent(row.score("miou"))),
        Column("seeds", lambda row: str(len(row.records))),
        Column("pixel\nacc [%]", lambda row: _mean_percent(row, "pixel_accuracy")),
        *(Column(f"images/s\nbatch {batch}", _throughput(batch)) for batch in _batches(group)),
        Column("training\nimages/s", lambda row: significant(row.train("images_per_second").mean)),
        Column("training\n[s]", lambda row: significant(row.train("seconds").mean)),
    ]


def _costs(group: Group) -> list[Column]:
    """Return the columns of latency and of what a method needs."""
    sizes = {row.flops_size for row in group.rows if row.flops_size}
    size = f" at\n{sizes_text(tuple(sizes))}" if len(sizes) == 1 else ""
    return [
        *(Column(f"p50 / p95 [ms]\nbatch {batch}", _latency(batch)) for batch in _batches(group)),
        Column("params\n[M]", lambda row: significant(row.cost("parameters"), 1e6)),
        Column(f"GFLOPs{size}", lambda row: _gflops(row, bool(size))),
        Column("training\n[MiB]", lambda row: significant(row.cost("train_peak_bytes"), 2**20)),
        Column("inference\n[MiB]", lambda row: significant(row.cost("inference_peak_bytes"), 2**20)),
    ]


def _table(columns: Sequence[Column], rows: Sequence[Row], letters: dict[str, str]) -> Table:
    names = [" ".join([row.method, *(f"({letters[note]})" for note in row.notes)]) for row in rows]
    cells = [[name, *(column.cell(row) for column in columns)] for name, row in zip(names, rows, strict=True)]
    return Table(["method", *(column.header for column in columns)], cells)


def _letters(rows: Sequence[Row]) -> dict[str, str]:
    """Return a mark for each note, in the order in which they appear: a, b, ..., z, aa, ab."""
    notes = list(dict.fromkeys(note for row in rows for note in row.notes))
    return {note: _letter(i) for i, note in enumerate(notes)}


def _letter(i: int) -> str:
    return (_letter(i // 26 - 1) if i >= 26 else "") + ascii_lowercase[i % 26]


def _batches(group: Group) -> list[int]:
    """Return the batch sizes that are shown: 1 and the protocol's."""
    if group.conditions is None:
        return []
    return sorted({1, group.conditions.batch_size or 1})


def _throughput(batch: int) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        timing = row.inference.get(batch)
        return significant(timing.images_per_second) if timing else MISSING

    return cell


def _latency(batch: int) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        if (timing := row.inference.get(batch)) is None:
            return MISSING
        latency = timing.latency_ms
        return f"{significant(latency.p50)} / {significant(latency.p95)} ({latency.n})"

    return cell


def _gflops(row: Row, size_is_in_header: bool) -> str:
    number = significant(row.cost("flops"), 1e9)
    if number == MISSING or size_is_in_header or row.flops_size is None:
        return number
    return f"{number} at {sizes_text((row.flops_size,))}"


def _mean_percent(row: Row, score: str) -> str:
    mean = row.score(score).mean
    return MISSING if mean is None else f"{100 * mean:.2f}"


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
