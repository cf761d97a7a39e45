"""The confusion matrix of every image of a split: what all scores, intervals and re-scorings come from."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING

from segbench.errors import RecordError

from .atomic import replacing

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

COUNTS = "counts.parquet"


@dataclass(frozen=True)
class Counts:
    """Confusion counts by image: `confusion[i, truth, prediction]` pixels, int64, shape (n, K, K).

    Pixels whose truth is ignore_index are not counted. The matrix of the split is `confusion.sum(axis=0)`.
    """

    ids: tuple[str, ...]
    split: str
    confusion: NDArray[np.int64]


def write_counts(folder: Path, counts: Counts) -> None:
    """Write counts.parquet into a cell's folder, whole or not at all.

    Its columns are image (string), split (string) and confusion (list of K*K int64, row-major [truth, prediction]).
    Raises RecordError if the folder is full or read-only.
    """
    from pyarrow import parquet

    _check(counts)
    with replacing(folder / COUNTS) as file:
        parquet.write_table(_table(counts), file, compression="zstd")


def read_counts(folder: Path) -> Counts:
    """Read counts.parquet from a cell's folder; raises RecordError if it is missing, damaged or of another form."""
    import pyarrow as pa
    from pyarrow import parquet

    path = folder / COUNTS
    if not path.is_file():
        raise RecordError(f"no counts at {path}; delete the record of that cell and run it again to have them")
    try:
        return _from_table(parquet.read_table(path, partitioning=None))
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise RecordError(
            f"cannot read the counts in {path}: {error}; delete the cell's record and run it again"
        ) from error


def _check(counts: Counts) -> None:
    """Refuse what would not be read back the same."""
    n, rows, columns = counts.confusion.shape
    if rows != columns or n != len(counts.ids) or n == 0:
        raise ValueError(f"{len(counts.ids)} ids and confusion counts of shape {counts.confusion.shape} do not fit")
    if counts.confusion.dtype != "int64":
        raise ValueError(f"confusion counts are int64, not {counts.confusion.dtype}")


def _table(counts: Counts) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    n, num_classes, _ = counts.confusion.shape
    offsets = np.arange(n + 1, dtype=np.int64) * num_classes**2
    confusion = pa.LargeListArray.from_arrays(offsets, counts.confusion.reshape(-1)).cast(pa.list_(pa.int64()))
    return pa.table({"image": list(counts.ids), "split": [counts.split] * n, "confusion": confusion})


def _from_table(table: pa.Table) -> Counts:
    import pyarrow as pa

    lists = table["confusion"].combine_chunks()
    if not (pa.types.is_list(lists.type) or pa.types.is_large_list(lists.type)):
        raise ValueError(f"its confusion counts are {lists.type}, not lists")
    pixels = lists.flatten().to_numpy()
    n = table.num_rows
    num_classes = isqrt(len(pixels) // n) if n else 0
    splits = set(table["split"].to_pylist())
    if len(splits) != 1 or {num_classes**2} != set(lists.value_lengths().to_pylist()):
        raise ValueError("its rows do not hold one square matrix an image, all of one split")
    if pixels.dtype != "int64" or (pixels < 0).any():
        raise ValueError("its confusion counts are not int64 of zero and more")
    return Counts(tuple(table["image"].to_pylist()), splits.pop(), pixels.reshape(n, num_classes, num_classes))
