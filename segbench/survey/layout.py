"""Where the images and masks of a folder lie."""

from __future__ import annotations

import os
import re
from bisect import bisect
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import DataError
from segbench.images.files import IMAGE_ENDINGS, MASK_ENDINGS, image_files, is_litter, same_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

SPLIT = "{split}"
# Folders are looked into so deep.
MOST_DEPTH = 4
# So many masks are compared with images to learn by which endings they pair.
MOST_COMPARED = 200

# What folders and endings of masks are called; of several with as many masks the earlier word counts.
MASK_WORDS = (
    *("mask", "masks", "segmentationclass", "label", "labels", "annotation", "annotations", "annot", "annots"),
    *("gt", "groundtruth", "truth", "target", "targets", "seg", "segmentation", "segmentations", "labelids", "trimaps"),
)
# Other forms of the same masks: colours to look at, instances.
SECOND_CHOICE = (
    *("segmentationobject", "object", "instance", "instances"),
    *("color", "colour", "colored", "overlay", "vis"),
)
_SPLIT_NAME = re.compile(
    r"(?P<before>|.*[_-])(?:training|train|validation|valid|val|testing|test)"
    rf"(?P<after>|[_-].*|[0-9]{{4}}|{'|'.join(MASK_WORDS)})"
)
_SEPARATORS = "_-. "
# A mask of Label Studio, which says of which task it is, not of which image.
MASK_OF_TASK = re.compile(r"task-(\d+)-annotation-(\d+)-by-[^-]*-(.+)-\d+\.png")


@dataclass(frozen=True)
class Layout:
    """Where images and masks lie, as options of `data/folder`; `splits` is the folder of split files, if there is one.

    In folders `{split}` stands for the name of a split.
    """

    images: str
    masks: str
    image_suffix: str = ""
    mask_suffix: str = ""
    splits: str | None = None

    @property
    def options(self) -> dict[str, str]:
        """The options of `data/folder` that differ from its defaults."""
        usual = {"images": "images", "masks": "masks", "image_suffix": "", "mask_suffix": "", "splits": "splits"}
        beside = {"masks": self.images} if self.mask_suffix else {}
        given = {**self.__dict__, "splits": self.splits or "splits"}
        return {name: value for name, value in given.items() if value != {**usual, **beside}[name]}

    def describe(self) -> str:
        """Say in words where images and masks lie."""
        suffixes = [f"ending in {suffix}" if suffix else "" for suffix in (self.image_suffix, self.mask_suffix)]
        places = ["this folder" if place == "." else f"{place}/" for place in (self.images, self.masks)]
        images, masks = (
            f"{what} in {' '.join(part for part in parts if part)}"
            for what, parts in zip(("images", "masks"), zip(places, suffixes, strict=True), strict=True)
        )
        return f"{images}, {masks}"


class _Candidate(NamedTuple):
    """A layout with the number of its pairs; the smaller `rank`, the more its masks are called masks."""

    pairs: int
    rank: int
    layout: Layout


def find_layout(root: Path, images: str | None = None, masks: str | None = None) -> Layout:
    """Return where images and masks lie below a folder; DataError says what there is instead.

    `images` and `masks` name their folders, which are then not guessed.
    """
    if not root.is_dir():
        raise DataError(f"{root} is no folder; give the folder that holds images and masks")
    folders = _find_folders(root)
    chosen = [list(folders) if name is None else [split_pattern(name.rstrip("/"))[0]] for name in (images, masks)]
    for name in (name for names in chosen for name in names if name not in folders):
        raise DataError(f"{root}: no image files in {name}/; there are some in {', '.join(folders) or 'no folder'}")
    pairs = ((one, other) for one in chosen[0] for other in chosen[1])
    candidates = [found for pair in pairs if (found := _pair_up(folders, *pair, named=masks is not None))]
    if not candidates:
        raise DataError(_explain_nothing(root, folders))
    best = max(candidates, key=lambda one: (one.pairs, -one.rank)).layout
    return Layout(**{**best.__dict__, "splits": None if SPLIT in best.images else find_split_files(root)})


def find_split_files(root: Path) -> str | None:
    """Return the folder below `root` that holds a train.txt, or None."""
    places = (place for place, _ in _walk(root) if (place / "train.txt").is_file())
    found = next(places, None)
    return None if found is None else found.relative_to(root).as_posix()


def _walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    for place, folders, files in os.walk(root):
        folder = Path(place)
        folders[:] = sorted(name for name in folders if not is_litter(folder / name))
        if len(folder.relative_to(root).parts) >= MOST_DEPTH:
            folders.clear()
        yield folder, files


def _find_folders(root: Path) -> dict[str, dict[str, list[Path]]]:
    """Return the image files by folder below root, those of splits under one pattern by the name of the split."""
    found: dict[str, dict[str, list[Path]]] = {}
    for folder, _ in _walk(root):
        if files := [path for path in image_files(folder) if not MASK_OF_TASK.fullmatch(path.name)]:
            pattern, split = split_pattern(folder.relative_to(root).as_posix())
            found.setdefault(pattern, {})[split] = files
    return found


def split_pattern(path: str) -> tuple[str, str]:
    """Return a path with `{split}` for the name of a split in it, and that name; the path and "" where there is none.

    >>> split_pattern("data/Train/images"), split_pattern("valid_masks"), split_pattern("val2017"), split_pattern("a")
    (('data/{split}/images', 'Train'), ('{split}_masks', 'valid'), ('{split}2017', 'val'), ('a', ''))
    """
    parts = path.split("/")
    for place, part in enumerate(parts):
        if found := _SPLIT_NAME.fullmatch(part.lower()):
            before, after = part[: found.end("before")], part[found.start("after") :]
            name = part[len(before) : len(part) - len(after)]
            return "/".join([*parts[:place], f"{before}{SPLIT}{after}", *parts[place + 1 :]]), name
    return path, ""


