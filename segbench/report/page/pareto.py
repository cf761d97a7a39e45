"""The trade-off of two numbers that a reader chooses, mIoU against throughput at first, and its Pareto front.

The axes may be every score, speed and cost of the rows of a ranking. The front is found in the chart, as they change: a
row is on it if no other row is at least as good in both numbers and better in one. Placebos are controls and take no
part.
"""

from __future__ import annotations

from functools import partial
from math import log2
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.report.formats.tables import SCORE_HEADERS
from segbench.report.numbers import MISSING, Table, significant
from segbench.report.ranking.rows import Row
from segbench.report.ranking.timings import STAGES, best_batch
from segbench.shown import clean_line
from segbench.stats.score_differences import LOWER_IS_BETTER

from .families import encode_family, family_of
from .parts import Chart, Choice
from .specs import FADED, KEEP, LEGEND, SILENT, ZOOM_NOTE, begin_spec, describe, find_domain, round_to, zoom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from segbench.report.ranking.groups import Group
    from segbench.stats.summary import Summary
    from segbench.store.record import Stage

    from .specs import Spec


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


def draw_trade_off(group: Group) -> Chart | None:
    """Return the chart of mIoU against throughput, whose axes a reader may change; None if there are no two numbers."""
    batch = (group.conditions and group.conditions.batch_size) or 1
    axes = find_axes(group.rows, sorted({1, batch}))
    if len(axes) < 2:
        return None
    y = next((axis for axis in axes if axis.field == MIOU), axes[0])
    x = next((axis for axis in axes if axis.field == speed_field(batch)), axes[-1] if axes[-1] is not y else axes[0])
    rows = [row for row in group.rows if x.read(row) is not None and y.read(row) is not None]
    others = [row for row in group.rows if row not in rows]
    rows.sort(key=lambda row: (x.read(row) or 0.0, row.name))
    title = "Trade-off: accuracy against speed and cost"
    values = [_values(row, axes) for row in (*rows, *others)]
    spec = begin_spec(title, values, *_parameters(x, y, axes, values), data="points")
    spec |= {"height": 340, "transform": _TRANSFORM, "encoding": _POSITION, "layer": _layers(group.rows)}
    options = {axis.field: axis.label for axis in axes}
    return Chart(
        "pareto",
        title,
        spec,
        _table(rows, x, y),
        "Coloured and named: the front, which no other method beats in both numbers, by their means. Grey: the others "
        f"and placebos. {_say_where(group)}{ZOOM_NOTE}",
        (Choice("x", "across", options), Choice("y", "upwards", options)),
    )


def _say_where(group: Group) -> str:
    """Say which conditions speeds and costs are of, where methods ran under several."""
    if group.conditions is None or len(group.places) < 2:
        return ""
    return f"Speeds, seconds and memory: {' · '.join(group.conditions.essentials)}; what ran elsewhere only has none. "


