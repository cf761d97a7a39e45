"""Tables of a report for pandas: the numbers are those of the report, put into columns; docs/reference.md has these."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from segbench.report import cell_spec
from segbench.report.folds import folds_of
from segbench.report.formats.as_csv import COLUMNS, list_lines
from segbench.report.formats.as_json import report_data
from segbench.report.formats.long import CELL_COLUMNS
from segbench.report.page.events import read_courses
from segbench.report.records import identity
from segbench.store.record import Scores

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd

    from segbench.report.cells import RecordedCell
    from segbench.report.ranking.groups import Report
    from segbench.store.record import Record

CLASS_COLUMNS = (
    *("group", "benchmark", "dataset", "subset", "method", "name", "seeds"),
    *("class", "iou", "boundary_iou", "boundary_f1"),
)
CURVE_COLUMNS = (*(name for name in CELL_COLUMNS if name != "split"), "quantity", "step", "value")


def frame_rows(report: Report) -> pd.DataFrame:
    """Return a line for each row of each ranking, with the columns of CSV."""
    import pandas as pd

    return pd.DataFrame(list_lines(report), columns=list(COLUMNS))


def frame_cells(cells: Iterable[RecordedCell]) -> pd.DataFrame:
    """Return a line for each recorded cell, with what `segbench records --json` tells."""
    import pandas as pd

    from segbench.report.cells import describe_cell

    frame = pd.DataFrame([describe_cell(cell) for cell in cells])
    numbers = dict.fromkeys([*Scores.model_fields, "train_seconds"], "float64")
    started = pd.to_datetime(frame.started, utc=True, errors="coerce")
    return frame.assign(started=started).astype({**numbers, "fold": "Int64", "train_steps": "Int64"})


def frame_classes(report: Report) -> pd.DataFrame:
    """Return a line for each class of each row of each ranking."""
    import pandas as pd

    lines = [
        (*(getattr(row, name) for name in CLASS_COLUMNS[:6]), len(row.seeds), name, *scores)
        for row in report_data(report).rows
        for name, *scores in zip_longest(
            row.classes or map(str, range(len(row.class_iou))),
            *(row.class_iou, row.class_boundary_iou, row.class_boundary_f1),
        )
    ]
    return pd.DataFrame(lines, columns=list(CLASS_COLUMNS))


def frame_curves(report: Report) -> pd.DataFrame:
    """Return a line for each step at which a quantity of a cell in the rankings was measured."""
    import pandas as pd

    frame = pd.DataFrame(list(_points(report)), columns=list(CURVE_COLUMNS))
    return frame.astype({"fold": "Int64", "quantity": "category"})


def _points(report: Report) -> Iterator[tuple[Any, ...]]:
    for row in (row for group in report.groups for row in group.rows if not row.scored_only):
        for record in (fold for seed in row.records for fold in folds_of(seed)):
            cell = (
                *(record.benchmark, record.dataset, cell_spec.pooled_subset(record), row.method, row.name),
                *(record.seed, cell_spec.test_fold(record), record.key),
            )
            yield from ((*cell, *point) for point in _courses(report, record))


def _courses(report: Report, record: Record) -> Iterator[tuple[str, int, float]]:
    """Yield quantity, step and value: what the cell told while it trained, then the points of its health."""
    for quantity, course in read_courses(report.cell_folders[identity(record)]).items():
        yield from ((quantity, step, value) for step, value in zip(course.steps, course.values, strict=True))
    for point in record.health.curve if record.health else ():
        measured = point.model_dump(exclude={"step"}, exclude_none=True)
        yield from ((quantity, point.step, value) for quantity, value in measured.items())