def rank_as_mask(name: str) -> int | None:
    """Return how much a folder or an ending is called one of masks, less being more; None if it is not.

    >>> rank_as_mask("train/masks"), rank_as_mask("SegmentationClass"), rank_as_mask("images")
    (1, 2, None)
    """
    words = [word for part in re.split(r"[/_\-. ]", name.lower()) for word in (part, part.removeprefix(SPLIT))]
    ranks = [MASK_WORDS.index(word) for word in words if word in MASK_WORDS]
    second = any(word in SECOND_CHOICE for word in words)
    return min(ranks, default=len(MASK_WORDS)) + 100 * second if ranks or second else None


def _pair_up(
    folders: Mapping[str, Mapping[str, Sequence[Path]]], images: str, masks: str, *, named: bool
) -> _Candidate | None:
    """Return the layout that takes images and masks out of two folders, which may be one; None if they do not pair.

    Unless the folder of masks was `named`, it must be called one of masks, or their ending where they lie with images.
    """
    splits = [split for split in folders[images] if split in folders[masks]]
    are_masks = named or rank_as_mask(masks) is not None
    if images != masks and (rank_as_mask(images) is not None or not splits or not are_masks):
        return None
    image_stems = _stems(folders[images], splits, IMAGE_ENDINGS)
    mask_stems = _stems(folders[masks], splits, MASK_ENDINGS)
    pairs, image_suffix, mask_suffix = find_suffixes(image_stems, mask_stems, apart=images != masks)
    rank = rank_as_mask(f"{mask_suffix}" if images == masks else f"{masks}/{mask_suffix}")
    if not pairs or (rank is None and not named):
        return None
    names = (images, masks) if len(splits) > 1 else (images.replace(SPLIT, splits[0]), masks.replace(SPLIT, splits[0]))
    return _Candidate(pairs, rank or 0, Layout(*names, image_suffix, mask_suffix))


def _stems(folders: Mapping[str, Sequence[Path]], splits: Iterable[str], endings: tuple[str, ...]) -> list[str]:
    files = (path for split in splits for path in folders[split] if path.suffix.lower() in endings)
    return sorted({same_name(path.stem) for path in files})


def find_suffixes(images: Sequence[str], masks: Sequence[str], *, apart: bool) -> tuple[int, str, str]:
    """Return the number of stems that pair, and what follows the common stem in images and in masks.

    Both are sorted. Where they lie in one folder, not `apart`, the mask's suffix is not empty.

    >>> find_suffixes(["a_rgb", "b_rgb"], ["a_gt", "b_gt"], apart=True)
    (2, '_rgb', '_gt')
    """
    votes: Counter[tuple[str, str]] = Counter({("", ""): 1})
    for mask in masks[:: max(1, len(masks) // MOST_COMPARED)]:
        place = bisect(images, mask)
        votes.update(_rests(image, mask) for image in images[max(0, place - 2) : place + 2] if image != mask)
    best = (0, "", "")
    for (image_suffix, mask_suffix), _ in votes.most_common(20):
        if not (apart or mask_suffix):
            continue
        stems = {image.removesuffix(image_suffix) for image in images if image.endswith(image_suffix)}
        paired = stems & {mask.removesuffix(mask_suffix) for mask in masks if mask.endswith(mask_suffix)}
        best = max(best, (len(paired), image_suffix, mask_suffix), key=lambda found: found[0])
    return best


def _rests(image: str, mask: str) -> tuple[str, str]:
    """Return what follows the beginning that two stems have in common, each from a separator or a word of masks on."""
    differing = (place for place, (one, other) in enumerate(zip(image, mask, strict=False)) if one != other)
    length = next(differing, min(len(image), len(mask)))
    while length and not all(_begins_suffix(rest) for rest in (image[length:], mask[length:])):
        length -= 1
    return (image[length:], mask[length:]) if length else ("", "")


def _begins_suffix(rest: str) -> bool:
    return not rest or rest[0] in _SEPARATORS or rest.lower() in MASK_WORDS


def _explain_nothing(root: Path, folders: Mapping[str, Mapping[str, Sequence[Path]]]) -> str:
    counts = {name: sum(map(len, files.values())) for name, files in folders.items()}
    listed = ", ".join(f"{count} in {'it' if name == '.' else f'{name}/'}" for name, count in counts.items())
    if not counts:
        return f"{root}: no image files ({', '.join(IMAGE_ENDINGS)}); give the folder that holds images and masks"
    where = f"{root}: image files are there ({listed}), but"
    as_masks = [name for name in counts if rank_as_mask(name) is not None]
    if len(as_masks) == len(counts):
        return f"{where} all seem to be masks; put the images into images/, each with the stem of its mask"
    masks = (path for name in as_masks for files in folders[name].values() for path in files)
    if as_masks and not any(path.suffix.lower() in MASK_ENDINGS for path in masks):
        return (
            f"{where} those in {' and '.join(f'{name}/' for name in as_masks)} are no PNG, BMP or TIFF, as masks must "
            "be: JPEG changes their values; save them as PNG where they were made"
        )
    if as_masks:
        return (
            f"{where} no image has a mask of its name; a mask has the stem of its image (a.jpg, a.png), or "
            "the stem and one ending for all (a_mask.png), and is PNG, BMP or TIFF"
        )
    return (
        f"{where} no masks: put masks of the same stems as PNG into masks/, or beside the images as STEM_mask.png; if "
        "they are there under another name, say --images DIR --masks DIR"
    )
