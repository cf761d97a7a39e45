"""Detect label maps that were resized by interpolation, by their edges and by the files they come from.

Between the ids 1 and 5 interpolation puts 3, a class that is not there. Nearest neighbours invent nothing.
"""

from __future__ import annotations

import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segbench.contract import Sample

    Pixels = NDArray[np.int64]


# A mask that was enlarged by a factor of at most four has interpolated edges of at most so many pixels.
WIDEST_EDGE = 3

# Fewer edges between two classes prove nothing.
FEWEST_EDGES = 10

# One class may be drawn as a thin line around another; two that seem so, between different pairs, were invented.
FEWEST_INVENTED = 2

# A mask holds no more values; a photograph does.
MOST_VALUES = 4096

# Labels are taken to come from a file that explains this share of the pixels outside the most frequent class.
EXPLAINED_SHARE = 0.5

# A pixel and those around it, itself first.
AROUND = ((0, 0), *((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)))

# From places in the label map to those in a file of another size, as libraries take nearest neighbours.
NEAREST_RULES: tuple[Callable[[Pixels, int, int], NDArray[Any]], ...] = (
    lambda places, size, stored: places * stored // size,
    lambda places, size, stored: (2 * places + 1) * stored // (2 * size),
    lambda places, size, stored: np.rint((places + 0.5) * stored / size - 0.5),
    lambda places, size, stored: np.rint(places * (stored - 1) / max(size - 1, 1)),
)


def find_invented_classes(label_maps: Iterable[NDArray[Any]], ignore_index: int) -> list[tuple[int, int, int]]:
    """Return (one, invented, other) for pairs of classes whose edges mostly lead through a thin line of a third.

    Only ids that lie between the two count, as interpolation puts them there. Nothing is returned unless most edges of
    all classes do, and through more than one class.
    """
    direct: Counter[tuple[int, int]] = Counter()
    between: dict[tuple[int, int], Counter[int]] = {}
    for labels in label_maps:
        for along in (labels, labels.T):
            for (one, middle, other), count in _edges(along, ignore_index).items():
                if middle == one:
                    direct[one, other] += count
                else:
                    between.setdefault((one, other), Counter())[middle] += count
    thin = {pair: middles for pair, middles in between.items() if middles.total() >= FEWEST_EDGES}
    if sum(direct.values()) > sum(middles.total() for middles in between.values()):
        return []
    found = [
        (one, middles.most_common(1)[0][0], other)
        for (one, other), middles in sorted(thin.items())
        if middles.total() > direct[one, other]
    ]
    return found if len({middle for _, middle, _ in found}) >= FEWEST_INVENTED else []


def _edges(labels: NDArray[Any], ignore_index: int) -> Counter[tuple[int, int, int]]:
    """Count the edges along rows between classes that are not neighbours in number: (lower, on the way, higher).

    An edge lies between two runs of at least two pixels of a class; on its few pixels classes rise or fall towards the
    other one. On the way is the first of these, the lower class itself if there are none.
    """
    values, starts = _runs(labels, ignore_index)
    long_enough = np.diff(starts) >= 2
    edges: Counter[tuple[int, int, int]] = Counter()
    for inner in range(min(WIDEST_EDGE, len(values) - 2) + 1):
        number = len(values) - inner - 1
        window = np.stack([values[place : place + number] for place in range(inner + 2)])
        first, last = window[0], window[-1]
        is_edge = (np.diff(window, axis=0) * np.sign(last - first) > 0).all(axis=0) & (np.abs(last - first) >= 2)
        is_edge &= long_enough[:number] & long_enough[inner + 1 :] & (window != ignore_index).all(axis=0)
        is_edge &= starts[inner + 1 : -1] - starts[1 : number + 1] <= WIDEST_EDGE
        lower, higher = np.minimum(first, last)[is_edge], np.maximum(first, last)[is_edge]
        on_the_way = window[1][is_edge] if inner else lower
        edges.update(zip(lower.tolist(), on_the_way.tolist(), higher.tolist(), strict=True))
    return edges


def _runs(labels: NDArray[Any], ignore_index: int) -> tuple[Pixels, Pixels]:
    """Return the labels of all runs along rows, and where they start, with the end of the last; rows are kept apart."""
    row_by_row = np.pad(labels.astype(np.int64), ((0, 0), (0, 1)), constant_values=ignore_index).ravel()
    changes = np.flatnonzero(np.diff(row_by_row)) + 1
    starts = np.concatenate([[0], changes, [row_by_row.size]])
    return row_by_row[starts[:-1]], starts


