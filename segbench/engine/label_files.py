"""Label maps that other tools have written: one PNG an image, the pixel values being class ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from segbench.errors import DataError

from .image_files import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_MOST_NAMED = 8
SUFFIX = ".png"


def find_label_maps(folder: Path, ids: Sequence[str]) -> list[Path]:
    """Return the label map of each id: the PNG whose path in the folder, without its ending, is the id.

    Raises DataError that names the ids without a label map and the label maps without an id.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder} of label maps")
    found = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob(f"*{SUFFIX}")}
    missing = [name for name in ids if name not in found]
    extra = sorted(found.keys() - set(ids))
    if missing or extra:
        complaints = [
            *([f"{len(missing)} of {len(ids)} images have none ({_named(missing)})"] if missing else []),
            *([f"{len(extra)} belong to no image of the split ({_named(extra)})"] if extra else []),
        ]
        raise DataError(
            f"the label maps in {folder} do not match the split: {'; '.join(complaints)}. "
            f"Each image needs one PNG named by its id, such as {ids[0]}{SUFFIX}"
        )
    return [found[name] for name in ids]


def _named(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_MOST_NAMED]) + (", ..." if len(ids) > _MOST_NAMED else "")


def read_label_map(path: Path, truth: NDArray[Any], num_classes: int, ignore_index: int) -> NDArray[np.int64]:
    """Return the class ids (H, W) of a grey or palette PNG of 8 or 16 bits.

    `ignore_index` is allowed only where `truth` has it too: a pixel that counts needs a class. Raises DataError for a
    file that cannot be read, colours, a size other than that of `truth`, and values that are no class.
    """
    try:
        with Image.open(path) as image:
            labels = np.asarray(image)
    except UNREADABLE as error:
        raise DataError(f"{path}: cannot be read as a label map ({error})") from error
    if labels.ndim != 2 or labels.dtype.kind not in "biu":
        raise DataError(f"{path}: a label map holds one class id a pixel, as grey values or a palette, not colours")
    if labels.shape != truth.shape:
        raise DataError(
            f"{path}: it is {_size(labels)} pixels, its image is {_size(truth)}; label maps are never resized"
        )
    labels = labels.astype(np.int64)
    _check_values(labels, truth, num_classes, ignore_index, path)
    return labels


def _check_values(
    labels: NDArray[np.int64], truth: NDArray[Any], num_classes: int, ignore_index: int, path: Path
) -> None:
    wrong = (labels < 0) | (labels >= num_classes)
    left_out = labels == ignore_index
    values = np.unique(labels[wrong & ~left_out]).tolist()
    allowed = f"allowed are the class ids 0 to {num_classes - 1}"
    if values:
        raise DataError(f"{path}: it holds {_named([str(value) for value in values])}; {allowed}")
    unanswered = int((wrong & left_out & (truth != ignore_index)).sum())
    if unanswered:
        raise DataError(
            f"{path}: {unanswered} pixels that count are predicted as {ignore_index}, which is no class; {allowed}, "
            f"and {ignore_index} only where the truth is ignored"
        )


def _size(pixels: NDArray[Any]) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"
