"""The pictures of a page of judgements: what it shows of an image, and what it makes of a label map to spoil it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench.errors import DataError
from segbench.report.page.embedding import jpeg, shrink
from segbench.report.page.maps import shrink_labels
from segbench.store.pictures import read_kept_labels, read_kept_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .material import View

    LabelMap = NDArray[Any]

# Larger pictures are made smaller: half a screen shows no more pixels.
_LONGEST = 1024


def read_labels(view: View) -> list[LabelMap]:
    """Return the label maps of a view in the order of its methods, (H, W), of a size to be shown.

    Raises DataError for one that cannot be read, or that has another size than the others.
    """
    found = [read_kept_labels(cell.picture(view.image)) for cell in view.cells]
    if len({labels.shape for labels in found}) > 1 or found[0].ndim != 2:
        raise DataError(f"{view.cells[0].picture(view.image)}: it is no label map of the size of the other methods'")
    return [shrink_labels(labels, _LONGEST) for labels in found]


def image_address(view: View) -> str:
    """Return the image of a view, a part of a panel, as a data URI; DataError if the panel cannot be read."""
    from PIL import Image

    from segbench.engine.pictures.drawing import split_panel

    panel = next(path for cell in view.cells if (path := cell.picture(view.image, ".panel")).is_file())
    height = len(read_kept_labels(view.cells[0].picture(view.image)))
    image, _ = split_panel(read_kept_picture(panel), height)
    return jpeg(shrink(Image.fromarray(image), _LONGEST))


def spoil(labels: LabelMap, classes: int) -> LabelMap:
    """Return a label map that is clearly worse: every class is the next one, and all of it is moved by a third."""
    import numpy as np

    shuffled = np.where(labels < classes, (labels + 1) % classes, labels)
    moved: LabelMap = np.roll(shuffled, [-(-side // 3) for side in labels.shape], axis=(0, 1)).astype(labels.dtype)
    return moved
