"""Datasets that several tests of the data path use."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from segbench import Dataset, Sample

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class StemSplit:
    """A split of the layout images/STEM.jpg, masks/STEM.png, splits/NAME.txt."""

    def __init__(self, root: Path, name: str) -> None:
        self.ids = (root / "splits" / f"{name}.txt").read_text().split()
        self.files = [(root / "images" / f"{stem}.jpg", root / "masks" / f"{stem}.png") for stem in self.ids]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        image, mask = map(pixels_of, self.files[index])
        return Sample(image, mask, self.ids[index])


def pixels_of(path: Path) -> NDArray[np.uint8]:
    """Decode an image file."""
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def camvid(shared_data: Path) -> Dataset:
    """The real CamVid."""
    root = shared_data / "camvid"
    described = json.loads((root / "dataset.json").read_text())
    return Dataset(
        classes=[entry["name"] for entry in described["classes"]],
        palette=[tuple(entry["rgb"]) for entry in described["classes"]],
        splits={name: StemSplit(root, name) for name in ("train", "val", "test")},
        ignore_index=described["ignore_index"],
    )
