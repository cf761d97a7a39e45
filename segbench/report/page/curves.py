"""Curves over the steps of training: of each method the median of its seeds, and the band that holds all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.report.numbers import Table, significant
from segbench.shown import clean_line

from .events import Course, read_courses
from .families import encode_family, family_of
from .parts import Chart, Choice
from .specs import (
    FADED,
    KEEP,
    LEGEND,
    SILENT,
    ZOOM_NOTE,
    begin_spec,
    describe,
    find_domain,
    number_id,
    round_to,
    zoom,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from segbench.report.ranking.groups import Group, Report
    from segbench.report.ranking.rows import Row
    from segbench.store.record import HealthPoint, Record

    from .specs import Spec

# Of more methods the first have curves.
MOST_METHODS = 40
# Points of one curve, and of all curves of a chart, which bound what a chart adds to the page.
MOST_POINTS, _FEWEST_POINTS, _POINTS_OF_A_CHART = 200, 20, 1600
_QUANTITIES = 10  # count for one curve of the adversarial game, as its other ones lie in the page as well
_MARKS = 10  # of a curve, with what it says under the pointer
_MOST_NAMED = 8
_DASHES = [[1, 0], [8, 3], [3, 3], [10, 3, 2, 3]]
_GAME: dict[str, str] = {
    "ratio": "adversarial over supervised gradient",
    "cosine": "cosine of both gradients",
    "real": "discriminator's score of reals",
    "fake": "discriminator's score of fakes",
    "validation": "discriminator's score of validation reals",
    "real_accuracy": "accuracy on reals",
    "fake_accuracy": "accuracy on fakes",
    "validation_accuracy": "accuracy on validation reals",
    "critic_loss": "discriminator's loss",
    "generator_loss": "adversarial loss",
    "critic_gradient": "discriminator's gradient",
    "overfit": "overfitting of the discriminator",
    "class_entropy": "entropy of the classes predicted, over that of the true ones",
    "top_probability": "mean of the largest probability",
    "diversity": "diversity of generated images",
    "nearest": "distance to the nearest training image",
}


class Band(NamedTuple):
    """Median, lowest and highest value of the seeds at each step."""

    middle: list[float | None]
    low: list[float | None]
    high: list[float | None]


class Curves(NamedTuple):
    """The bands of a method's quantities at some steps, by the names of the quantities."""

    steps: list[int]
    bands: dict[str, Band]


def draw_curves(report: Report, group: Group, place: int = 0) -> list[Chart]:
    """Return the charts of loss and mIoU on val over the steps, and of the game where there is a discriminator."""
    rows = [row for row in group.rows if not row.scored_only][:MOST_METHODS]
    courses = {row.name: [_read(report, record) for record in row.records] for row in rows}
    found = []
    for name, title, label in (("loss", "Loss of training", "loss"), ("miou", "mIoU on val", "mIoU on val")):
        drawn = {row.name: [one[name] for one in courses[row.name] if name in one] for row in rows}
        present = [row for row in rows if drawn[row.name]]
        curves = {row.name: find_curves({name: drawn[row.name]}, most_points(len(present))) for row in present}
        if present:
            found.append(_draw(number_id(_IDS[name], place), title, present, curves, {name: label}))
    return [*found, *filter(None, [draw_game(group, place)])]


_IDS = {"loss": "loss", "miou": "validation"}


def draw_game(group: Group, place: int = 0) -> Chart | None:
    """Return the chart of the adversarial game, of which a reader chooses the quantity; None without curves."""
    rows = [row for row in group.rows if any(record.health and record.health.curve for record in row.records)]
    rows = rows[:MOST_METHODS]
    most = most_points(_QUANTITIES * len(rows))
    curves = {row.name: find_curves(_game_courses(row.records), most) for row in rows}
    present = [name for name in _GAME if any(name in found.bands for found in curves.values())]
    if not present:
        return None
    labels = {name: _GAME[name] for name in present}
    return _draw(number_id("game", place), "The adversarial game", rows, curves, labels)


