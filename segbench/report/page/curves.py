"""Curves over the steps of training: of each method the median of its networks, and the band that holds all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.report.folds import folds_of
from segbench.report.numbers import Table, significant
from segbench.shown import clean_line

from .events import Course, read_courses
from .families import encode_family, family_of
from .parts import Chart, Choice
from .specs import FADED, KEEP, LEGEND, SILENT, TICKS, ZOOM_NOTE, begin_spec, describe, find_domain, round_to, zoom

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
_SAMPLES = ("reals", "fakes", "validation reals")
# The quantities of a game: the label of each, and the fields of `HealthPoint` that are its curves, by what they are of.
_GAME: dict[str, tuple[str, dict[str, str]]] = {
    "ratio": ("adversarial over supervised gradient", {"": "ratio"}),
    "score": ("score by the discriminator", dict(zip(_SAMPLES, ("real", "fake", "validation"), strict=True))),
    "accuracy": (
        "accuracy of the discriminator",
        dict(zip(_SAMPLES, ("real_accuracy", "fake_accuracy", "validation_accuracy"), strict=True)),
    ),
    "weight": ("weight of the adversarial gradient", {"": "weight"}),
    "critic_loss": ("loss of the discriminator", {"": "critic_loss"}),
    "generator_loss": ("adversarial loss", {"": "generator_loss"}),
    "critic_gradient": ("gradient of the discriminator", {"": "critic_gradient"}),
    "cosine": ("cosine of adversarial and supervised gradient", {"": "cosine"}),
    "overfit": ("overfitting of the discriminator", {"": "overfit"}),
    "class_entropy": ("entropy of the classes predicted, over that of the true ones", {"": "class_entropy"}),
    "top_probability": ("mean of the largest probability", {"": "top_probability"}),
    "diversity": ("diversity of generated images", {"": "diversity"}),
    "nearest": ("distance to the nearest training image", {"": "nearest"}),
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


class Line(NamedTuple):
    """The curves of a row, or of one kind of samples in its game; `kind` is empty where there is one."""

    row: Row
    kind: str
    curves: Curves

    @property
    def label(self) -> str:
        """The name of the row, and the kind."""
        return f"{self.row.name}, {self.kind}" if self.kind else self.row.name


def draw_curves(report: Report, group: Group) -> list[Chart]:
    """Return the charts of loss and mIoU on val over the steps, and of the game where there is a discriminator."""
    rows = [row for row in group.rows if not row.scored_only][:MOST_METHODS]
    courses = {row.name: [_read(report, one) for record in row.records for one in folds_of(record)] for row in rows}
    found = []
    for name, chart_id, title, label in _COURSES:
        drawn = {row.name: [one[name] for one in courses[row.name] if name in one] for row in rows}
        present = [row for row in rows if drawn[row.name]]
        most = most_points(len(present))
        lines = [Line(row, "", find_curves({name: drawn[row.name]}, most)) for row in present]
        if lines:
            found.append(_draw(chart_id, title, lines, {name: label}))
    return [*found, *filter(None, [draw_game(group)])]


_COURSES = (("loss", "loss", "Loss of training", "loss"), ("miou", "validation", "mIoU on val", "mIoU on val"))


def draw_game(group: Group) -> Chart | None:
    """Return the chart of the adversarial game, of which a reader chooses the quantity; None without curves."""
    rows = [row for row in group.rows if any(record.health and record.health.curve for record in row.records)]
    rows = rows[:MOST_METHODS]
    most = most_points(_QUANTITIES * len(rows))
    lines = [
        line
        for row in rows
        for kind in ("", *_SAMPLES)
        if (line := Line(row, kind, find_curves(_game_courses(row.records, kind), most))).curves.bands
    ]
    labels = {name: label for name, (label, _) in _GAME.items() if any(name in line.curves.bands for line in lines)}
    return _draw("game", "The adversarial game", lines, labels) if lines else None


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
    bands = {name: _find_band(of, steps) for name, of in courses.items() if of}
    return Curves(steps, {name: band for name, band in bands.items() if any(one is not None for one in band.middle)})


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


def _game_courses(records: Sequence[Record], kind: str) -> dict[str, list[Course]]:
    curves = [one.health.curve for record in records for one in folds_of(record) if one.health]
    fields = {name: of[kind] for name, (_, of) in _GAME.items() if kind in of}
    found = {name: [_course_of(curve, field) for curve in curves] for name, field in fields.items()}
    return {name: measured for name, of in found.items() if (measured := [course for course in of if course.steps])}


def _course_of(curve: Sequence[HealthPoint], name: str) -> Course:
    known = [(point.step, value) for point in curve if (value := getattr(point, name)) is not None]
    return Course(tuple(step for step, _ in known), tuple(value for _, value in known))


def _draw(chart_id: str, title: str, lines: Sequence[Line], labels: Mapping[str, str]) -> Chart:
    """Return the chart of some lines; a reader chooses the quantity if there are several."""
    known = {name: {"label": label, "domain": find_domain(_heights(lines, name))} for name, label in labels.items()}
    params: list[Spec] = [
        {"name": "quantity", "value": next(iter(labels))},
        {"name": "quantities", "value": known},
    ]
    spec = begin_spec(title, _values(lines), *params)
    spec |= {
        "height": 260,
        "transform": _TRANSFORM,
        "encoding": {"x": _across(max(line.curves.steps[-1] for line in lines))},
        "layer": _layers([line.row for line in lines]),
    }
    choices = (Choice("quantity", "quantity", labels),) if len(labels) > 1 else ()
    return Chart(chart_id, title, spec, _table(lines, labels), ZOOM_NOTE, choices)


def _heights(lines: Sequence[Line], name: str) -> list[float | None]:
    return [value for line in lines if name in line.curves.bands for part in line.curves.bands[name] for value in part]


def _values(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Return the rows of a chart's data: the steps, and of each quantity the median, and the band if it is one."""
    found = []
    for line in lines:
        together = [other for other in lines if bool(other.kind) == bool(line.kind)]
        place = together.index(line)
        values: dict[str, Any] = {"name": line.row.name, "label": line.label, "family": family_of(line.row)}
        for name, band in line.curves.bands.items():
            values[name] = [*band] if band.low != band.high else [band.middle, [], []]
        # names stand at different places of the curves, since these often end at the same height
        named = 0.2 + 0.75 * place / len(together) if len(together) <= _MOST_NAMED else -1
        dash = _SAMPLES.index(line.kind) if line.kind else place % len(_DASHES)
        found.append(
            {**values, "seeds": len(line.row.records), "step": line.curves.steps, "dash": dash, "named": named}
        )
    return found


