"""First-party components: data/."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench import Component, hookimpl

from . import camvid, cityscapes, drive, folder, isic, nuclei_subset, oxford_pets, shapes, voc2012

if TYPE_CHECKING:
    from collections.abc import Iterator


@hookimpl
def segbench_datasets() -> Iterator[Component]:
    """Yield the datasets."""
    yield Component("nuclei", nuclei_subset.build, "60 microscopy images of cell nuclei, shipped with segbench (CC0)")
    yield Component("shapes", shapes.build, "Synthetic shapes of any size, number of classes and channels")
    yield Component("folder", folder.build, "Any dataset of image and mask files in folders")
    yield Component("camvid", camvid.build, "CamVid street scenes, 11 classes", download=camvid.download)
    yield Component("voc2012", voc2012.build, "PASCAL VOC 2012, 21 classes", download=voc2012.download)
    yield Component(
        "oxford_pets", oxford_pets.build, "Oxford-IIIT Pet, pet or background", download=oxford_pets.download
    )
    yield Component("isic", isic.build, "ISIC 2018 task 1, skin lesions", download=isic.download)
    yield Component("drive", drive.build, "DRIVE, blood vessels of the retina", download=drive.download)
    yield Component("cityscapes", cityscapes.build, "Cityscapes, 19 classes", download=cityscapes.download)
