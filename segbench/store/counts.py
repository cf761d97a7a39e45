"""The counts of every image of a split, from which all scores, intervals and re-scorings are computed."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import accumulate, chain
from math import isqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.errors import RecordError
from segbench.files import read_file

from .atomic import write_atomically
from .segments import COUNTS as COUNTS
from .segments import has_packed_counts, packed_counts, read_packed_or_loose
from .table import from_parquet, to_parquet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


# Equal bins of the top probability in [0, 1].
CALIBRATION_BINS = 15
_TOGETHER = 32  # files that are read together


class BoundaryCount(NamedTuple):
    """What the last axis of `Counts.boundary` holds, in this order: pixels of one class in one image.

    The first three are of the bands that Boundary IoU compares: in both and of the same class, in the truth's, in the
    prediction's. The others are of the boundaries, one pixel wide, that boundary F1 matches: predicted and near a true
    one of the class, predicted in all, true and near a predicted one, true in all.
    """

    intersection: int
    truth: int
    prediction: int
    predicted_matched: int
    predicted: int
    true_matched: int
    true: int


@dataclass(frozen=True)
class Counts:
    """Counts by image, of n images and K classes; pixels whose truth is ignore_index are in none of them but `void`.

    `confusion[i, truth, prediction]` are pixels, int64 (n, K, K); that of the split is `confusion.sum(axis=0)`. What
    follows is None where it was not counted:

    - `sizes` (n, 2) int64, height and width; `void` (n,) int64, ignored pixels; `clusters`, the name of the group that
      each image belongs to, such as its video sequence.
    - `boundary` (n, K, 7) int64, see `BoundaryCount`.
    - `band`, `small` (n, K, K) int64: the confusion counts of pixels near a true boundary between classes, and of
      pixels of small objects (segbench/engine/evaluation/label_counts.py).
    - `calibration` (n, CALIBRATION_BINS, 3) float64 by bin of the top probability: pixels, sum of top probabilities,
      pixels that are right; `likelihood` (n, 2) float64: sums over pixels of -log p(truth) [nats] and of Brier scores.
    - `surface` (n, K, 2) float64: HD95 in pixels and normalised surface distance; NaN where undefined.
    - `folds`, the place of the cell that each image's counts are from, of several that were joined; it is not written.
    """

    ids: tuple[str, ...]
    split: str
    confusion: NDArray[np.int64]
    sizes: NDArray[np.int64] | None = None
    void: NDArray[np.int64] | None = None
    clusters: tuple[str, ...] | None = None
    boundary: NDArray[np.int64] | None = None
    band: NDArray[np.int64] | None = None
    small: NDArray[np.int64] | None = None
    calibration: NDArray[np.float64] | None = None
    likelihood: NDArray[np.float64] | None = None
    surface: NDArray[np.float64] | None = None
    folds: tuple[int, ...] | None = None

    @property
    def num_classes(self) -> int:
        """The number of classes K."""
        return int(self.confusion.shape[1])


def write_counts(folder: Path, counts: Counts) -> None:
    """Write counts.parquet into a cell's folder, whole or not at all.

    Its columns are image and split (strings), confusion (list of K*K int64, row-major [truth, prediction]), and of the
    others those that were counted: clusters (string), each array as a row-major list an image.
    Raises RecordError if the folder is full or read-only.
    """
    _check_form(counts)
    write_atomically(folder / COUNTS, to_parquet(_table(counts)))


def has_counts(folder: Path) -> bool:
    """Tell whether there are counts of a cell, by its folder."""
    # Segments first, as they are read already; and again, as counts may have been moved into one since.
    return has_packed_counts(folder) or (folder / COUNTS).is_file() or has_packed_counts(folder)


def read_counts(folder: Path) -> Counts:
    """Read counts.parquet from a cell's folder.

    Raises RecordError if it is missing, damaged, of another form, or does not add up to the pixels of its images.
    """
    return _read(folder, None)


def read_confusions(folders: Sequence[Path]) -> Iterator[Counts | RecordError]:
    """Yield of each folder's counts.parquet only what rankings by IoU need, or why it cannot be read.

    What else it holds is None. Many files together take two thirds of the time of as many alone.
    """
    for start in range(0, len(folders), _TOGETHER):
        some = folders[start : start + _TOGETHER]
        yield from _read_together(some) or map(_read_confusion, some)


def _read_confusion(folder: Path) -> Counts | RecordError:
    try:
        return _read(folder, _OF_CONFUSION)
    except RecordError as error:
        return error


def _read_together(folders: Sequence[Path]) -> list[Counts]:
    """Return what rankings need of several folders; nothing if one of them is damaged or unlike the others."""
    import pyarrow as pa

    try:
        tables = [read_table(folder, _OF_CONFUSION) for folder in folders]
        if not all(map(len, tables)):
            return []
        together = _from_table(pa.concat_tables(tables))
        _check_sums(together)
    except (pa.ArrowException, OSError, KeyError, ValueError, RecordError):
        return []
    ends = list(accumulate(len(table) for table in tables))
    return [_part(together, slice(end - len(table), end)) for table, end in zip(tables, ends, strict=True)]


def _part(counts: Counts, images: slice) -> Counts:
    """Return the counts of some images."""
    found = {field.name: getattr(counts, field.name) for field in fields(counts)}
    by_image = {name: value[images] for name, value in found.items() if value is not None and name != "split"}
    return replace(counts, **by_image)


def _read(folder: Path, columns: list[str] | None) -> Counts:
    """Read some columns of counts.parquet, or all of them."""
    with _telling(folder):
        counts = _from_table(read_table(folder, columns))
        _check_sums(counts)
    return counts


@contextmanager
def _telling(folder: Path) -> Iterator[None]:
    """Raise RecordError for whatever makes the counts of a cell unreadable."""
    import pyarrow as pa

    path = folder / COUNTS
    if not has_counts(folder):
        raise RecordError(f"no counts at {path}; delete the record of that cell and run it again to have them")
    try:
        yield
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise RecordError(
            f"cannot read the counts in {path}: {error}; delete the cell's record and run it again"
        ) from error


def read_table(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return some columns of the counts of a cell, or all that there are, from counts.parquet or a segment.

    Raises OSError if there are none, ValueError or ArrowException if they are damaged, RecordError if a segment is.
    """

    def read_loose() -> pa.Table:
        return from_parquet(read_file(folder / COUNTS), columns)

    return read_packed_or_loose(partial(packed_counts, folder, columns), read_loose)


