from __future__ import annotations

import numpy as np
import pytest

from segbench import DataError
from segbench_data.isic import build, download

PARTS = {"Training": ["ISIC_0000000", "ISIC_0000001"], "Validation": ["ISIC_0012255"], "Test": ["ISIC_0012169"]}


def write_part(root, save, part):
    """The published layout of one part: JPEG images, PNG masks of 0 and 255, and text files beside them."""
    images, masks = root / f"ISIC2018_Task1-2_{part}_Input", root / f"ISIC2018_Task1_{part}_GroundTruth"
    for stem in PARTS[part]:
        save(images / f"{stem}.jpg", np.zeros((2, 2, 3), dtype=np.uint8))
        save(masks / f"{stem}_segmentation.png", [[0, 255], [255, 0]])
    for folder in (images, masks):
        (folder / "LICENSE.txt").touch()
        (folder / "ATTRIBUTION.txt").touch()


def test_the_published_layout_gives_the_published_splits(tmp_path, save):
    for part in PARTS:
        write_part(tmp_path, save, part)
    splits = build(tmp_path).splits
    assert {name: list(split.ids) for name, split in splits.items()} == {
        "train": PARTS["Training"],
        "val": PARTS["Validation"],
        "test": PARTS["Test"],
    }
    assert splits["test"][0].labels.tolist() == [[0, 1], [1, 0]]


def test_validation_and_test_may_be_left_out(tmp_path, save):
    write_part(tmp_path, save, "Training")
    assert list(build(tmp_path).splits) == ["train"]


def test_images_without_their_masks_folder_are_refused(tmp_path, save):
    write_part(tmp_path, save, "Training")
    write_part(tmp_path, save, "Test")
    masks = tmp_path / "ISIC2018_Task1_Test_GroundTruth"
    masks.rename(tmp_path / "GroundTruth")
    with pytest.raises(DataError, match=r"no folder .*ISIC2018_Task1_Test_GroundTruth"):
        build(tmp_path)


def test_an_image_without_mask_is_named(tmp_path, save):
    write_part(tmp_path, save, "Training")
    (tmp_path / "ISIC2018_Task1_Training_GroundTruth" / "ISIC_0000001_segmentation.png").unlink()
    with pytest.raises(DataError, match=r"image without mask: .*ISIC_0000001\.jpg"):
        build(tmp_path)


def test_another_layout_is_refused_with_where_to_get_the_data(tmp_path):
    with pytest.raises(DataError, match=r"no ISIC2018_Task1-2_Training_Input/ and .*fetch ISIC2018_Task1-2_Training"):
        build(tmp_path)


def test_the_download_is_unpacked_where_build_looks_and_taken_up_where_it_broke_off(tmp_path, save, monkeypatch):
    from torchvision.datasets import utils

    fetched = []

    def unpack(url, root, remove_finished):
        fetched.append(url.rpartition("/")[2])
        write_part(tmp_path, save, url.rpartition("_")[0].rpartition("_")[2])

    monkeypatch.setattr(utils, "download_and_extract_archive", unpack)
    write_part(tmp_path, save, "Training")
    download(tmp_path)
    # The imitated archives hold both folders of a part, so one of each missing part is fetched.
    assert fetched == ["ISIC2018_Task1-2_Validation_Input.zip", "ISIC2018_Task1-2_Test_Input.zip"]
    assert list(build(tmp_path).splits) == ["train", "val", "test"]


def test_a_failed_download_says_why_and_what_to_do_by_hand(tmp_path, monkeypatch):
    from torchvision.datasets import utils

    def fail(*arguments, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(utils, "download_and_extract_archive", fail)
    with pytest.raises(DataError, match=r"ISIC 2018 could not be downloaded \(OSError: no route .*By hand: fetch ISIC"):
        download(tmp_path)
