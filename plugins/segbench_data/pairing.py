"""Which image belongs to which mask, and to which split."""

from __future__ import annotations

import hashlib
import os
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from segbench import DataError
from segbench.contract import SPLITS
from segbench.images.files import image_files, same_name

from .listing import Pair, read_lines, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    # A stem and its file by what a split file may call it.
    Known = Mapping[str, tuple[str, Path]]


def pair_all(images: Mapping[str, Path], masks: Mapping[str, Path], place: Path) -> list[Pair]:
    """Pair every image with the mask of the same stem; DataError if one of either is alone."""
    if not images:
        deeper = len(image_files(place, deep=True)) if place.is_dir() else 0
        raise DataError(
            f"{place}: no images" + (f"; {deeper} lie in folders below it, which are not read" if deeper else "")
        )
    for what, stems, others in (("image", images, masks), ("mask", masks, images)):
        there = {same_name(stem) for stem in others}
        alone = [str(stems[stem]) for stem in stems if same_name(stem) not in there]
        if alone:
            other = "mask" if what == "image" else "image"
            raise DataError(
                f"{what} without {other}: {shortened(alone)}; add the {other} (same stem), or remove the {what}"
            )
    mask_of = _by_name(masks)
    return [Pair(stem, images[stem], mask_of[same_name(stem)]) for stem in images]


def pair_listed(
    stems: Iterable[str], images: Mapping[str, Path], masks: Mapping[str, Path], listed_in: Path
) -> list[Pair]:
    """Pair the images that a split file names; DataError for a stem without image or mask, or named twice."""
    pairs: dict[str, Pair] = {}
    mask_of = _by_name(masks)
    for stem in stems:
        if stem in pairs:
            raise DataError(f"{listed_in} names {stem!r} twice; remove one of the lines")
        for what, found in (("image", stem in images), ("mask", same_name(stem) in mask_of)):
            if not found:
                raise DataError(
                    f"{listed_in} names {stem!r}, which has no {what}; add the file or remove the line. A line is a "
                    "stem, a file name, or the image's path below the dataset's folder, which the mask's may follow"
                )
        pairs[stem] = Pair(stem, images[stem], mask_of[same_name(stem)])
    return list(pairs.values())


def read_split_files(
    folder: Path, splits: Iterable[str], images: Mapping[str, Path], masks: Mapping[str, Path]
) -> dict[Path, list[str]]:
    """Return the stems that each split file (train.txt for "train") names, in its order; a split may have no file.

    A line is a stem, a file name, or the path of an image and perhaps of its mask. Raises DataError if there is no such
    file, one is empty, or a line names the mask of another image.
    """
    candidates = [folder / f"{split}.txt" for split in splits]
    lines = {file: read_lines(file) for file in candidates if file.is_file()}
    if not lines:
        names = ", ".join(file.name for file in candidates)
        raise DataError(f"{folder}: none of {names} is there; write them, one stem a line, or remove the folder")
    for file in lines:
        if not lines[file]:
            raise DataError(f"{file}: names no image; list one stem a line, or remove the file")
    known, known_masks = _by_any_name(images), _by_any_name(masks)
    return {file: [_stem(line, known, known_masks, file) for line in lines[file]] for file in lines}


def _by_name(files: Mapping[str, Path]) -> dict[str, Path]:
    return {same_name(stem): path for stem, path in files.items()}


def _by_any_name(files: Mapping[str, Path]) -> Known:
    """Return each stem and its file by the stem, and by the file's name without its extension."""
    return {same_name(path.stem): (stem, path) for stem, path in files.items()} | {
        same_name(stem): (stem, path) for stem, path in files.items()
    }


def _stem(line: str, known: Known, known_masks: Known, file: Path) -> str:
    """Return the stem that a line names; the line itself if it names none."""
    whole = _find(line, known)
    if whole is not None:
        return whole
    image, _, mask = line.replace(",", " ").replace("\t", " ").partition(" ")
    stem, mask_stem = _find(image, known), _find(mask, known_masks)
    if stem is None or mask_stem is None:
        return line
    if same_name(stem) != same_name(mask_stem):
        raise DataError(f"{file}: {line!r} names the mask of another image; image and mask have one stem here")
    return stem


def _find(text: str, known: Known) -> str | None:
    """Return the stem that a text names by itself, by a file name, or by a path with the right folders."""
    path = PurePosixPath(same_name(text.strip().replace("\\", "/").lstrip("/")))
    for written in (path, path.with_suffix("")) if path.name else ():
        stem, file = known.get(written.name, (None, None))
        if file is not None and f"/{same_name(file.with_suffix('').as_posix())}".endswith(f"/{written}"):
            return stem
        if file is not None and len(written.parts) == 1:
            return stem
    return None


def partition(stems: Iterable[str], fractions: Mapping[str, float], place: Path) -> dict[str, list[str]]:
    """Cut the stems into splits of the given fractions by the SHA-256 of each stem.

    The same stems give the same splits on every machine, in whatever order they come. Every split gets at least one
    image, the largest one what is left over. Raises DataError for wrong fractions and for fewer images than splits.
    """
    shares = _checked(fractions)
    ranked = sorted(stems, key=lambda stem: hashlib.sha256(os.fsencode(stem)).digest())
    if len(ranked) < len(shares):
        held = "one image" if len(ranked) == 1 else f"{len(ranked)} images"
        raise DataError(
            f"{place}: {held} cannot be split into {', '.join(shares)}; add images, or give other fractions"
        )
    splits: dict[str, list[str]] = {}
    start = 0
    for split, count in _counts(len(ranked), shares).items():
        splits[split] = sorted(ranked[start : start + count])
        start += count
    return splits


def _checked(fractions: Mapping[str, float]) -> dict[str, float]:
    unknown = [name for name in fractions if name not in SPLITS]
    if unknown:
        raise DataError(f"fractions: unknown split {unknown[0]!r}; allowed are {', '.join(SPLITS)}")
    total = sum(fractions.values())
    if min(fractions.values(), default=0) < 0 or abs(total - 1) > 1e-6:
        raise DataError(f"fractions: {dict(fractions)} add up to {total:g}; give shares from 0 to 1 that add up to 1")
    return {split: fractions[split] for split in SPLITS if fractions.get(split)}


def _counts(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    counts = {split: max(1, int(total * share)) for split, share in shares.items()}
    largest = max(shares, key=lambda split: shares[split])
    counts[largest] += total - sum(counts.values())
    return counts
