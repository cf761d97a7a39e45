"""Find and read files that users give: images to predict on, and label maps made by other tools.

They are read as those of a dataset are (segbench.images).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from segbench.errors import DataError, list_some
from segbench.images import IMAGE_ENDINGS, MASK_ENDINGS, image_files, read_mask
from segbench.images.files import is_litter, is_zarr, same_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segbench.images import Reading


def find_images(given: Sequence[Path]) -> list[Path]:
    """Return the image files and zarr arrays that are given or lie in the folders that are given, sorted by name there.

    Raises DataError for a path that does not exist and for a folder without images.
    """
    return [path for one in given for path in (_images_in(one) if one.is_dir() else [_existing(one)])]


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"there is no image {path}; give an image file or a folder of images")
    return path


def _images_in(folder: Path) -> list[Path]:
    if is_zarr(folder):
        return [folder]
    arrays = [path for path in folder.iterdir() if is_zarr(path) and not is_litter(path)]
    found = sorted([*image_files(folder), *arrays])
    if not found:
        raise DataError(f"there is no image in {folder}; images end in {', '.join(sorted(IMAGE_ENDINGS))}, or are zarr")
    return found


def find_label_maps(folder: Path, ids: Sequence[str]) -> list[Path]:
    """Return the label map of each id: the file whose path in the folder, without its ending, is the id.

    Raises DataError that names the ids without a label map, the label maps without an id, and ids with two.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder} of label maps")
    found: dict[str, Path] = {}
    for path in image_files(folder, MASK_ENDINGS, deep=True):
        other = found.setdefault(same_name(path.relative_to(folder).with_suffix("").as_posix()), path)
        if other != path:
            raise DataError(f"{other} and {path} are label maps of one image; keep one of them")
    wanted = {same_name(name): name for name in ids}
    missing = [name for same, name in wanted.items() if same not in found]
    extra = sorted(found.keys() - wanted.keys())
    if missing or extra:
        complaints = [
            *([f"{len(missing)} of {len(ids)} images have none ({list_some(missing)})"] if missing else []),
            *([f"{len(extra)} belong to no image of the split ({list_some(extra)})"] if extra else []),
        ]
        raise DataError(
            f"the label maps in {folder} do not match the split: {'; '.join(complaints)}. "
            f"Each image needs one file named by its id, such as {ids[0]}.png ({', '.join(MASK_ENDINGS)})"
        )
    return [found[same_name(name)] for name in ids]


def read_label_map(
    path: Path,
    truth: NDArray[Any],
    palette: Sequence[tuple[int, int, int]],
    ignore_index: int,
    reading: Reading | None = None,
) -> NDArray[np.integer[Any]]:
    """Return the class ids (H, W) of a file of grey values or palette indices of any depth, or of colours of classes.

    `ignore_index` is allowed only where `truth` has it too: a labelled pixel needs a class. Raises DataError for a
    file that cannot be read, a size other than that of `truth`, and values and colours that are no class.
    """
    labels = read_mask(path, *(() if reading is None else (reading,)))
    if labels.ndim != 2:
        labels = _classes_of_colours(labels, palette, path)
    if labels.shape != truth.shape:
        raise DataError(
            f"{path}: it is {_size(labels)} pixels, its image is {_size(truth)}; label maps are never resized"
        )
    _check_values(labels, truth, len(palette), ignore_index, path)
    return labels.astype(np.int64)


def _classes_of_colours(
    colours: NDArray[Any], palette: Sequence[tuple[int, int, int]], path: Path
) -> NDArray[np.integer[Any]]:
    """Return the classes (H, W) whose colours pixels (H, W, 3) have."""
    found, places = np.unique(_join_channels(colours), return_inverse=True)
    known = _join_channels(np.array(palette)).tolist()
    twice = [palette[place] for place, colour in enumerate(known) if colour in known[:place]]
    if twice:
        raise DataError(f"{path}: several classes have the colour {list(twice[0])}; save class ids as grey values")
    classes = {colour: label for label, colour in enumerate(known)}
    labels = np.array([classes.get(colour, -1) for colour in found.tolist()])[places].reshape(colours.shape[:2])
    if (unknown := labels < 0).any():
        row, column = np.unravel_index(unknown.argmax(), unknown.shape)
        listed = list_some([str(list(colour)) for colour in palette])
        raise DataError(
            f"{path}: the colour {colours[row, column].tolist()} at row {row}, column {column} is no class's; those of "
            f"the dataset are {listed}, in the order of the class ids, which may be saved as grey values instead"
        )
    return labels


def _join_channels(colours: NDArray[Any]) -> NDArray[np.int64]:
    """Return a number for each colour (..., 3) of up to 16 bits a channel."""
    joined: NDArray[np.int64] = colours.astype(np.int64) @ np.array([1 << 32, 1 << 16, 1])
    return joined


def _check_values(labels: NDArray[Any], truth: NDArray[Any], num_classes: int, ignore_index: int, path: Path) -> None:
    wrong = (labels < 0) | (labels >= num_classes)
    left_out = labels == ignore_index
    values = np.unique(labels[wrong & ~left_out]).tolist()
    allowed = f"allowed are the class ids 0 to {num_classes - 1}"
    if values:
        raise DataError(f"{path}: it holds {list_some([str(value) for value in values])}; {allowed}")
    unanswered = int((wrong & left_out & (truth != ignore_index)).sum())
    if unanswered:
        raise DataError(
            f"{path}: {unanswered} labelled pixels are predicted as {ignore_index}, which is no class; {allowed}, "
            f"and {ignore_index} only where the truth is ignored"
        )


def _size(pixels: NDArray[Any]) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"
