from __future__ import annotations

import numpy as np
from PIL import Image

from segbench_data.nuclei_subset import ROOT, build


def test_the_subset_is_small_and_whole():
    dataset = build()
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 36, "val": 8, "test": 16}
    assert dataset.classes == ("background", "nucleus")
    assert "CC0" in dataset.licence
    assert sum(path.stat().st_size for path in ROOT.rglob("*") if path.is_file()) < 6_000_000


def test_every_image_has_three_channels_and_both_classes():
    for split in build().splits.values():
        for index in range(len(split)):
            sample = split[index]
            assert sample.image.dtype == np.uint8
            assert sample.image.shape == (*sample.labels.shape, 3)
            assert np.unique(sample.labels).tolist() == [0, 1]
            assert 256 <= min(sample.labels.shape) <= max(sample.labels.shape) <= 360


def test_grey_and_coloured_images_occur_in_every_split():
    for split in build().splits.values():
        modes = set()
        for file, _ in split.files:
            with Image.open(file) as image:
                modes.add(image.mode)
        assert modes == {"L", "RGB"}


def test_every_image_is_in_the_split_it_has_in_the_full_dataset(shared_data):
    for name, split in build().splits.items():
        full = (shared_data / "nuclei_dsb2018" / "splits" / f"{name}.txt").read_text().split()
        assert set(split.ids) <= set(full)
