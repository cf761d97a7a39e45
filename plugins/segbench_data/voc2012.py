"""PASCAL VOC 2012, segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench import DataError, Dataset

from .description import default_palette
from .downloads import downloading

if TYPE_CHECKING:
    from pathlib import Path

    from .listing import Pair

CLASSES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
IGNORE_INDEX = 255
LICENCE = "no licence stated; the images come from Flickr under its terms of use"
CITATION = (
    "M. Everingham, L. Van Gool, C. K. I. Williams, J. Winn, A. Zisserman. The PASCAL Visual Object Classes Challenge "
    "2012 (VOC2012) Results."
)
BY_HAND = (
    "fetch VOCtrainval_11-May-2012.tar from http://host.robots.ox.ac.uk/pascal/VOC/voc2012/, unpack it, "
    "and use the folder that holds VOCdevkit/ as root"
)


def build(root) -> Dataset:
    """Return PASCAL VOC 2012: 21 classes, object borders ignored, 1464 train and 1449 val images.

    `root` holds VOCdevkit/VOC2012/, VOC2012/, or is that folder: ImageSets/Segmentation/{train,val}.txt, JPEGImages/,
    SegmentationClass/. The labels of the test images are not public, so there is no split `test`: a benchmark on
    VOC 2012 says `evaluate: val`, as papers do. Raises DataError for a folder or a listed file that is missing.
    """
    from .files import FilePairs
    from .labels import MaskReader, class_ids

    read_mask = MaskReader(class_ids(len(CLASSES), IGNORE_INDEX))
    pairs = _pairs(_year_folder(root))
    return Dataset(
        classes=CLASSES,
        palette=default_palette(len(CLASSES)),
        splits={split: FilePairs(listed, read_mask) for split, listed in pairs.items()},
        ignore_index=IGNORE_INDEX,
        licence=LICENCE,
        citation=CITATION,
    )


def download(root: Path) -> None:
    """Fetch and unpack the 2 GB of VOC 2012 through torchvision; DataError says how to do it by hand."""
    with downloading("PASCAL VOC 2012", BY_HAND):
        from torchvision.datasets import VOCSegmentation

        VOCSegmentation(root, year="2012", image_set="train", download=True)


def _year_folder(root: Path) -> Path:
    for place in (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012"):
        if (place / "SegmentationClass").is_dir():
            return place
    raise DataError(
        f"{root}: no VOCdevkit/VOC2012/ with ImageSets/Segmentation/, JPEGImages/ and SegmentationClass/; {BY_HAND}"
    )


def _pairs(folder: Path) -> dict[str, list[Pair]]:
    from segbench.images import IMAGE_ENDINGS, MASK_ENDINGS

    from .listing import files_by_stem
    from .pairing import pair_listed, read_split_files

    images = files_by_stem(folder / "JPEGImages", IMAGE_ENDINGS)
    masks = files_by_stem(folder / "SegmentationClass", MASK_ENDINGS)
    listed = read_split_files(folder / "ImageSets" / "Segmentation", ("train", "val"), images, masks)
    return {file.stem: pair_listed(stems, images, masks, file) for file, stems in listed.items()}
