"""The embedded default: real images that need no download."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from . import folder

if TYPE_CHECKING:
    from segbench import Dataset

ROOT = Path(__file__).parent / "nuclei"


def build() -> Dataset:
    """Return 60 microscopy images of cell nuclei: 36 train, 8 val, 16 test, 256x256 to 360x360, two classes.

    Grey fluorescence, histology in colour and grey bright field, all delivered with 3 channels; a subset of BBBC038
    (2018 Data Science Bowl) under CC0. nuclei/dataset.json says how it was chosen.
    """
    return folder.build(ROOT)