def read_whole_table(folder: Path) -> pa.Table:
    """Return the table of a cell's counts if `Counts` holds all of it; RecordError as `read_counts`, and if not."""
    import pyarrow as pa

    with _telling(folder):
        table = read_table(folder)
        _check_sums(_from_table(table))
    known = {"image", "split", "clusters", *_shapes(0)}
    if unknown := [name for name in table.column_names if name not in known]:
        raise RecordError(f"its counts have columns that this segbench does not know: {', '.join(map(str, unknown))}")
    return table.cast(pa.schema([(field.name, _type_in_files(field.type)) for field in table.schema]))


def _type_in_files(type: pa.DataType) -> pa.DataType:
    """Return the type of a column as it comes out of a file, whatever a version of Arrow calls the parts of a list."""
    import pyarrow as pa

    return pa.list_(pa.field("element", type.value_type)) if pa.types.is_list(type) else type


def _shapes(num_classes: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array for one image."""
    return {
        "confusion": (num_classes, num_classes),
        "sizes": (2,),
        "void": (),
        "boundary": (num_classes, len(BoundaryCount._fields)),
        "band": (num_classes, num_classes),
        "small": (num_classes, num_classes),
        "calibration": (CALIBRATION_BINS, 3),
        "likelihood": (2,),
        "surface": (num_classes, 2),
    }


# The confusion counts, whose they are, and the pixels to which they must add up.
_OF_CONFUSION = ["image", "split", "clusters", "confusion", "sizes", "void"]
_FLOATS = frozenset({"calibration", "likelihood", "surface"})
_MAY_BE_UNDEFINED = frozenset({"surface"})


def join_counts(parts: Sequence[Counts]) -> Counts:
    """Return the counts of the images of several test folds as those of one; what one of them did not count is None.

    Raises RecordError if they are of several splits or numbers of classes, or if an image is in several.
    """
    import numpy as np

    first = parts[0]
    ids = tuple(image for part in parts for image in part.ids)
    if len({(part.split, part.num_classes) for part in parts}) > 1 or len(set(ids)) < len(ids):
        raise RecordError("counts of several splits or numbers of classes, or of one image twice, cannot be joined")
    if len(parts) == 1:
        return first
    joined: dict[str, Any] = {}
    for name in ("clusters", *_shapes(first.num_classes)):
        values = [value for part in parts if (value := getattr(part, name)) is not None]
        if len(values) < len(parts):
            joined[name] = None
        else:
            joined[name] = tuple(chain(*values)) if name == "clusters" else np.concatenate(values)
    folds = tuple(place for place, part in enumerate(parts) for _ in part.ids)
    return replace(first, ids=ids, folds=folds, **joined)


def _check_form(counts: Counts) -> None:
    """Raise ValueError for arrays that would not be read back the same."""
    n, rows, columns = counts.confusion.shape
    if rows != columns or n != len(counts.ids) or n == 0:
        raise ValueError(f"{len(counts.ids)} ids and confusion counts of shape {counts.confusion.shape} do not fit")
    for name, shape in _shapes(rows).items():
        array, dtype = getattr(counts, name), "float64" if name in _FLOATS else "int64"
        if array is not None and array.dtype != dtype:
            raise ValueError(f"{name} counts are {dtype}, not {array.dtype}")
        if array is not None and array.shape != (n, *shape):
            raise ValueError(f"{name} counts are {(n, *shape)}, not {array.shape}")


def _check_sums(counts: Counts) -> None:
    """Raise ValueError for counts that cannot all be of the same pixels."""
    pixels = counts.confusion.sum(axis=(1, 2))
    expected = {
        "its confusion and ignored pixels do not add up to its size": _labelled_pixels(counts),
        "its calibration bins hold other pixels than its confusion": _calibrated_pixels(counts),
    }
    for fault, wanted in expected.items():
        if wanted is not None and (wrong := (wanted != pixels).nonzero()[0]).size:
            raise ValueError(f"image {counts.ids[wrong[0]]!r}: {fault}")
    for name in ("band", "small"):
        part = getattr(counts, name)
        if part is not None and (wrong := (part > counts.confusion).any(axis=(1, 2)).nonzero()[0]).size:
            raise ValueError(f"image {counts.ids[wrong[0]]!r}: {name} counts exceed those of the whole image")


def _labelled_pixels(counts: Counts) -> NDArray[np.int64] | None:
    if counts.sizes is None or counts.void is None:
        return None
    pixels: NDArray[np.int64] = counts.sizes.prod(axis=1) - counts.void
    return pixels


def _calibrated_pixels(counts: Counts) -> NDArray[np.float64] | None:
    if counts.calibration is None:
        return None
    pixels: NDArray[np.float64] = counts.calibration[:, :, 0].sum(axis=1)
    return pixels


def _table(counts: Counts) -> pa.Table:
    import pyarrow as pa

    n = len(counts.ids)
    columns: dict[str, Any] = {"image": list(counts.ids), "split": [counts.split] * n}
    if counts.clusters is not None:
        columns["clusters"] = list(counts.clusters)
    for name in _shapes(counts.num_classes):
        if (array := getattr(counts, name)) is not None:
            columns[name] = _column(array)
    return pa.table(columns)


def _column(array: NDArray[Any]) -> pa.Array:
    """Return an array as a list an image, or as plain numbers if each image has one."""
    import numpy as np
    import pyarrow as pa

    if array.ndim == 1:
        return pa.array(array)
    values = pa.array(array.reshape(-1))
    offsets = np.arange(len(array) + 1, dtype=np.int64) * (len(values) // len(array))
    return pa.LargeListArray.from_arrays(offsets, values).cast(pa.list_(values.type))


def _from_table(table: pa.Table) -> Counts:
    n, (_, lengths) = table.num_rows, _flat(table, "confusion")
    num_classes = isqrt(lengths.pop() or 0) if len(lengths) == 1 else 0
    splits = set(table["split"].to_pylist())
    if n == 0 or num_classes == 0 or len(splits) != 1:
        raise ValueError("its rows do not hold one square matrix an image, all of one split")
    arrays: dict[str, Any] = {
        name: _array(table, name, (n, *shape))
        for name, shape in _shapes(num_classes).items()
        if name in table.column_names
    }
    clusters = tuple(table["clusters"].to_pylist()) if "clusters" in table.column_names else None
    return Counts(ids=tuple(table["image"].to_pylist()), split=splits.pop(), clusters=clusters, **arrays)


def _array(table: pa.Table, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    import numpy as np

    values, lengths = _flat(table, name)
    if lengths != ({int(np.prod(shape[1:]))} if shape[1:] else {None}):
        raise ValueError(f"its {name} counts are not of shape {list(shape[1:])} in each image")
    if values.dtype != ("float64" if name in _FLOATS else "int64"):
        raise ValueError(f"its {name} counts are {values.dtype}")
    present = values[~np.isnan(values)] if name in _MAY_BE_UNDEFINED else values
    if not (present >= 0).all():
        raise ValueError(f"its {name} counts are not all zero or more")
    return values.reshape(shape)


def _flat(table: pa.Table, name: str) -> tuple[NDArray[Any], set[int | None]]:
    """Return all numbers of a column in one array, and the lengths of its lists; None for a number without a list."""
    import numpy as np
    import pyarrow as pa

    column = table[name].combine_chunks()
    lengths: set[int | None] = {None}
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        column, lengths = column.flatten(), {*np.diff(np.from_dlpack(column.offsets)).tolist()}
    if column.type not in (pa.int64(), pa.float64()):
        raise ValueError(f"its {name} counts are {column.type}")
    return np.from_dlpack(column), lengths  # to_numpy would import pandas
