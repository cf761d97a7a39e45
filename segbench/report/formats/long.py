"""Every image of every ranked cell, class by class: a line holds intersection, union and IoU (long format)."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.errors import RecordError
from segbench.report import cell_spec
from segbench.report.folds import folds_of
from segbench.report.records import identity
from segbench.stats.scores import hits_and_union, ratio
from segbench.store.counts import read_confusions

from .as_csv import guard

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from segbench.report.ranking.groups import Report
    from segbench.report.ranking.rows import Row
    from segbench.store.counts import Counts
    from segbench.store.record import Record

# What a cell is, then what varies in it; docs/reference.md says what each holds.
CELL_COLUMNS = ("benchmark", "dataset", "subset", "split", "method", "name", "seed", "fold", "key")
IMAGE_COLUMNS = ("image", "class", "intersection", "union", "iou")
_WORDS = [*(name for name in CELL_COLUMNS if name not in ("seed", "fold")), "image", "class"]


class ImageScores(NamedTuple):
    """A line for each image and class of each cell, and which cells have none and why."""

    frame: pd.DataFrame
    problems: tuple[str, ...]


def read_images(report: Report) -> ImageScores:
    """Return the scores of all images of the cells of all rankings; those that make images have none.

    Pixels whose truth is ignore_index do not count. The IoU of a class that is in neither truth nor prediction of an
    image is NaN.
    """
    import pandas as pd

    cells = list(_find_cells(report))
    counts = read_confusions([report.cell_folders[identity(record)] for _, record in cells])
    parts: list[pd.DataFrame] = []
    problems: list[str] = []
    for (row, record), found in zip(cells, counts, strict=True):
        if isinstance(found, RecordError):
            problems.append(str(found))
        else:
            parts.append(_frame(row, record, found))
    if not parts:
        return ImageScores(pd.DataFrame(columns=[*CELL_COLUMNS, *IMAGE_COLUMNS]), tuple(problems))
    frame = pd.concat(parts, ignore_index=True)
    return ImageScores(frame.astype({**dict.fromkeys(_WORDS, "category"), "fold": "Int64"}), tuple(problems))


def to_long_csv(frame: pd.DataFrame) -> str:
    """Return the lines as CSV; what is not known is empty."""
    guarded = {name: frame[name].map(guard) for name in _WORDS}
    return str(frame.assign(**guarded).to_csv(index=False, lineterminator="\n"))


def to_parquet(frame: pd.DataFrame) -> bytes:
    """Return the lines as a parquet file."""
    file = BytesIO()
    frame.to_parquet(file, index=False)
    return file.getvalue()


def _find_cells(report: Report) -> Iterator[tuple[Row, Record]]:
    """Return each scored cell once, also one that is in several rankings, with its row in the first of them."""
    seen = set()
    for row in (row for group in report.groups for row in group.rows):
        for record in (fold for seed in row.records for fold in folds_of(seed)):
            if record.scores is not None and identity(record) not in seen:
                seen.add(identity(record))
                yield row, record


def _frame(row: Row, record: Record, counts: Counts) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    hits, union = hits_and_union(counts.confusion)
    classes = row.classes or [str(number) for number in range(counts.num_classes)]
    number = len(counts.ids)
    columns: dict[str, Any] = {
        **{name: np.full(union.size, value, dtype=object) for name, value in _describe(row, record, counts).items()},
        "image": np.repeat(np.array(counts.ids, dtype=object), counts.num_classes),
        "class": np.tile(np.array(classes, dtype=object), number),
        "intersection": hits.ravel(),
        "union": union.ravel(),
        "iou": ratio(hits, union).ravel(),
    }
    return pd.DataFrame(columns).astype({"seed": "int64"})


def _describe(row: Row, record: Record, counts: Counts) -> dict[str, Any]:
    values = (
        *(record.benchmark, record.dataset, cell_spec.pooled_subset(record), counts.split),
        *(row.method, row.name, record.seed, cell_spec.test_fold(record), record.key),
    )
    return dict(zip(CELL_COLUMNS, values, strict=True))
