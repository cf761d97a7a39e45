"""What the axes of a trade-off may be: every score, speed and cost of the rows of a ranking, with its unit."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from segbench.report.formats.tables import SCORE_HEADERS
from segbench.report.ranking.rows import Row
from segbench.report.ranking.timings import STAGES, best_batch
from segbench.stats.score_differences import LOWER_IS_BETTER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from segbench.stats.summary import Summary
    from segbench.store.record import Stage


class Axis(NamedTuple):
    """A number of a row: its field in the data of charts, its label with unit, and how it is read.

    `better` is 1 where more is better and -1 where less is. `is_ratio` tells that a factor says more of two values than
    their distance, so that the axis is logarithmic.
    """

    field: str
    label: str
    better: int
    read: Callable[[Row], float | None]
    is_ratio: bool = False


# The accuracy that a trade-off begins with.
MIOU = "miou"
_SCORES = {
    MIOU: "mIoU [%]",
    "pixel_accuracy": "pixel accuracy [%]",
    "mean_accuracy": "mean accuracy [%]",
    "fwiou": "frequency-weighted IoU [%]",
    "dice": "Dice [%]",
    **{name: header.replace("\n", " ") for name, header in SCORE_HEADERS.items()},
}
_GENERATION = {"kid": ("KID", -1), "precision": ("precision [%]", 1), "recall": ("recall [%]", 1)}


def find_axes(rows: Sequence[Row], batches: Iterable[int]) -> list[Axis]:
    """Return the axes that have a value in any of some rows: scores, speeds at these batch sizes, then costs."""
    found = [*_score_axes(), *_speed_axes(batches), *_COSTS]
    return [axis for axis in found if any(axis.read(row) is not None for row in rows)]


def speed_field(batch: int) -> str:
    """Return the field of the images a second of the forward pass at a batch size."""
    return f"forward_{batch}"


def _score_axes() -> Iterable[Axis]:
    for name, label in _SCORES.items():
        better = -1 if name in LOWER_IS_BETTER else 1
        yield Axis(name, label, better, _scaled(Row.score, name, label))
    for name, (label, better) in _GENERATION.items():
        yield Axis(name, label, better, _scaled(Row.generation, name, label))


def _speed_axes(batches: Iterable[int]) -> Iterable[Axis]:
    for batch in batches:
        for stage, name in STAGES.items():
            label = f"inference, {name} [images/s], batch {batch}"
            yield Axis(f"{stage}_{batch}", label, 1, partial(_speed, stage, batch), True)
        for percentile in ("p50", "p95"):
            label = f"latency {percentile} [ms a batch], batch {batch}"
            yield Axis(f"{percentile}_{batch}", label, -1, partial(_latency, percentile, batch), True)
    yield Axis("best_batch", "inference at the best batch [images/s]", 1, _best_speed, True)
    yield Axis("train_speed", "training [images/s]", 1, lambda row: row.train("images_per_second").mean, True)


_COSTS = (
    Axis("train_seconds", "training time [s]", -1, lambda row: row.train("seconds").mean, True),
    Axis("seconds_to_best", "time to the best on val [s]", -1, lambda row: row.train("seconds_to_best").mean, True),
    Axis("parameters", "parameters [M]", -1, lambda row: _cost(row, "parameters", 1e6), True),
    Axis("flops", "GFLOPs an image", -1, lambda row: _cost(row, "flops", 1e9), True),
    Axis("inference_memory", "memory of inference [MiB]", -1, lambda row: _cost(row, "inference_peak_bytes"), True),
    Axis("train_memory", "memory of training [MiB]", -1, lambda row: _cost(row, "train_peak_bytes"), True),
    Axis("energy", "energy [J an image]", -1, lambda row: _energy(row), True),
)


def _scaled(summary: Callable[[Row, str], Summary], name: str, label: str) -> Callable[[Row], float | None]:
    """Return what reads the mean of one of a row's summaries, in percent if its label says so."""
    scale = 100 if "%" in label else 1
    return lambda row: None if (mean := summary(row, name).mean) is None else scale * mean


def _speed(stage: Stage, batch: int, row: Row) -> float | None:
    timing = row.stage(stage).get(batch)
    return timing.images_per_second if timing else None


def _latency(percentile: str, batch: int, row: Row) -> float | None:
    timing = row.inference.get(batch)
    return float(getattr(timing.latency_ms, percentile)) if timing else None


def _best_speed(row: Row) -> float | None:
    point = best_batch(row.speed)
    return point.images_per_second if point else None


def _cost(row: Row, name: str, scale: float = 2**20) -> float | None:
    found = row.cost(name)
    return None if found is None else found / scale


def _energy(row: Row) -> float | None:
    return row.timing.energy.joules_per_image if row.timing and row.timing.energy else None
