from __future__ import annotations

import shutil

import numpy as np
from PIL import Image

from segbench.contract import Dataset, Sample
from segbench.plan.data import data_warnings, find_unread
from segbench.plan.key import read_content


class Files:
    """A split of images with masks of the same name."""

    def __init__(self, root, *stems):
        self.ids = stems
        self.files = [(root / "images" / f"{stem}.png", root / "masks" / f"{stem}.png") for stem in stems]

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        return Sample(*(np.asarray(Image.open(path)) for path in self.files[index]), self.ids[index])


def save(root, *stems):
    for place, stem in enumerate(stems):
        for folder in ("images", "masks"):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.new("L", (2, 2), place).save(root / folder / f"{stem}.png")


def dataset(splits, classes=("a", "b")):
    return Dataset(classes, [(0, 0, 0)] * len(classes), splits)


def warnings(data):
    return data_warnings(data, read_content(data))


def test_data_that_is_in_order_has_no_warnings(tmp_path):
    save(tmp_path, "a", "b")
    assert warnings(dataset({"train": Files(tmp_path, "a"), "test": Files(tmp_path, "b")})) == []


def test_images_of_equal_bytes_in_train_and_another_split_are_told(tmp_path):
    save(tmp_path, "a", "b", "c")
    for folder in ("images", "masks"):
        shutil.copy(tmp_path / folder / "a.png", tmp_path / folder / "d.png")
    data = dataset({"train": Files(tmp_path, "a", "b"), "val": Files(tmp_path, "c"), "test": Files(tmp_path, "b", "d")})
    expected = "2 images are identical in train and test, so scores look too good: a = d, b = b"
    assert warnings(data) == [expected]


def test_equal_samples_without_files_are_told_too():
    sample = Sample(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint8), "a")
    data = dataset({"train": [sample], "test": [sample._replace(id="b")]})
    assert warnings(data) == ["1 image is identical in train and test, so scores look too good: a = b"]


def test_one_class_is_told():
    sample = Sample(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint8), "a")
    [warning] = warnings(dataset({"test": [sample]}, classes=("cell",)))
    assert warning.startswith("there is only the class 'cell', so every label map scores 100")


def test_images_in_deeper_folders_are_counted(tmp_path):
    save(tmp_path, "a")
    save(tmp_path / "more", "b", "c")
    for folder in ("images", "masks"):
        (tmp_path / "more" / folder).rename(tmp_path / folder / "site B")
        (tmp_path / folder / "again").symlink_to(tmp_path / folder)  # a loop
    (tmp_path / "images" / "__MACOSX").mkdir()
    (tmp_path / "images" / "__MACOSX" / "._b.png").touch()
    [warning] = warnings(dataset({"train": Files(tmp_path, "a")}))
    assert warning.startswith("4 image files lie in deeper folders and are not read: 2 below")


def test_folders_that_are_read_are_not_counted_as_deeper(tmp_path):
    save(tmp_path, "a")
    save(tmp_path / "images", "c", "b")  # images/images/ and images/masks/
    splits = {"train": Files(tmp_path, "a"), "test": Files(tmp_path / "images", "b")}
    assert warnings(dataset(splits)) == []


def test_files_beside_those_that_are_read_are_found_by_kind(tmp_path):
    save(tmp_path, "a", "b")
    for name in ("._a.png", "notes.txt"):
        (tmp_path / "images" / name).touch()
    unread = find_unread(dataset({"train": Files(tmp_path, "a")}))
    found = [[path.name for path in paths] for paths in (unread.left, unread.unused, unread.other)]
    assert found == [["._a.png"], ["b.png", "b.png"], ["notes.txt"]]


def test_a_link_without_target_beside_the_data_ends_nothing(tmp_path):
    save(tmp_path, "a")
    (tmp_path / "masks" / "b.png").symlink_to("/nowhere")
    assert warnings(dataset({"train": Files(tmp_path, "a")})) == []
