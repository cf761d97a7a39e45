from __future__ import annotations

import pytest

from segbench.errors import DataError
from segbench.survey.layout import Layout, find_layout


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.mark.parametrize(
    ("files", "layout"),
    [
        (["images/a.jpg", "images/b.jpg", "masks/a.png", "masks/b.png"], Layout("images", "masks")),
        (["imgs/1.jpg", "imgs/11.jpg", "gt/1_seg.png", "gt/11_seg.png"], Layout("imgs", "gt", "", "_seg")),
        (["a.jpg", "b.jpg", "a_mask.png", "b_mask.png"], Layout(".", ".", "", "_mask")),
        (["a_rgb.png", "a_label.png", "b_rgb.png", "b_label.png"], Layout(".", ".", "_rgb", "_label")),
        (["x/a.tif", "labels/a.tif", "color/a.tif"], Layout("x", "labels")),
        (
            [
                "JPEGImages/a.jpg",
                "SegmentationClass/a.png",
                "SegmentationObject/a.png",
                "ImageSets/Segmentation/train.txt",
            ],
            Layout("JPEGImages", "SegmentationClass", splits="ImageSets/Segmentation"),
        ),
        (["images/a.png", "masks/a.png", "train.txt"], Layout("images", "masks", splits=".")),
        (
            ["train/images/a.jpg", "train/masks/a.png", "valid/images/b.jpg", "valid/masks/b.png"],
            Layout("{split}/images", "{split}/masks"),
        ),
        (["train/images/a.jpg", "train/masks/a.png", "test/images/b.jpg"], Layout("train/images", "train/masks")),
        (
            ["train/a.jpg", "train/a_mask.png", "test/b.jpg", "test/b_mask.png"],
            Layout("{split}", "{split}", "", "_mask"),
        ),
        (["train/a.png", "trainannot/a.png", "val/b.png", "valannot/b.png"], Layout("{split}", "{split}annot")),
        (["images/training/a.jpg", "annotations/training/a.png"], Layout("images/training", "annotations/training")),
        (
            ["train2017/a.jpg", "val2017/b.jpg", "masks/train/a.png", "masks/val/b.png"],
            Layout("{split}2017", "masks/{split}"),
        ),
    ],
)
def test_layouts_are_found(tmp_path, files, layout):
    touch(tmp_path, *files)
    assert find_layout(tmp_path) == layout


def test_what_other_systems_leave_is_not_looked_at(tmp_path):
    touch(tmp_path, "images/a.jpg", "masks/a.png", "__MACOSX/images/._a.jpg", "masks/.DS_Store")
    assert find_layout(tmp_path) == Layout("images", "masks")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["images/a.jpg"], r"1 in images/\), but no masks: put masks of the same stems"),
        (["masks/a.png"], r"1 in masks/\), but all seem to be masks; put the images into images/"),
        (["images/a.jpg", "masks/b.png"], "no image has a mask of its name"),
        (["images/a.jpg", "masks/a.jpg"], r"those in masks/ are no PNG, BMP or TIFF.*; save them as PNG"),
        (["images/a.jpg", "masks/a.jpg", "masks/b.png"], "no image has a mask of its name.* is PNG, BMP or TIFF"),
        (["notes.txt"], "no image files"),
    ],
)
def test_what_is_missing_is_said(tmp_path, files, message):
    touch(tmp_path, *files)
    with pytest.raises(DataError, match=message):
        find_layout(tmp_path)


def test_folders_that_are_named_are_not_guessed(tmp_path):
    touch(tmp_path, "images/a.jpg", "masks/a.png", "photos/a.jpg", "classes/a.png", "raw/a.png", "raw/a_L.png")
    assert find_layout(tmp_path, "photos/", "classes/") == Layout("photos", "classes")
    assert find_layout(tmp_path, "raw", "raw") == Layout("raw", "raw", "", "_L")
    with pytest.raises(DataError, match="no image files in elsewhere/; there are some in classes, images"):
        find_layout(tmp_path, masks="elsewhere")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere is no folder"):
        find_layout(tmp_path / "nowhere")


def test_options_are_those_that_differ_from_the_usual_layout():
    assert Layout("images", "masks").options == {}
    assert Layout(".", ".", "", "_mask").options == {"images": ".", "mask_suffix": "_mask"}
    assert Layout("images", "masks", "", "_m").options == {"masks": "masks", "mask_suffix": "_m"}


def test_a_layout_is_told_in_words():
    assert Layout(".", "masks", "", "_m").describe() == "images in this folder, masks in masks/ ending in _m"
