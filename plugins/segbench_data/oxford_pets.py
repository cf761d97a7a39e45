"""Oxford-IIIT Pet."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

from segbench import DataError, Dataset

from .downloads import downloading

if TYPE_CHECKING:
    from pathlib import Path

    from .labels import MaskReader
    from .listing import Pair

CLASSES = {"background": (0, 0, 0), "pet": (255, 160, 0), "border": (255, 255, 255)}
IGNORE_INDEX = 255
# The values of a trimap.
PET, BACKGROUND, BORDER = 1, 2, 3
VAL_SHARE = 10
LICENCE = "CC BY-SA 4.0"
CITATION = "O. M. Parkhi, A. Vedaldi, A. Zisserman, C. V. Jawahar. Cats and Dogs. CVPR 2012."
BY_HAND = (
    "fetch images.tar.gz and annotations.tar.gz from https://www.robots.ox.ac.uk/~vgg/data/pets/, unpack both into one "
    "folder, and use that as root"
)


def build(root, *, border: Literal["ignore", "foreground", "class"] = "ignore") -> Dataset:
    """Return Oxford-IIIT Pet: pet or background, 3680 images in train and val, 3669 in test.

    `root` holds images/ and annotations/ (trimaps/, trainval.txt, test.txt), or a folder oxford-iiit-pet/ that does.
    The test split is the published one; of trainval about every tenth image, by a hash of its name, is val.

    - `border`: what the trimaps' narrow band between pet and background (value 3) becomes: void, pet, or a third class.

    Raises DataError for a folder or a listed file that is missing.
    """
    from .files import FilePairs

    read_mask = _mask_reader(border)
    pairs = _pairs(_annotated_folder(root))
    names = list(CLASSES) if border == "class" else list(CLASSES)[:2]
    return Dataset(
        classes=names,
        palette=[CLASSES[name] for name in names],
        splits={split: FilePairs(listed, read_mask) for split, listed in pairs.items()},
        ignore_index=IGNORE_INDEX,
        licence=LICENCE,
        citation=CITATION,
    )


def download(root: Path) -> None:
    """Fetch and unpack the 0.8 GB of Oxford-IIIT Pet through torchvision; DataError says how to do it by hand."""
    with downloading("Oxford-IIIT Pet", BY_HAND):
        from torchvision.datasets import OxfordIIITPet

        OxfordIIITPet(root, download=True)


def is_validation(stem: str) -> bool:
    """Tell whether an image of trainval belongs to val: one in ten, by the SHA-256 of its name."""
    return int.from_bytes(hashlib.sha256(stem.encode()).digest()) % VAL_SHARE == 0


def _annotated_folder(root: Path) -> Path:
    for place in (root, root / "oxford-iiit-pet"):
        if (place / "annotations").is_dir():
            return place
    raise DataError(f"{root}: no images/ and annotations/ with trimaps/, trainval.txt and test.txt; {BY_HAND}")


def _mask_reader(border: str) -> MaskReader:
    from .labels import LabelTable, MaskReader

    borders = {"ignore": IGNORE_INDEX, "foreground": 1, "class": 2}
    return MaskReader(LabelTable({BACKGROUND: 0, PET: 1, BORDER: borders[border]}, IGNORE_INDEX))


def _pairs(folder: Path) -> dict[str, list[Pair]]:
    from segbench.images import IMAGE_ENDINGS, MASK_ENDINGS

    from .listing import files_by_stem, read_lines
    from .pairing import pair_listed

    images = files_by_stem(folder / "images", IMAGE_ENDINGS)
    masks = files_by_stem(folder / "annotations" / "trimaps", MASK_ENDINGS)
    trainval, test = folder / "annotations" / "trainval.txt", folder / "annotations" / "test.txt"
    # A line is: name, breed, species, number of the breed within the species.
    stems = {
        file: [line.split()[0] for line in read_lines(file) if not line.startswith("#")] for file in (trainval, test)
    }
    parts = {
        "train": (trainval, [stem for stem in stems[trainval] if not is_validation(stem)]),
        "val": (trainval, [stem for stem in stems[trainval] if is_validation(stem)]),
        "test": (test, stems[test]),
    }
    return {split: pair_listed(listed, images, masks, file) for split, (file, listed) in parts.items()}
