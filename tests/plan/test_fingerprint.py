from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from segbench import DataError, Dataset, Sample
from segbench.plan.fingerprint import fingerprint

CLASSES = ["sky", "road"]
PALETTE = [(0, 0, 0), (255, 255, 255)]


class FileSplit:
    """A split of files that nobody may decode."""

    def __init__(self, files):
        self.files = files
        self.ids = [paths[0].stem for paths in files]

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        raise AssertionError("decoded")


def dataset_of_files(root):
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
        for name in ("a", "b"):
            (root / folder / f"{name}.png").write_bytes(f"{folder} {name}".encode())
    return reopened(root)


def reopened(root):
    names = sorted(path.stem for path in (root / "images").iterdir())
    files = [(root / "images" / f"{name}.png", root / "masks" / f"{name}.png") for name in names]
    return Dataset(CLASSES, PALETTE, {"train": FileSplit(files[:1]), "test": FileSplit(files[1:])})


def dataset_in_memory(image=7, label=1, sample="a", dtype=np.uint8):
    arrays = np.full((2, 3, 3), image, dtype), np.full((2, 3), label, np.uint8)
    return Dataset(CLASSES, PALETTE, {"train": [Sample(*arrays, sample)]})


def test_renaming_the_folder_changes_nothing(tmp_path):
    before = fingerprint(dataset_of_files(tmp_path / "first"))
    (tmp_path / "first").rename(tmp_path / "second")
    assert fingerprint(reopened(tmp_path / "second")) == before


def test_touching_a_file_changes_nothing(tmp_path):
    dataset = dataset_of_files(tmp_path)
    before = fingerprint(dataset)
    os.utime(tmp_path / "images" / "a.png", (1, 1))
    assert fingerprint(dataset) == before


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_another_content_of_the_same_size_changes_it(tmp_path, folder):
    dataset = dataset_of_files(tmp_path)
    before = fingerprint(dataset)
    path = tmp_path / folder / "b.png"
    path.write_bytes(path.read_bytes()[::-1])
    assert fingerprint(dataset) != before


def test_another_id_changes_it(tmp_path):
    dataset = dataset_of_files(tmp_path)
    before = fingerprint(dataset)
    dataset.splits["train"].ids = ["c"]
    assert fingerprint(dataset) != before


def test_another_order_changes_it(tmp_path):
    files = [paths for split in dataset_of_files(tmp_path).splits.values() for paths in split.files]
    forward = Dataset(CLASSES, PALETTE, {"train": FileSplit(files)})
    backward = Dataset(CLASSES, PALETTE, {"train": FileSplit(files[::-1])})
    assert fingerprint(forward) != fingerprint(backward)


def test_an_image_that_moves_to_another_split_changes_it(tmp_path):
    dataset = dataset_of_files(tmp_path)
    moved = replace(dataset, splits={"train": dataset.splits["test"], "test": dataset.splits["train"]})
    assert fingerprint(moved) != fingerprint(dataset)


@pytest.mark.parametrize(
    "change",
    [
        {"classes": ["sky", "street"]},
        {"classes": ["road", "sky"]},
        {"palette": [(0, 0, 0), (255, 255, 254)]},
        {"ignore_index": 254},
        {"channels": 1},
    ],
)
def test_another_definition_changes_it(tmp_path, change):
    dataset = dataset_of_files(tmp_path)
    assert fingerprint(replace(dataset, **change)) != fingerprint(dataset)


@pytest.mark.parametrize("change", [{"licence": "MIT"}, {"citation": "Somebody"}])
def test_licence_and_citation_do_not_count(tmp_path, change):
    dataset = dataset_of_files(tmp_path)
    assert fingerprint(replace(dataset, **change)) == fingerprint(dataset)


def test_a_missing_file_is_a_data_error_with_its_name(tmp_path):
    dataset = dataset_of_files(tmp_path)
    (tmp_path / "masks" / "b.png").unlink()
    with pytest.raises(DataError, match=r"split 'test' needs .*masks/b\.png.*No such file"):
        fingerprint(dataset)


def test_samples_without_files_count_by_content():
    assert fingerprint(dataset_in_memory()) == fingerprint(dataset_in_memory())


@pytest.mark.parametrize("change", [{"image": 8}, {"label": 0}, {"sample": "b"}, {"dtype": np.uint16}])
def test_another_sample_without_files_changes_it(change):
    assert fingerprint(dataset_in_memory(**change)) != fingerprint(dataset_in_memory())


def test_an_array_in_another_memory_layout_changes_nothing():
    image = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    labels = np.zeros((2, 3), np.uint8)
    plain, strided = (
        Dataset(CLASSES, PALETTE, {"train": [Sample(array, labels, "a")]})
        for array in (image, np.asfortranarray(image))
    )
    assert fingerprint(plain) == fingerprint(strided)


def test_files_need_neither_numpy_nor_torch(tmp_path):
    (tmp_path / "a.png").write_bytes(b"image")
    program = """
import sys, pathlib
from segbench import Dataset
from segbench.plan.fingerprint import fingerprint

class Split(list):
    ids = ["a"]
    files = [(pathlib.Path(sys.argv[1]),)]

fingerprint(Dataset(["sky"], [(0, 0, 0)], {"train": Split("a")}))
print({"numpy", "torch"} & set(sys.modules))
"""
    command = [sys.executable, "-c", program, str(tmp_path / "a.png")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "set()\n"
