"""What is wrong with the data of a benchmark though it can be read: images in two splits, files left out, one class."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import list_some

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from segbench.config.folds import Folds
    from segbench.contract import Dataset

    from .key import DatasetContent


# So many pairs of identical images are named in a warning.
_MOST_NAMED = 3

# What a dataset of files may hold beside them to describe itself.
DESCRIPTION = "dataset.json"


class Unread(NamedTuple):
    """Files in the folders of a dataset that it does not read.

    `left` are those that other systems left, `unused` images or masks of no split, `other` all else; `deeper` counts
    images by the folder below which they lie.
    """

    left: tuple[Path, ...]
    unused: tuple[Path, ...]
    other: tuple[Path, ...]
    deeper: dict[Path, int]


def data_warnings(dataset: Dataset, content: DatasetContent, folds: Folds | None = None) -> list[str]:
    """Return the warnings about a dataset, its files compared by their hashes.

    Of a cross-validated one only val can hold what is trained on: copies in its pool stay in one fold.
    """
    if folds is None:
        learnt, others = ["train"], [split for split in dataset.splits if split != "train"]
    else:
        learnt, others = folds.splits_in(dataset.splits), [] if folds.holds("val") else ["val"]
    pairs = [(one, other) for one in learnt for other in others if one in dataset.splits and other in dataset.splits]
    shared = {pair: equal_images(*(content.images[split] for split in pair)) for pair in pairs}
    return [
        *usage_warnings(dataset, find_unread(dataset)),
        *(describe_equal_images(*pair, found) for pair, found in shared.items() if found),
    ]


def usage_warnings(dataset: Dataset, unread: Unread) -> list[str]:
    """Return the warnings about what a dataset makes of its files."""
    warnings = []
    if len(dataset.classes) == 1:
        warnings.append(
            f"there is only the class {dataset.classes[0]!r}, so every label map scores 100; name the class of all "
            "other pixels too, such as background"
        )
    if unread.deeper:
        places = ", ".join(f"{count} below {folder}" for folder, count in unread.deeper.items())
        warnings.append(
            f"{sum(unread.deeper.values())} image files lie in deeper folders and are not read: {places}; move "
            "them up, or remove them"
        )
    if notes := [path for path in unread.other if path.name != DESCRIPTION]:
        named = list_some([str(path) for path in notes], _MOST_NAMED)
        warnings.append(f"{named} beside the images: neither image nor mask, and not read")
    return warnings


def equal_images(one: Iterable[tuple[str, str]], other: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the ids of equal images, one of each split, sorted; both are ids with hashes.

    >>> equal_images([("a", "5f"), ("b", "7c")], [("x", "7c"), ("y", "7c"), ("z", "00")])
    [('b', 'x'), ('b', 'y')]
    """
    first = {digest: name for name, digest in one}
    return sorted((first[digest], name) for name, digest in other if digest in first)


def describe_equal_images(first: str, second: str, pairs: list[tuple[str, str]]) -> str:
    """Say which images two splits share; `pairs` are their ids."""
    named = list_some([f"{one} = {other}" for one, other in pairs], _MOST_NAMED)
    count = "1 image is" if len(pairs) == 1 else f"{len(pairs)} images are"
    return f"{count} identical in {first} and {second}, so scores look too good: {named}"


def find_unread(dataset: Dataset) -> Unread:
    """Look through the folders that hold the files of a dataset; nothing is found of one that names no files."""
    from segbench.images.files import IMAGE_ENDINGS, is_litter

    used = {path for split in dataset.splits.values() for files in getattr(split, "files", ()) for path in files}
    folders = sorted({path.parent for path in used})
    left: list[Path] = []
    unused: list[Path] = []
    other: list[Path] = []
    deeper: dict[Path, int] = {}
    seen = {os.path.realpath(folder) for folder in folders}
    for entry in (entry for folder in folders for entry in _entries(folder)):
        path = Path(entry.path)
        if path in used:
            continue
        if is_litter(path):
            left.append(path)
        elif entry.is_dir():
            if count := sum(1 for _ in _images_below(path, seen)):
                deeper[path.parent] = deeper.get(path.parent, 0) + count
        else:
            (unused if path.suffix.lower() in IMAGE_ENDINGS else other).append(path)
    return Unread(tuple(left), tuple(unused), tuple(other), deeper)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _images_below(folder: Path, seen: set[str]) -> Iterator[Path]:
    """Yield the image files in a folder and all below it, but for the folders in `seen`, to which it adds these."""
    from segbench.images.files import IMAGE_ENDINGS, is_litter

    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not is_litter(Path(name))]
        paths = (Path(place, name) for name in files if not is_litter(Path(name)))
        yield from (path for path in paths if path.suffix.lower() in IMAGE_ENDINGS)
