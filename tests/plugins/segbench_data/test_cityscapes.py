from __future__ import annotations

import numpy as np
import pytest

from segbench import DataError
from segbench_data.cityscapes import build, download

AACHEN = "aachen_000000_000019"


def write_cityscapes(root, save, mask=((7, 8), (33, 0))):
    """The published layout: a folder for each city, and beside the labelIds other annotations of the same image."""
    for split, city, stem in (
        ("train", "aachen", AACHEN),
        ("train", "bochum", "bochum_000000_000313"),
        ("val", "lindau", "lindau_0"),
    ):
        save(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", np.zeros((2, 2, 3), dtype=np.uint8))
        annotations = root / "gtFine" / split / city
        save(annotations / f"{stem}_gtFine_labelIds.png", mask)
        save(annotations / f"{stem}_gtFine_instanceIds.png", np.array([[7, 8], [33000, 0]], dtype=np.uint16))
        (annotations / f"{stem}_gtFine_polygons.json").write_text("{}")


def test_cities_are_joined_and_label_ids_become_train_ids(tmp_path, save):
    write_cityscapes(tmp_path, save)
    dataset = build(tmp_path)
    assert {split: samples.ids for split, samples in dataset.splits.items()} == {
        "train": (AACHEN, "bochum_000000_000313"),
        "val": ("lindau_0",),
    }
    # road 7 -> 0, sidewalk 8 -> 1, bicycle 33 -> 18, unlabeled 0 -> void.
    assert dataset.splits["train"][0].labels.tolist() == [[0, 1], [18, 255]]
    assert [dataset.cluster(name) for name in dataset.splits["train"].ids] == ["aachen_000000 0 s", "bochum_000000 0 s"]


def test_19_of_the_34_label_ids_count(tmp_path, save):
    write_cityscapes(tmp_path, save, mask=[[*range(17)], [*range(17, 34)]])
    save(tmp_path / "leftImg8bit" / "val" / "lindau" / "lindau_0_leftImg8bit.png", np.zeros((2, 17, 3), dtype=np.uint8))
    labels = build(tmp_path).splits["val"][0].labels.ravel()
    evaluated = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    assert np.flatnonzero(labels != 255).tolist() == evaluated
    assert labels[evaluated].tolist() == list(range(19))


def test_an_image_without_labels_is_refused(tmp_path, save):
    write_cityscapes(tmp_path, save)
    (tmp_path / "gtFine" / "train" / "aachen" / f"{AACHEN}_gtFine_labelIds.png").unlink()
    with pytest.raises(DataError, match=rf"image without mask: .*{AACHEN}_leftImg8bit\.png"):
        build(tmp_path)


def test_a_city_without_annotations_is_refused(tmp_path, save):
    write_cityscapes(tmp_path, save)
    (tmp_path / "gtFine" / "train" / "bochum").rename(tmp_path / "gtFine" / "train" / "bremen")
    with pytest.raises(DataError, match=r"no folder .*gtFine/train/bochum; .* has the folders aachen, bremen"):
        build(tmp_path)


def test_another_layout_is_refused_with_where_to_register(tmp_path):
    with pytest.raises(DataError, match=r"no leftImg8bit/train/ and gtFine/; Cityscapes needs a registration"):
        build(tmp_path)


def test_download_says_where_to_register(tmp_path):
    with pytest.raises(DataError, match=r"https://www\.cityscapes-dataset\.com/"):
        download(tmp_path)
