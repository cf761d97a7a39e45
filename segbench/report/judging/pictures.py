"""The pictures of a page of judgements: images as JPEG and label maps as PNG, as addresses that hold the data."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from PIL.Image import Image

    from segbench.store.description import DatasetDescription

    from .material import View

    LabelMap = NDArray[Any]

# Larger pictures are made smaller: this many pixels are what half a screen shows.
_LONGEST = 1024
_QUALITY = 88  # of JPEG
_GAP = 4  # white pixels between the four parts of a panel (segbench/engine/pictures/drawing.py)


def read_labels(view: View) -> list[LabelMap]:
    """Return the label maps of a view in the order of its methods, (H, W), of a size to be shown.

    Raises DataError for one that cannot be read, or that has another size than the others.
    """
    from segbench.errors import DataError
    from segbench.images import read_mask

    found = [read_mask(cell.picture(view.image)) for cell in view.cells]
    if len({labels.shape for labels in found}) > 1:
        raise DataError(f"{view.cells[0].picture(view.image)}: its size is not that of the other methods' label maps")
    return [_smaller(labels) for labels in found]


def image_address(view: View) -> str:
    """Return the image of a view as the address of a JPEG; DataError if no panel of it can be read."""
    from PIL import Image

    from segbench.images import read_image

    panel = next(path for cell in view.cells if (path := cell.picture(view.image, ".panel")).is_file())
    pixels = read_image(panel, 3)
    alone = pixels[:, : (pixels.shape[1] - 3 * _GAP) // 4]
    height, width = _shown_size(*alone.shape[:2])
    image = Image.fromarray(alone).resize((width, height))
    return _address(image, "JPEG", "image/jpeg", {"quality": _QUALITY})


def labels_address(labels: LabelMap, description: DatasetDescription) -> str:
    """Return a label map (H, W) in the colours of its classes as the address of a PNG."""
    from PIL import Image

    from segbench.engine.pictures.drawing import colour_labels, label_map

    picture = label_map(labels, description.palette, description.ignore_index)
    if picture.mode != "P":
        picture = Image.fromarray(colour_labels(labels, description.palette))
    return _address(picture, "PNG", "image/png", {"optimize": True})


def spoil(labels: LabelMap, classes: int) -> LabelMap:
    """Return a label map that is clearly worse: every class is the next one, and all of it is moved by a third."""
    import numpy as np

    shuffled = np.where(labels < classes, (labels + 1) % classes, labels)
    moved: LabelMap = np.roll(shuffled, [-(-side // 3) for side in labels.shape], axis=(0, 1)).astype(labels.dtype)
    return moved


def _smaller(labels: LabelMap) -> LabelMap:
    from segbench.engine.pictures.drawing import resample

    return resample(labels, _shown_size(*labels.shape))


def _shown_size(height: int, width: int) -> tuple[int, int]:
    share = min(1.0, _LONGEST / max(height, width))
    return max(1, round(height * share)), max(1, round(width * share))


def _address(image: Image, form: str, media: str, options: Mapping[str, Any]) -> str:
    file = BytesIO()
    image.save(file, form, **options)
    return f"data:{media};base64,{base64.b64encode(file.getvalue()).decode()}"
