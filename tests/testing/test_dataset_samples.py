from __future__ import annotations

import numpy as np
import pytest

from segbench import Dataset, Sample
from segbench.testing import dataset_samples
from segbench.testing.dataset_facts import spread
from segbench.testing.dataset_samples import image_contents


class Files:
    """Samples whose image is the number in their file."""

    def __init__(self, files):
        self.files = tuple((file,) for file in files)
        self.ids = tuple(file.name for file in files)

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        (file,) = self.files[index]
        image = np.full((2, 2), int(file.read_text()), np.uint8)
        return Sample(image, np.zeros((2, 2), np.uint8), file.name)


@pytest.fixture
def numbers(tmp_path):
    """Splits of files that hold numbers: 3 is in both, and is written in two ways in the second."""
    splits = {}
    for name, texts in (("train", ["1", "2", "3"]), ("test", ["3", "03", "4"])):
        files = [tmp_path / f"{name}-{place}" for place in range(len(texts))]
        for file, text in zip(files, texts, strict=True):
            file.write_text(text)
        splits[name] = Files(files)
    return Dataset(("a",), ((0, 0, 0),), splits, channels=1)


def shared(contents):
    return [contents["test"][one] for one in contents["train"].keys() & contents["test"].keys()]


def test_images_are_compared_pixel_by_pixel(numbers):
    contents = image_contents(numbers)
    assert len(contents["train"]) == 3
    assert len(shared(contents)) == 1


def test_of_many_images_those_of_equal_files_are_compared(numbers, monkeypatch):
    monkeypatch.setattr(dataset_samples, "MOST_IMAGES", 2)
    contents = image_contents(numbers)
    assert [list(contents[name].values()) for name in ("train", "test")] == [["train-2"], ["test-0"]]


@pytest.mark.parametrize(
    ("length", "most", "indices"), [(3, 16, [0, 1, 2]), (1, 16, [0]), (0, 16, []), (9, 3, [0, 4, 8])]
)
def test_samples_are_spread_over_a_split(length, most, indices):
    assert spread(range(length), most) == indices
