"""DRIVE: blood vessels of the retina."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench import DataError, Dataset, Sample

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .files import FilePairs
    from .labels import MaskReader

CLASSES = {"background": (0, 0, 0), "vessel": (255, 255, 255)}
IGNORE_INDEX = 255
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
# Of the training images one in so many, by its number, is validated on.
VAL_EVERY = 5
LICENCE = "free of charge for research and education; no redistribution, no commercial use"
CITATION = (
    "J. Staal, M. D. Abràmoff, M. Niemeijer, M. A. Viergever, B. van Ginneken. Ridge-Based Vessel Segmentation in "
    "Color Images of the Retina. IEEE Transactions on Medical Imaging 23(4), 501-509, 2004."
)
HOW_TO_GET_IT = (
    "DRIVE needs a registration: join https://drive.grand-challenge.org/, fetch its training and test archives, unpack "
    "both into one folder, and use that (with training/ and test/ in it) as root"
)


def build(root) -> Dataset:
    """Return DRIVE: background or vessel, 16 train, 4 val and 20 test images of 565x584, ignored outside the retina.

    `root`, or a folder DRIVE/ in it, holds training/ and test/, each with images/21_training.tif,
    1st_manual/21_manual1.gif and mask/21_training_mask.gif, the field of view; pixels outside it are void, as in
    published scores. The published test images are the split `test` where their 1st_manual/ is there: the copies handed
    out today come without it, and a benchmark then says `evaluate: val`. DRIVE has no validation split: the training
    images whose number is divisible by 5 (25, 30, 35 and 40) are it. Raises DataError for a folder or file that is
    missing.
    """
    return Dataset(
        classes=tuple(CLASSES),
        palette=tuple(CLASSES.values()),
        splits=_splits(_published_folder(root)),
        ignore_index=IGNORE_INDEX,
        licence=LICENCE,
        citation=CITATION,
    )


def download(root: Path) -> None:
    """Raise DataError that says where to register for DRIVE."""
    raise DataError(HOW_TO_GET_IT)


class FieldOfView:
    """A split whose labels are void outside the field of view, which a third file of each sample shows in white."""

    def __init__(self, pairs: FilePairs, fields: Sequence[Path], read_mask: MaskReader):
        self.ids = pairs.ids
        self.files = tuple((*files, field) for files, field in zip(pairs.files, fields, strict=True))
        self._pairs, self._read_mask = pairs, read_mask

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        sample, file = self._pairs[index], self.files[index][2]
        field = self._read_mask(file)
        if field.shape != sample.labels.shape:
            raise DataError(
                f"{file} is {field.shape[1]}x{field.shape[0]} pixels, its image "
                f"{sample.labels.shape[1]}x{sample.labels.shape[0]}; give both one size"
            )
        labels = sample.labels.copy()
        labels[field == 0] = IGNORE_INDEX
        return sample._replace(labels=labels)


def is_validation(number: str) -> bool:
    """Tell whether the training image of that number is validated on.

    >>> is_validation("25"), is_validation("26")
    (True, False)
    """
    return int(number) % VAL_EVERY == 0


def _published_folder(root: Path) -> Path:
    for place in (root, root / "DRIVE"):
        if (place / "training").is_dir():
            return place
    raise DataError(f"{root}: no training/ with images/, 1st_manual/ and mask/; {HOW_TO_GET_IT}")


def _splits(folder: Path) -> dict[str, FieldOfView]:
    images = _images(folder / "training")
    val = {number: file for number, file in images.items() if is_validation(number)}
    train = {number: file for number, file in images.items() if number not in val}
    splits = {"train": _split(folder / "training", train), "val": _split(folder / "training", val)}
    if (folder / "test" / "1st_manual").is_dir():
        splits["test"] = _split(folder / "test", _images(folder / "test"))
    return splits


def _images(part: Path) -> dict[str, Path]:
    """Return the images by their numbers."""
    from .listing import files_by_stem

    return files_by_stem(part / "images", (".tif",), suffix=f"_{part.name}")


def _split(part: Path, images: dict[str, Path]) -> FieldOfView:
    from .files import FilePairs
    from .labels import LabelTable, MaskReader
    from .listing import Pair
    from .tables import colour_code

    manuals = _beside(images, part / "1st_manual", "_manual1")
    fields = _beside(images, part / "mask", f"_{part.name}_mask")
    read_mask = MaskReader(None, LabelTable({colour_code(BLACK): 0, colour_code(WHITE): 1}, IGNORE_INDEX, colours=True))
    pairs = [Pair(number, image, manuals[number]) for number, image in images.items()]
    return FieldOfView(FilePairs(pairs, read_mask), [fields[number] for number in images], read_mask)


def _beside(images: dict[str, Path], folder: Path, suffix: str) -> dict[str, Path]:
    """Return the file of each image in another folder, by its number; DataError if there is none."""
    from .listing import files_by_stem

    files = files_by_stem(folder, (".gif",), suffix=suffix)
    for number, image in images.items():
        if number not in files:
            raise DataError(f"{image} has no {folder / f'{number}{suffix}.gif'}; add the file, or remove the image")
    return files