def find_interpolated_file(sample: Sample, files: Sequence[Path], ignore_index: int) -> Path | None:
    """Return the file that a sample's labels plainly come from, though not as nearest neighbours; None if none is.

    In a file of the labels' size every stored value must have one label; in another one a label must be that of a pixel
    next to the nearest, as conventions differ. What is ignored does not count. A file of the image is left out.
    """
    suspect = None
    for file in files:
        stored = _stored(file)
        if stored is None or _is_image(stored, sample):
            continue
        unexplained = _unexplained(stored, sample.labels, ignore_index)
        if unexplained == 0:
            return None
        if unexplained < 1 - EXPLAINED_SHARE:
            suspect = file
    return suspect


def _stored(file: Path) -> Pixels | None:
    """Return the pixels of an image file as one number each, (H, W); None if it is none."""
    from PIL import Image

    try:
        with warnings.catch_warnings(), Image.open(file) as image:
            warnings.simplefilter("ignore")
            pixels = np.asarray(image)
    except (OSError, ValueError, SyntaxError):
        return None
    if pixels.ndim == 2 and pixels.dtype.kind in "biu":
        return pixels.astype(np.int64)
    if pixels.ndim == 3 and pixels.dtype == np.uint8:
        return _as_numbers(pixels)
    return None


def _is_image(stored: Pixels, sample: Sample) -> bool:
    """Whether the pixels are those of the sample's image, or of a channel of it."""
    image = np.atleast_3d(sample.image)
    if stored.shape != image.shape[:2]:
        return False
    colours = _as_numbers(image) if image.shape[2] <= 4 else image[..., 0]
    return any(np.array_equal(stored, one) for one in (colours, *np.moveaxis(image, 2, 0)))


def _as_numbers(colours: NDArray[Any]) -> Pixels:
    """Return colours (H, W, C) of 8 bits as one number each."""
    numbers: Pixels = np.dot(colours.astype(np.int64), 256 ** np.arange(colours.shape[2]))
    return numbers


def _unexplained(stored: Pixels, labels: NDArray[Any], ignore_index: int) -> float:
    """Return the share of labels that a file does not explain, of those that one class everywhere would not."""
    counts = labels != ignore_index
    values, numbered = np.unique(stored, return_inverse=True)
    classes, wanted = np.unique(labels[counts], return_inverse=True)
    wrong_at_chance = wanted.size - int(np.bincount(wanted.ravel(), minlength=1).max())
    if wrong_at_chance == 0:
        return 0.0
    if len(values) > MOST_VALUES:
        return 1.0
    numbered = numbered.reshape(stored.shape)
    same_size = stored.shape == labels.shape
    conventions, around = (NEAREST_RULES[:1], AROUND[:1]) if same_size else (NEAREST_RULES, AROUND)
    wrong = []
    for convention in conventions:
        nearest, *others = (_shown(numbered, labels.shape, convention, shift)[counts] for shift in around)
        label_of = _most_frequent(nearest, wanted, (len(values), len(classes)))
        explained = label_of[nearest] == wanted
        for other in others:
            explained |= label_of[other] == wanted
        wrong.append(wanted.size - int(explained.sum()))
    return min(wrong) / wrong_at_chance


def _shown(
    stored: Pixels,
    shape: tuple[int, ...],
    convention: Callable[[Pixels, int, int], NDArray[Any]],
    shift: tuple[int, int],
) -> Pixels:
    """Return the stored pixel, or one next to it, that is nearest to each place of a label map."""
    rows, columns = (
        np.clip(convention(np.arange(size), size, held).astype(np.int64) + by, 0, held - 1)
        for size, held, by in zip(shape, stored.shape, shift, strict=True)
    )
    return stored[rows][:, columns]


def _most_frequent(values: Pixels, labels: Pixels, sizes: tuple[int, int]) -> Pixels:
    """Return for each value the label that it has most often."""
    table = np.bincount(values.ravel() * sizes[1] + labels.ravel(), minlength=sizes[0] * sizes[1])
    most: Pixels = table.reshape(sizes).argmax(axis=1)
    return most
