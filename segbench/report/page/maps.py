"""Maps that compare label maps, (H, W) integers: where predictions are wrong, and where their boundaries are."""

from __future__ import annotations

from math import hypot
from typing import TYPE_CHECKING, Any, NamedTuple

from .embedding import LONGEST

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    Labels = NDArray[np.integer[Any]]
    Mask = NDArray[np.bool_]


class Tone(NamedTuple):
    """A colour of a map, red, green and blue, and what it stands for."""

    colour: tuple[int, int, int]
    meaning: str


# The colours of maps by value, from 1 on; 0 is see-through. They are of Okabe and Ito (2008).
ERROR_TONES = (
    Tone((213, 94, 0), "wrong"),
    Tone((86, 180, 233), "wrong, beside a true boundary"),
    Tone((153, 153, 153), "ignored"),
)
BOUNDARY_TONES = (
    Tone((153, 153, 153), "predicted boundary near a true one"),
    Tone((213, 94, 0), "predicted, no true one near"),
    Tone((86, 180, 233), "true, missed"),
)


def error_map(prediction: Labels, truth: Labels, ignore_index: int, width: float) -> Image.Image:
    """Return where a prediction is wrong, apart where that is within `width`, a share of the diagonal, of a boundary.

    The values are places in ERROR_TONES from 1 on, and 0 where it is right.
    """
    import numpy as np

    wrong, ignored = prediction != truth, truth == ignore_index
    near = near_another_class(truth, ignored, _pixels(width, truth))
    return _with_palette(np.select([ignored, wrong & near, wrong], [3, 2, 1], 0), ERROR_TONES)


def boundary_map(prediction: Labels, truth: Labels, ignore_index: int, tolerance: float) -> Image.Image:
    """Return where predicted and true boundaries are farther than `tolerance`, a share of the diagonal, from another.

    The values are places in BOUNDARY_TONES from 1 on, and 0 elsewhere. Lines are as wide as can be seen.
    """
    import numpy as np

    ignored, thickness = truth == ignore_index, max(1, max(truth.shape) // 200)
    predicted, true = (near_another_class(labels, ignored, thickness) for labels in (prediction, truth))
    reach = _pixels(tolerance, truth) + thickness
    missed, invented = true & ~_within(predicted, reach), predicted & ~_within(true, reach)
    return _with_palette(np.select([invented, missed, predicted], [2, 3, 1], 0), BOUNDARY_TONES)


def near_another_class(labels: Labels, ignored: Mask, depth: int) -> Mask:
    """Tell which pixels have one of another class at most `depth` rows and columns away; ignored ones are of none."""
    import numpy as np
    from scipy.ndimage import maximum_filter, minimum_filter

    codes, window = labels.astype(np.int32), 2 * depth + 1
    highest = maximum_filter(np.where(ignored, -1, codes), window, mode="nearest")
    lowest = minimum_filter(np.where(ignored, np.iinfo(np.int32).max, codes), window, mode="nearest")
    found: Mask = (highest != lowest) & ~ignored
    return found


def _within(lines: Mask, distance: float) -> Mask:
    """Tell which pixels lie within a distance of any of the lines."""
    import numpy as np
    from scipy.ndimage import distance_transform_edt

    if not lines.any():
        return np.zeros_like(lines)
    near: Mask = distance_transform_edt(~lines) <= distance
    return near


def _pixels(share: float, labels: Labels) -> int:
    return max(1, round(share * hypot(*labels.shape)))


def _with_palette(values: NDArray[Any], tones: tuple[Tone, ...]) -> Image.Image:
    import numpy as np
    from PIL import Image

    image = Image.fromarray(values.astype(np.uint8))
    image.putpalette([value for colour in [(255, 255, 255), *(tone.colour for tone in tones)] for value in colour])
    image.info["transparency"] = 0
    return image


def shrink_labels(labels: Labels, longest: int = LONGEST) -> Labels:
    """Return labels so that neither side is longer than so many pixels, each taken from the nearest one."""
    from segbench.engine.pictures.drawing import resample

    height, width = labels.shape
    scale = min(1.0, longest / max(height, width))
    smaller: Labels = resample(labels, (max(1, round(height * scale)), max(1, round(width * scale))))
    return smaller
