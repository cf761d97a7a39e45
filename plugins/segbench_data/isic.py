"""ISIC 2018, task 1: the boundaries of skin lesions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench import DataError, Dataset

from .downloads import downloading

if TYPE_CHECKING:
    from pathlib import Path

    from .listing import Pair

CLASSES = {"skin": (0, 0, 0), "lesion": (255, 255, 255)}
IGNORE_INDEX = 255
SKIN, LESION = 0, 255  # the values of a mask
# What the three parts are called in the names of folders and archives.
PARTS = {"train": "Training", "val": "Validation", "test": "Test"}
SOURCE = "https://isic-archive.s3.amazonaws.com/challenges/2018"
LICENCE = (
    "CC0 1.0 for tasks 1 and 2, by the challenge's data page; images of HAM10000 are CC BY-NC 4.0: see LICENSE.txt in "
    "the archives"
)
CITATION = (
    "N. Codella, V. Rotemberg, P. Tschandl, M. E. Celebi, S. Dusza, D. Gutman, B. Helba, A. Kalloo, K. Liopyris, "
    "M. Marchetti, H. Kittler, A. Halpern. Skin Lesion Analysis Toward Melanoma Detection 2018: A Challenge Hosted by "
    "the International Skin Imaging Collaboration (ISIC). arXiv:1902.03368, 2019.\n"
    "P. Tschandl, C. Rosendahl, H. Kittler. The HAM10000 dataset, a large collection of multi-source dermatoscopic "
    "images of common pigmented skin lesions. Scientific Data 5, 180161, 2018."
)
BY_HAND = (
    "fetch ISIC2018_Task1-2_Training_Input.zip (10.4 GB), ISIC2018_Task1_Training_GroundTruth.zip and the same two of "
    "Validation and Test from https://challenge.isic-archive.com/data/#2018, unpack them into one folder, and use that "
    "as root"
)


def build(root) -> Dataset:
    """Return ISIC 2018 task 1: skin or lesion, 2594 train, 100 val and 1000 test images of many sizes.

    `root` holds ISIC2018_Task1-2_Training_Input/ISIC_xxxxxxx.jpg and
    ISIC2018_Task1_Training_GroundTruth/ISIC_xxxxxxx_segmentation.png, and likewise Validation and Test; of these two
    any may be left out. The splits are the published ones. Raises DataError for a folder that is missing, and an image
    or mask without the other.
    """
    from .files import FilePairs
    from .labels import LabelTable, MaskReader

    read_mask = MaskReader(LabelTable({SKIN: 0, LESION: 1}, IGNORE_INDEX))
    return Dataset(
        classes=tuple(CLASSES),
        palette=tuple(CLASSES.values()),
        splits={split: FilePairs(pairs, read_mask) for split, pairs in _splits(root).items()},
        ignore_index=IGNORE_INDEX,
        licence=LICENCE,
        citation=CITATION,
    )


def download(root: Path) -> None:
    """Fetch and unpack the six archives, 13 GB in all; DataError says how to do it by hand."""
    with downloading("ISIC 2018", BY_HAND):
        from torchvision.datasets.utils import download_and_extract_archive

        for part in PARTS.values():
            for folder in _folders(root, part):
                if not folder.is_dir():
                    url = f"{SOURCE}/{folder.name}.zip"
                    download_and_extract_archive(url, str(root), remove_finished=True)


def _folders(root: Path, part: str) -> tuple[Path, Path]:
    return root / f"ISIC2018_Task1-2_{part}_Input", root / f"ISIC2018_Task1_{part}_GroundTruth"


def _splits(root: Path) -> dict[str, list[Pair]]:
    present = [part for part in PARTS.values() if any(folder.is_dir() for folder in _folders(root, part))]
    if PARTS["train"] not in present:
        images, masks = _folders(root, PARTS["train"])
        raise DataError(f"{root}: no {images.name}/ and {masks.name}/; {BY_HAND}")
    return {split: _pairs(*_folders(root, part)) for split, part in PARTS.items() if part in present}


def _pairs(images: Path, masks: Path) -> list[Pair]:
    from segbench.images import image_files

    from .listing import files_by_stem, require_folder
    from .pairing import pair_all

    require_folder(images)
    # LICENSE.txt and ATTRIBUTION.txt lie beside the images.
    found = {path.stem: path for path in image_files(images, (".jpg",))}
    return pair_all(found, files_by_stem(masks, (".png",), suffix="_segmentation"), images)
