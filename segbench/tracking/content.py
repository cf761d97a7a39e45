"""What a tracker is told of a cell: curves while it trains, then its recipe, its scores and how it ended."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.plan.cell import cell_label
from segbench.report import cell_spec
from segbench.report.records import describe_cause
from segbench.shown import clean_line
from segbench.store.events import is_number, read_events
from segbench.store.folder import files_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from segbench.plan.cell import Cell
    from segbench.report.cells import RecordedCell
    from segbench.store.record import Record, Status

# The curves of each event, and what in it is no curve.
_CURVES = {"step": "train", "validation": "val"}
_NO_CURVE = {"time", "step", "steps", "seconds"}
_LARGEST_STEP, _LARGEST_TIME = 2**63, 2**33  # what trackers can store
_LONGEST_NAME = 200


class TrackedCell(NamedTuple):
    """A cell as trackers name it."""

    key: str
    benchmark: str
    label: str


class Point(NamedTuple):
    """A number at a step of training; `time` is in seconds since 1970."""

    name: str
    value: float
    step: int
    time: float


class Content(NamedTuple):
    """What is known of a recorded cell: its recipe, how it went in words, and its numbers.

    Numbers of the whole, such as scores, are points at the last step. Times are in seconds since 1970, 0 if unknown.
    """

    status: Status
    began: float
    ended: float
    recipe: Mapping[str, str | float | bool]
    facts: Mapping[str, str]
    points: list[Point]

    @property
    def digest(self) -> str:
        """What differs where the content does."""
        return hashlib.sha256(repr(self).encode("utf-8", "backslashreplace")).hexdigest()


def name_planned(benchmark: str, cell: Cell) -> TrackedCell:
    """Return the names of a cell that has a key."""
    return _name(str(cell.key), benchmark, cell.label)


def name_recorded(record: Record) -> TrackedCell:
    """Return the names of a cell from its record."""
    label = cell_label(record.dataset, record.subset, record.method, record.seed)
    return _name(record.key, record.benchmark, label)


def _name(key: str, benchmark: str, label: str) -> TrackedCell:
    return TrackedCell(re.sub(r"\W", "_", key), _text(benchmark), _text(label))


def read_content(cell: RecordedCell) -> Content:
    """Return what a record and the events beside it hold."""
    record = cell.record
    events, _ = read_events(files_of(cell.folder.path, record))
    curves = _last_courses(points_of(events))
    began = cell_spec.start_time(record)
    ended = max([began, *(point.time for point in curves)])
    step = record.train.steps if record.train else 0
    whole = [Point(tidy(name), value, step, ended) for name, value in _numbers(record).items()]
    points = [*curves, *_health(record, ended), *whole]
    return Content(record.status, began, ended, _recipe(record), _facts(record), points)


def points_of(events: Iterable[Mapping[str, Any]]) -> Iterator[Point]:
    """Return the numbers that events of training and validation hold."""
    for event in events:
        part, step, time = _CURVES.get(str(event.get("event"))), event.get("step"), event["time"]
        if part and type(step) is int and 0 <= step < _LARGEST_STEP and 0 <= time < _LARGEST_TIME:
            for name, value in event.items():
                if name not in _NO_CURVE and is_number(value):
                    yield Point(tidy(f"{part}/{name}"), float(value), step, float(time))


def _last_courses(points: Iterable[Point]) -> list[Point]:
    """Return the points in order, without those that a training came to before it went back to a checkpoint."""
    courses: dict[str, list[Point]] = {}
    for point in points:
        course = courses.setdefault(point.name, [])
        while course and course[-1].step >= point.step:
            course.pop()
        course.append(point)
    return [point for course in courses.values() for point in course]


def _health(record: Record, time: float) -> Iterator[Point]:
    for measured in record.health.curve if record.health else ():
        for name, value in measured.model_dump(exclude={"step"}, exclude_none=True).items():
            yield Point(f"health/{name}", value, measured.step, time)


def _numbers(record: Record) -> dict[str, float]:
    """Return scores, speed and cost by names of the form part/number."""
    split = cell_spec.split(record) or "test"
    parts = [(split, record.scores), ("cost", record.train), ("cost", record.cost), ("generation", record.generation)]
    classes = (record.evaluated and record.evaluated.classes) or ()
    found: dict[str, Any] = {
        f"{part}/{name.replace('.', '/')}": value
        for part, numbers in parts
        for name, value in (cell_spec.flatten(numbers.model_dump()).items() if numbers else ())
    }
    for number, value in enumerate(record.per_class.iou if record.per_class else ()):
        found[f"{split} iou/{number} {classes[number] if classes else ''}"] = value
    for row in record.inference:
        found[f"inference/{row.stage} images_per_second batch {row.batch}"] = row.images_per_second
    return {name: value for name, value in found.items() if is_number(value)}


def _recipe(record: Record) -> dict[str, str | float | bool]:
    """Return what the cell is: what its key is made of but for code, data and versions."""
    cell = {name: getattr(record, name) for name in ("dataset", "subset", "method", "seed")}
    recipe = {name: value for name, value in cell_spec.recipe(record).items() if name not in ("sources", "versions")}
    leaves = {tidy(name): _leaf(value) for name, value in cell_spec.flatten({**cell, **recipe}).items()}
    return {name: value for name, value in leaves.items() if value not in ("null", "[]")}


def _leaf(value: Any) -> str | float | bool:
    if is_number(value) or isinstance(value, bool):
        return value
    return _text(value if isinstance(value, str) else json.dumps(value))


def _facts(record: Record) -> dict[str, str]:
    facts = {
        "key": record.key,
        "status": record.status,
        "cause": describe_cause(record) if record.status != "ok" else None,
        "health": record.health.verdict if record.health else None,
        "code": cell_spec.code(record),
        "started": record.environment.get("started"),
        "device": record.environment.get("device_name"),
        "definitions": ", ".join(cell_spec.definitions(record).values()),
    }
    return {name: _text(value) for name, value in facts.items() if value}


def tidy(name: str) -> str:
    """Return a name of parts with slashes between as every tracker takes it.

    >>> tidy("test iou/3 a&b"), tidy("test iou/4 "), tidy("../x")
    ('test iou/3 a_b', 'test iou/4', '_/x')
    """
    parts = (re.sub(r"[^\w.\- :]", "_", part).strip(". ") or "_" for part in name.split("/"))
    return "/".join(parts)[:_LONGEST_NAME].rstrip("/. ")


def _text(value: object) -> str:
    return clean_line(str(value)).encode("utf-8", "backslashreplace").decode()
