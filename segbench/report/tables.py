"""The tables of one ranking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from .conditions import sizes_text
from .numbers import MISSING, percent, points, significant, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .groups import Group
    from .rows import Row
    from .twins import Comparison

Line = TypeVar("Line")


class Table(NamedTuple):
    """Headers and cells; the first column is text, the others are numbers. A header may hold line breaks."""

    headers: list[str]
    rows: list[list[str]]
    title: str = ""


class Column(NamedTuple, Generic[Line]):
    """A column: its header, and the cell of a line."""

    header: str
    cell: Callable[[Line], str]


def results(group: Group, rows: Sequence[Row], letters: Mapping[str, str]) -> Table:
    """Return accuracy and speed of rows; `letters` are the marks of their notes."""
    columns: list[Column[Row]] = [
        _marked_name(letters),
        Column("mIoU [%]", lambda row: percent(row.score("miou"))),
        _SEEDS,
        Column("pixel\nacc [%]", lambda row: _mean_percent(row.score("pixel_accuracy").mean)),
        *(Column(f"images/s\nbatch {batch}", _throughput(batch)) for batch in _batches(group)),
        Column("training\nimages/s", lambda row: significant(row.train("images_per_second").mean)),
        _TRAINING_SECONDS,
    ]
    return _table(columns, rows)


def costs(group: Group, letters: Mapping[str, str]) -> Table:
    """Return latency of all rows, and what they need."""
    sizes = {row.flops_size for row in group.rows if row.flops_size}
    size = f" at\n{sizes_text(tuple(sizes))}" if len(sizes) == 1 else ""
    columns: list[Column[Row]] = [
        _marked_name(letters),
        *(Column(f"p50 / p95 [ms]\nbatch {batch}", _latency(batch)) for batch in _batches(group)),
        Column("params\n[M]", lambda row: significant(row.cost("parameters"), 1e6)),
        Column(f"GFLOPs{size}", lambda row: _gflops(row, bool(size))),
        Column("training\n[MiB]", lambda row: significant(row.cost("train_peak_bytes"), 2**20)),
        Column("inference\n[MiB]", lambda row: significant(row.cost("inference_peak_bytes"), 2**20)),
    ]
    return _table(columns, group.rows)


def against_twins(compared: Sequence[Comparison]) -> Table:
    """Return what methods change against their twins, and how their adversarial games ended."""
    columns: list[Column[Comparison]] = [
        Column("method", lambda one: one.row.method),
        Column("twin", lambda one: one.row.twin or MISSING),
        Column("common\nseeds", lambda one: str(len(one.miou.seeds))),
        Column("mIoU - twin's\n[points]", lambda one: points(one.miou.summary)),
        Column("training\ntime", lambda one: _times(one.time_ratio)),
        Column("health", lambda one: verdicts(one.row)),
        Column("gradient\nratio", lambda one: significant(one.row.health("ratio").mean)),
        Column("critic right [%]\nreal/fake/val", lambda one: _critic_accuracy(one.row)),
    ]
    return _table(columns, compared, "Against the twin")


def generated_images(rows: Sequence[Row]) -> Table:
    """Return how well generated images match real ones."""
    columns: list[Column[Row]] = [
        Column("method", lambda row: row.method),
        _SEEDS,
        Column("features", lambda row: row.features or MISSING),
        *_distances(rows),
        Column("precision", lambda row: spread(row.generation("precision"))),
        Column("recall", lambda row: spread(row.generation("recall"))),
        Column("diversity", lambda row: significant(row.generation("diversity").mean)),
        Column("nearest", lambda row: significant(row.generation("nearest").mean)),
        Column("health", verdicts),
        _TRAINING_SECONDS,
    ]
    return _table(columns, rows, "Generated images")


def refinements(rows: Sequence[Row]) -> Table:
    """Return what refiners did to their base's predictions."""
    columns: list[Column[Row]] = [
        Column("method", lambda row: row.method),
        Column("base", lambda row: row.base or MISSING),
        _SEEDS,
        Column("changed\n[% of pixels]", lambda row: percent(row.refinement("changed"))),
        Column("corrected\n[% of changed]", lambda row: percent(row.refinement("corrected"))),
        Column("spoilt\n[% of changed]", lambda row: percent(row.refinement("spoilt"))),
    ]
    return _table(columns, rows, "Refinement")


def verdicts(row: Row) -> str:
    """Return how often each verdict was given, such as "2 healthy, 1 saturated"."""
    return ", ".join(f"{len(seeds)} {verdict}" for verdict, seeds in row.verdicts.items()) or MISSING


def _table(columns: Sequence[Column[Line]], lines: Sequence[Line], title: str = "") -> Table:
    cells = [[column.cell(line) for column in columns] for line in lines]
    return Table([column.header for column in columns], cells, title)


def _marked_name(letters: Mapping[str, str]) -> Column[Row]:
    return Column("method", lambda row: " ".join([row.method, *(f"({letters[note]})" for note in row.notes)]))


_SEEDS: Column[Row] = Column("seeds", lambda row: str(len(row.records)))
_TRAINING_SECONDS: Column[Row] = Column("training\n[s]", lambda row: significant(row.train("seconds").mean))


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


def _distances(rows: Sequence[Row]) -> list[Column[Row]]:
    """Return the columns of the distances that were measured: with a feature network, without one, or both."""
    columns: dict[str, Column[Row]] = {
        "kid": Column("KID", lambda row: spread(row.generation("kid"))),
        "pixel_statistics": Column("pixel\nstatistics", lambda row: spread(row.generation("pixel_statistics"))),
    }
    return [column for name, column in columns.items() if any(row.generation(name).n for row in rows)]


def _critic_accuracy(row: Row) -> str:
    shares = [row.health(f"{kind}_accuracy").mean for kind in ("real", "fake", "validation")]
    if all(share is None for share in shares):
        return MISSING
    return "/".join(MISSING if share is None else f"{100 * share:.0f}" for share in shares)


def _times(ratio: float | None) -> str:
    return MISSING if ratio is None else f"{significant(ratio)}×"


def _mean_percent(share: float | None) -> str:
    return MISSING if share is None else f"{100 * share:.2f}"