_TRANSFORM: list[Spec] = [
    KEEP,
    {"filter": "isValid(datum[quantity])"},
    *({"calculate": f"datum[quantity][{place}]", "as": name} for place, name in enumerate(Band._fields)),
    {"calculate": "length(datum.step)", "as": "number"},
    {"flatten": ["step", "middle", "low", "high"]},
    {"window": [{"op": "row_number", "as": "place"}], "groupby": ["label"]},
    {"filter": "isValid(datum.middle)"},
]
_MARKED = {"filter": f"datum.place === datum.number || (datum.place - 1) % ceil(datum.number / {_MARKS}) === 0"}
_NAMED = {"filter": "datum.place === ceil(datum.named * datum.number)"}


def _across(last: int) -> Spec:
    axis = {"title": "optimiser step", "grid": False, **TICKS}
    return {
        "field": "step",
        "type": "quantitative",
        "scale": {"domain": [0, max(last, 1)], "nice": False},
        "axis": axis,
    }


def _layers(rows: Sequence[Row]) -> list[Spec]:
    looks = encode_family(rows)
    y: Spec = {
        **{"field": "middle", "type": "quantitative", "scale": {"domain": {"expr": "quantities[quantity].domain"}}},
        "axis": {"title": {"expr": "quantities[quantity].label"}},
    }
    each: Spec = {"detail": {"field": "label"}, "color": looks["color"]}
    dash = {"field": "dash", "type": "ordinal", "legend": None, "scale": {"domain": [0, 1, 2, 3], "range": _DASHES}}
    said = describe(
        *(("label", "method"), ("step", "step"), ("middle", "median", ".4~g"), ("low", "lowest", ".4~g")),
        *(("high", "highest", ".4~g"), ("seeds", "seeds"), ("family", "family")),
    )
    name = {"type": "text", "align": {"expr": "scale('x', datum.step) > width / 2 ? 'right' : 'left'"}}
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
            "mark": {**name, "style": "label", "dy": -10, "limit": {"expr": "width / 3"}, **SILENT},
            "encoding": {"y": y, "text": {"field": "label"}},
        },
    ]


def _table(lines: Sequence[Line], labels: Mapping[str, str]) -> Table:
    """Return of each curve what its median began with, was halfway and ended with, its lowest and its highest."""
    several = len(labels) > 1
    rows = [
        [clean_line(line.label), *([label] if several else []), *_course_texts(line.curves, name)]
        for name, label in labels.items()
        for line in lines
        if name in line.curves.bands
    ]
    headers = ["method", *(["quantity"] if several else []), "last step", *_COURSE]
    title = "The adversarial game" if several else next(iter(labels.values()))
    return Table(headers, rows, f"{title}, medians over the seeds", (0, 1) if several else (0,))


_COURSE = ("first", "halfway", "last", "lowest", "highest")


def _course_texts(curves: Curves, name: str) -> list[str]:
    known = [
        (step, value) for step, value in zip(curves.steps, curves.bands[name].middle, strict=True) if value is not None
    ]
    values = [value for _, value in known]
    shown = (values[0], values[len(values) // 2], values[-1], min(values), max(values))
    return [str(known[-1][0]), *map(significant, shown)]
