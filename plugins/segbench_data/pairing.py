"""Which image belongs to which mask, and to which split."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from segbench import DataError

from .listing import Pair, read_lines, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

SPLITS = ("train", "val", "test")


def pair_all(images: Mapping[str, Path], masks: Mapping[str, Path], place: Path) -> list[Pair]:
    """Pair every image with the mask of the same stem; DataError if one of either is alone."""
    if not images:
        raise DataError(f"{place}: no images")
    for what, stems, others in (("image", images, masks), ("mask", masks, images)):
        alone = [str(stems[stem]) for stem in stems if stem not in others]
        if alone:
            other = "mask" if what == "image" else "image"
            raise DataError(
                f"{what} without {other}: {shortened(alone)}; add the {other} (same stem), or remove the {what}"
            )
    return [Pair(stem, images[stem], masks[stem]) for stem in images]


def pair_listed(
    stems: Iterable[str], images: Mapping[str, Path], masks: Mapping[str, Path], listed_in: Path
) -> list[Pair]:
    """Pair the images that a split file names; DataError for a stem without image or mask, or named twice."""
    pairs: dict[str, Pair] = {}
    for stem in stems:
        if stem in pairs:
            raise DataError(f"{listed_in} names {stem!r} twice; remove one of the lines")
        for what, files in (("image", images), ("mask", masks)):
            if stem not in files:
                raise DataError(f"{listed_in} names {stem!r}, which has no {what}; add the file or remove the line")
        pairs[stem] = Pair(stem, images[stem], masks[stem])
    return list(pairs.values())


def read_split_files(folder: Path, splits: Iterable[str], stems: Iterable[str]) -> dict[Path, list[str]]:
    """Return the stems that each split file (train.txt for "train") names, in its order; a split may have no file.

    A line is a stem, or a file name with its extension. Raises DataError if there is no such file or one is empty.
    """
    known = set(stems)
    candidates = [folder / f"{split}.txt" for split in splits]
    found: dict[Path, list[str]] = {}
    for file in candidates:
        if not file.is_file():
            continue
        lines = read_lines(file)
        if not lines:
            raise DataError(f"{file}: names no image; list one stem a line, or remove the file")
        found[file] = [line if line in known else _without_extension(line, known) for line in lines]
    if not found:
        names = ", ".join(file.name for file in candidates)
        raise DataError(f"{folder}: none of {names} is there; write them, one stem a line, or remove the folder")
    return found


def partition(stems: Iterable[str], fractions: Mapping[str, float], place: Path) -> dict[str, list[str]]:
    """Cut the stems into splits of the given fractions by the SHA-256 of each stem.

    The same stems give the same splits on every machine, in whatever order they come. Every split gets at least one
    image, the largest one what is left over. Raises DataError for wrong fractions and for fewer images than splits.
    """
    shares = _checked(fractions)
    ranked = sorted(stems, key=lambda stem: hashlib.sha256(stem.encode()).digest())
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


def _without_extension(line: str, known: set[str]) -> str:
    stem = line.rpartition(".")[0]
    return stem if stem in known else line


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