def most_points(methods: int) -> int:
    """Return how many points the curve of each of some methods may have."""
    return max(_FEWEST_POINTS, min(MOST_POINTS, _POINTS_OF_A_CHART // max(methods, 1)))


def find_curves(courses: Mapping[str, Sequence[Course]], most: int) -> Curves:
    """Return median, lowest and highest value over the seeds of some quantities at no more steps than `most`.

    Seeds that were measured at other steps are interpolated between their own; beyond its ends a seed has no value.
    """
    import numpy as np

    steps = sorted({step for of in courses.values() for course in of for step in course.steps})
    if len(steps) > most:
        steps = sorted({round(step) for step in np.linspace(steps[0], steps[-1], most).tolist()})
    return Curves(steps, {name: _find_band(of, steps) for name, of in courses.items() if of})


def _find_band(courses: Sequence[Course], steps: Sequence[int]) -> Band:
    import numpy as np

    found = np.array([np.interp(steps, course.steps, course.values, left=np.nan, right=np.nan) for course in courses])
    known = np.isfinite(found).any(axis=0)
    middle, low, high = (np.full(len(steps), np.nan) for _ in Band._fields)
    middle[known] = np.nanmedian(found[:, known], axis=0)
    low[known], high[known] = np.nanmin(found[:, known], axis=0), np.nanmax(found[:, known], axis=0)
    return Band(*([round_to(value, 4) for value in part.tolist()] for part in (middle, low, high)))


def _read(report: Report, record: Record) -> dict[str, Course]:
    folder = report.folder_of(record)
    return read_courses(folder) if folder else {}


def _game_courses(records: Sequence[Record]) -> dict[str, list[Course]]:
    curves = [record.health.curve for record in records if record.health]
    found = {name: [_course_of(curve, name) for curve in curves] for name in _GAME}
    return {name: measured for name, of in found.items() if (measured := [course for course in of if course.steps])}


def _course_of(curve: Sequence[HealthPoint], name: str) -> Course:
    known = [(point.step, value) for point in curve if (value := getattr(point, name)) is not None]
    return Course(tuple(step for step, _ in known), tuple(value for _, value in known))


def _draw(
    chart_id: str, title: str, rows: Sequence[Row], curves: Mapping[str, Curves], labels: Mapping[str, str]
) -> Chart:
    """Return the chart of the curves of some rows by name; a reader chooses the quantity if there are several."""
    first = next(iter(labels))
    values = [_values(row, curves[row.name], place, len(rows)) for place, row in enumerate(rows)]
    known = {
        name: {"label": label, "domain": find_domain(_heights(curves.values(), name))} for name, label in labels.items()
    }
    params: list[Spec] = [{"name": "quantity", "value": first}, {"name": "quantities", "value": known}]
    spec = begin_spec(title, values, *params)
    spec |= {
        "height": 260,
        "transform": _TRANSFORM,
        "encoding": {"x": _across(max(found.steps[-1] for found in curves.values()))},
        "layer": _layers(rows),
    }
    choices = (Choice("quantity", "quantity", labels),) if len(labels) > 1 else ()
    return Chart(chart_id, title, spec, _table(rows, curves, labels), ZOOM_NOTE, choices)


def _heights(curves: Iterable[Curves], name: str) -> list[float | None]:
    return [value for found in curves if name in found.bands for part in found.bands[name] for value in part]


def _values(row: Row, curves: Curves, place: int, number: int) -> dict[str, Any]:
    """Return a row of a chart's data: its steps, and of each quantity the median, and the band if it is one."""
    found: dict[str, Any] = {"name": row.name, "family": family_of(row), "seeds": len(row.records)}
    for name, band in curves.bands.items():
        found[name] = [*band] if band.low != band.high else [band.middle, [], []]
    # names stand at different places of the curves, since these often end at the same height
    named = 0.35 + 0.6 * place / number if number <= _MOST_NAMED else -1
    return {**found, "step": curves.steps, "dash": place % len(_DASHES), "named": named}


_TRANSFORM: list[Spec] = [
    KEEP,
    {"filter": "isValid(datum[quantity])"},
    *({"calculate": f"datum[quantity][{place}]", "as": name} for place, name in enumerate(Band._fields)),
    {"calculate": "length(datum.step)", "as": "number"},
    {"flatten": ["step", "middle", "low", "high"]},
    {"window": [{"op": "row_number", "as": "place"}], "groupby": ["name"]},
    {"filter": "isValid(datum.middle)"},
]
_MARKED = {"filter": f"datum.place === datum.number || (datum.place - 1) % ceil(datum.number / {_MARKS}) === 0"}
_NAMED = {"filter": "datum.place === ceil(datum.named * datum.number)"}


def _across(last: int) -> Spec:
    axis = {"title": "optimiser step", "grid": False}
    return {"field": "step", "type": "quantitative", "scale": {"domain": [0, last], "nice": False}, "axis": axis}


def _layers(rows: Sequence[Row]) -> list[Spec]:
    looks = encode_family(rows)
    y: Spec = {
        **{"field": "middle", "type": "quantitative", "scale": {"domain": {"expr": "quantities[quantity].domain"}}},
        "axis": {"title": {"expr": "quantities[quantity].label"}},
    }
    each: Spec = {"detail": {"field": "name"}, "color": looks["color"]}
    dash = {"field": "dash", "type": "ordinal", "legend": None, "scale": {"domain": [0, 1, 2, 3], "range": _DASHES}}
    said = describe(
        *(("name", "method"), ("step", "step"), ("middle", "median", ".4~g"), ("low", "lowest", ".4~g")),
        *(("high", "highest", ".4~g"), ("seeds", "seeds"), ("family", "family")),
    )
    return [
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "area", "opacity": 0.15, "clip": True, **SILENT},
            "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}, **each},
        },
        {
            "mark": {"type": "line", "clip": True, **SILENT},
            "encoding": {"y": y, **each, "strokeDash": dash, "opacity": FADED},
        },
        {
            "params": [zoom("x", "y"), LEGEND],
            "transform": [_MARKED],
            "mark": {"type": "point", "filled": True, "size": 45, "opacity": 1, "clip": True},
            "encoding": {"y": y, **looks, "opacity": FADED, **said},
        },
        {
            "transform": [_NAMED],
            "mark": {"type": "text", "style": "label", "dy": -10, "limit": {"expr": "width / 3"}, **SILENT},
            "encoding": {"y": y, "text": {"field": "name"}},
        },
    ]


def _table(rows: Sequence[Row], curves: Mapping[str, Curves], labels: Mapping[str, str]) -> Table:
    """Return of each curve what its median began with, was halfway and ended with, its lowest and its highest."""
    several = len(labels) > 1
    lines = [
        [clean_line(row.name), *([label] if several else []), *_course_texts(curves[row.name], name)]
        for name, label in labels.items()
        for row in rows
        if name in curves[row.name].bands
    ]
    headers = ["method", *(["quantity"] if several else []), "last step", *_COURSE]
    title = "The adversarial game" if several else next(iter(labels.values()))
    return Table(headers, lines, f"{title}, medians over the seeds", (0, 1) if several else (0,))


_COURSE = ("first", "halfway", "last", "lowest", "highest")


def _course_texts(curves: Curves, name: str) -> list[str]:
    known = [
        (step, value) for step, value in zip(curves.steps, curves.bands[name].middle, strict=True) if value is not None
    ]
    values = [value for _, value in known]
    shown = (values[0], values[len(values) // 2], values[-1], min(values), max(values))
    return [str(known[-1][0]), *map(significant, shown)]
