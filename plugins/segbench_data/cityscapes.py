"""Cityscapes, fine annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench import DataError, Dataset

from .recordings import stretch

if TYPE_CHECKING:
    from pathlib import Path

    from .listing import Pair

# Train id by place; labelId and colour as in the published label definition.
CLASSES = {
    "road": (7, (128, 64, 128)),
    "sidewalk": (8, (244, 35, 232)),
    "building": (11, (70, 70, 70)),
    "wall": (12, (102, 102, 156)),
    "fence": (13, (190, 153, 153)),
    "pole": (17, (153, 153, 153)),
    "traffic light": (19, (250, 170, 30)),
    "traffic sign": (20, (220, 220, 0)),
    "vegetation": (21, (107, 142, 35)),
    "terrain": (22, (152, 251, 152)),
    "sky": (23, (70, 130, 180)),
    "person": (24, (220, 20, 60)),
    "rider": (25, (255, 0, 0)),
    "car": (26, (0, 0, 142)),
    "truck": (27, (0, 0, 70)),
    "bus": (28, (0, 60, 100)),
    "train": (31, (0, 80, 100)),
    "motorcycle": (32, (0, 0, 230)),
    "bicycle": (33, (119, 11, 32)),
}
IGNORE_INDEX = 255
FRAMES_A_SECOND = 17
IMAGE_SUFFIX, MASK_SUFFIX = "_leftImg8bit", "_gtFine_labelIds"
LICENCE = "Cityscapes licence: non-commercial research and teaching, no redistribution"
CITATION = (
    "M. Cordts, M. Omran, S. Ramos, T. Rehfeld, M. Enzweiler, R. Benenson, U. Franke, S. Roth, B. Schiele. "
    "The Cityscapes Dataset for Semantic Urban Scene Understanding. CVPR 2016."
)
HOW_TO_GET_IT = (
    "Cityscapes needs a registration: sign up at https://www.cityscapes-dataset.com/, fetch "
    "leftImg8bit_trainvaltest.zip (11 GB) and gtFine_trainvaltest.zip (241 MB), unpack both into one folder, and use "
    "that as root"
)


def build(root) -> Dataset:
    """Return Cityscapes: 19 classes, the other labels ignored, 2975 train and 500 val images of 2048x1024.

    `root` holds leftImg8bit/{train,val}/CITY/*_leftImg8bit.png and gtFine/{train,val}/CITY/*_gtFine_labelIds.png. The
    labels of the test images are not public, so there is no split `test`: a benchmark on Cityscapes says
    `evaluate: val`, as papers do. Frames within 20 s of one recording, a city's numbered sequence, form a cluster;
    whole cities would be three in val, too few to draw from. Raises DataError for a folder that is missing and an image
    without mask.
    """
    from .files import FilePairs
    from .labels import LabelTable, MaskReader

    ids = {label_id: train_id for train_id, (label_id, _) in enumerate(CLASSES.values())}
    read_mask = MaskReader(LabelTable(ids, IGNORE_INDEX, ignore_unlisted=True))
    return Dataset(
        classes=tuple(CLASSES),
        palette=tuple(colour for _, colour in CLASSES.values()),
        splits={split: FilePairs(pairs, read_mask) for split, pairs in _splits(root).items()},
        ignore_index=IGNORE_INDEX,
        licence=LICENCE,
        citation=CITATION,
        cluster=_cluster,
    )


def download(root: Path) -> None:
    """Raise DataError that says where to register for Cityscapes."""
    raise DataError(HOW_TO_GET_IT)


def _cluster(frame: str) -> str:
    return stretch(frame, FRAMES_A_SECOND)


def _splits(root: Path) -> dict[str, list[Pair]]:
    present = [split for split in ("train", "val") if (root / "leftImg8bit" / split).is_dir()]
    if not present or not (root / "gtFine").is_dir():
        raise DataError(f"{root}: no leftImg8bit/train/ and gtFine/; {HOW_TO_GET_IT}")
    return {split: _pairs(root / "leftImg8bit" / split, root / "gtFine" / split) for split in present}


def _pairs(images: Path, masks: Path) -> list[Pair]:
    from .listing import files_by_stem, subfolders
    from .pairing import pair_all

    pairs: list[Pair] = []
    for city in subfolders(images):
        pairs += pair_all(
            files_by_stem(city, (".png",), suffix=IMAGE_SUFFIX),
            files_by_stem(masks / city.name, (".png",), suffix=MASK_SUFFIX),
            city,
        )
    return pairs