def find_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Tell which of some points are on the Pareto front, where more is better in both numbers.

    >>> find_front([(1, 3), (2, 2), (1, 2), (3, 1)])
    [True, True, False, True]
    """
    return [not any(x >= one and y >= other and (x, y) != (one, other) for x, y in points) for one, other in points]


def _values(row: Row, axes: Sequence[Axis]) -> dict[str, Any]:
    found = {axis.field: round_to(axis.read(row)) for axis in axes}
    interval = row.statistics.interval
    if interval is not None:
        found |= {"low": round_to(100 * interval.low), "high": round_to(100 * interval.high)}
    shown = {name: value for name, value in found.items() if value is not None}
    return {"name": row.name, "family": family_of(row), "seeds": len(row.records), **shown}


def _parameters(x: Axis, y: Axis, axes: Sequence[Axis], values: Sequence[dict[str, Any]]) -> list[Spec]:
    known = {
        axis.field: {
            **{"label": axis.label, "better": axis.better, "ratio": axis.is_ratio},
            "domain": find_domain(_positions(axis, values)),
        }
        for axis in axes
    }
    return [
        {"name": "focus", "value": ""},
        {"name": "x", "value": x.field},
        {"name": "y", "value": y.field},
        {"name": "axes", "value": known},
    ]


def _positions(axis: Axis, values: Sequence[dict[str, Any]]) -> list[float]:
    """Return where rows are on an axis, and the ends of their intervals of mIoU."""
    fields = (axis.field, "low", "high") if axis.field == MIOU else (axis.field,)
    found = [row[field] for row in values for field in fields if field in row]
    return [log2(value) for value in found if value > 0] if axis.is_ratio else found


def _position(axis: str) -> Spec:
    """Return the channel of an axis: logarithms of base 2 for ratios, so that each step is a doubling."""
    is_ratio = f"axes[{axis}].ratio"
    return {
        "field": f"v{axis}",
        "type": "quantitative",
        "scale": {"domain": {"expr": f"axes[{axis}].domain"}, "zero": False, "nice": False},
        "axis": {
            "title": {"expr": f"axes[{axis}].label + (axes[{axis}].better > 0 ? ' → better' : ', better ←')"},
            "labelExpr": f"{is_ratio} ? format(pow(2, datum.value), '.3~s') : datum.label",
            "tickMinStep": {"expr": f"{is_ratio} && span(domain('{axis}')) > 1.8 ? 1 : 0"},
            "tickCount": 6,
        },
    }


_POSITION = {"x": _position("x"), "y": _position("y")}


def _chosen(axis: str) -> list[Spec]:
    """Return what computes the value of a row on an axis, its text, and how good it is."""
    value = f"datum[{axis}]"
    is_known = f"isValid({value}) && (!axes[{axis}].ratio || {value} > 0)"
    return [
        {"filter": is_known},
        {"calculate": f"axes[{axis}].ratio ? log({value}) / LN2 : {value}", "as": f"v{axis}"},
        {"calculate": f"axes[{axis}].label + ': ' + format({value}, '.4~r')", "as": f"{axis}_text"},
        {"calculate": f"axes[{axis}].better * {value}", "as": f"good_{axis}"},
    ]


_READS = "join([datum.name, datum.family, datum.x_text, datum.y_text, datum.front], ', ')"
# From the best x on, a row is on the front if its y is better than all before; equal rows are on it together.
_TRANSFORM: list[Spec] = [
    *_chosen("x"),
    *_chosen("y"),
    {"calculate": "datum.family !== 'placebo'", "as": "takes_part"},
    {"calculate": "datum.takes_part ? datum.good_y : -1e300", "as": "candidate"},
    {
        "window": [{"op": "max", "field": "candidate", "as": "best"}],
        "sort": [{"field": "good_x", "order": "descending"}, {"field": "candidate", "order": "descending"}],
        "frame": [None, 0],
        "ignorePeers": True,
    },
    {
        "window": [{"op": "lag", "field": "best", "as": "best_before"}],
        "sort": [{"field": "good_x", "order": "descending"}, {"field": "candidate", "order": "descending"}],
        "ignorePeers": True,
    },
    {
        "calculate": "datum.takes_part && (datum.best_before === null || datum.candidate > datum.best_before)",
        "as": "is_first",
    },
    {
        "joinaggregate": [{"op": "max", "field": "is_first", "as": "any_first"}],
        "groupby": ["good_x", "good_y", "takes_part"],
    },
    {"calculate": "datum.any_first ? 'on the front' : 'not on the front'", "as": "front"},
    {"calculate": _READS, "as": "reads"},
    KEEP,
    {"calculate": "y === 'miou' ? datum.low : null", "as": "y_low"},
    {"calculate": "y === 'miou' ? datum.high : null", "as": "y_high"},
]
# What is on the front lies above the others.
_READ: Spec = {"description": {"field": "reads"}, "order": {"field": "any_first", "type": "quantitative"}}
_ON = {"filter": "datum.front === 'on the front'"}
# Names stand above and below the front in turn, so that those of neighbours do not overlap.
_PLACE: Spec = {"window": [{"op": "row_number", "as": "place"}], "sort": [{"field": "vx", "order": "ascending"}]}
_LEFT = "scale('x', datum.vx) > 0.6 * width"


def _only_on_front(colour: Spec) -> Spec:
    """Return the channels that leave the colour of its family and a large shape to what is on the front."""
    is_on = {"test": _ON["filter"]}
    return {
        "color": {"condition": {**is_on, **colour}, "value": "#8d949d"},
        "size": {"condition": {**is_on, "value": 130}, "value": 80},
    }


def _layers(rows: Sequence[Row]) -> list[Spec]:
    looks = encode_family(rows)
    said = describe(
        *(("name", "method"), ("family", "family"), ("x_text", "across"), ("y_text", "upwards")),
        *(("front", "Pareto"), ("seeds", "seeds")),
    )
    label = {
        **{"type": "text", "style": "label", **SILENT, "limit": {"expr": "width * 0.6"}},
        **{"dy": {"expr": "datum.place % 2 ? -11 : 16"}},
        **{"align": {"expr": f"{_LEFT} ? 'right' : 'left'"}, "dx": {"expr": f"{_LEFT} ? -4 : 4"}},
    }
    whisker = {
        **{"y": {"field": "y_low", "type": "quantitative"}, "y2": {"field": "y_high"}, "color": looks["color"]},
    }
    return [
        {
            "transform": [_ON],
            "mark": {
                "type": "line",
                "style": "line",
                "strokeWidth": 1.5,
                "strokeDash": [4, 3],
                "clip": True,
                **SILENT,
            },
            "encoding": {"order": {"field": "vx", "type": "quantitative"}},
        },
        {
            "transform": [_ON, {"filter": "isValid(datum.y_low)"}],
            "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.5, "clip": True, **SILENT},
            "encoding": whisker,
        },
        {
            "params": [zoom("x", "y"), LEGEND],
            "mark": {"type": "point", "filled": True, "opacity": 1, "clip": True},
            "encoding": {**looks, **_only_on_front(looks["color"]), "opacity": FADED, **said, **_READ},
        },
        {"transform": [_ON, _PLACE], "mark": label, "encoding": {"text": {"field": "name"}, "opacity": FADED}},
        {
            "transform": [{"filter": "datum.name === focus"}],
            "mark": {"type": "point", "style": "line", "filled": False, "size": 420, "strokeWidth": 2.5, **SILENT},
        },
    ]


def _table(rows: Sequence[Row], x: Axis, y: Axis) -> Table:
    """Return the numbers on the first axes, and who is on their front; the other numbers are in the leaderboard."""
    part = [row for row in rows if not row.placebo_of]
    points = [(x.better * (x.read(row) or 0.0), y.better * (y.read(row) or 0.0)) for row in part]
    front = {row.name for row, is_on in zip(part, find_front(points), strict=True) if is_on}
    lines = [
        [
            *(clean_line(row.name), family_of(row), significant(x.read(row)), significant(y.read(row))),
            "yes" if row.name in front else "control" if row.placebo_of else MISSING,
        ]
        for row in rows
    ]
    return Table(
        ["method", "family", x.label, y.label, "on the front"], lines, f"{y.label} against {x.label}", (0, 1, 4)
    )
