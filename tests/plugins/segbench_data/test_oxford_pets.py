from __future__ import annotations

import numpy as np
import pytest

from segbench import DataError
from segbench_data.oxford_pets import build, download, is_validation

TRAINVAL = [f"Abyssinian_{number}" for number in range(100)]
TEST = ["yorkshire_terrier_1", "yorkshire_terrier_2"]


def write_pets(folder, save, trainval=TRAINVAL):
    """The published layout: lists of name, breed, species and breed number; trimaps of 1 pet, 2 ground, 3 border."""
    for stem in (*trainval, *TEST):
        save(folder / "images" / f"{stem}.jpg", np.zeros((1, 3, 3), dtype=np.uint8))
        save(folder / "annotations" / "trimaps" / f"{stem}.png", [[1, 2, 3]])
    for name, stems in (("trainval", trainval), ("test", TEST)):
        (folder / "annotations" / f"{name}.txt").write_text("".join(f"{stem} 1 1 1\n" for stem in stems))
    (folder / "annotations" / "trimaps" / "._Abyssinian_1.png").touch()  # the archive holds such files


@pytest.mark.parametrize("place", [".", "oxford-iiit-pet"])
def test_a_tenth_of_trainval_is_val_and_the_published_test_is_test(tmp_path, save, place):
    write_pets(tmp_path / place, save)
    splits = build(tmp_path).splits
    assert sorted((*splits["train"].ids, *splits["val"].ids)) == sorted(TRAINVAL)
    assert splits["val"].ids == tuple(stem for stem in TRAINVAL if is_validation(stem))
    assert 3 <= len(splits["val"]) <= 20
    assert splits["test"].ids == tuple(TEST)


def test_the_share_of_val_is_a_tenth():
    assert sum(is_validation(f"Bengal_{number}") for number in range(10_000)) == pytest.approx(1000, abs=100)


@pytest.mark.parametrize(
    ("options", "labels", "classes"),
    [
        ({}, [[1, 0, 255]], ["background", "pet"]),
        ({"border": "ignore"}, [[1, 0, 255]], ["background", "pet"]),
        ({"border": "foreground"}, [[1, 0, 1]], ["background", "pet"]),
        ({"border": "class"}, [[1, 0, 2]], ["background", "pet", "border"]),
    ],
)
def test_the_border_is_void_or_pet_or_a_class(tmp_path, save, options, labels, classes):
    write_pets(tmp_path, save)
    dataset = build(tmp_path, **options)
    assert list(dataset.classes) == classes
    assert len(dataset.palette) == len(classes)
    assert dataset.splits["test"][0].labels.tolist() == labels


def test_a_missing_list_is_named(tmp_path, save):
    write_pets(tmp_path, save)
    (tmp_path / "annotations" / "test.txt").unlink()
    with pytest.raises(DataError, match=r"annotations/test\.txt: cannot be read"):
        build(tmp_path)


def test_another_layout_is_refused_with_where_to_get_the_data(tmp_path):
    with pytest.raises(
        DataError, match=r"no images/ and annotations/ .*fetch images\.tar\.gz and annotations\.tar\.gz"
    ):
        build(tmp_path)


def test_the_download_is_unpacked_where_build_looks(tmp_path, save, monkeypatch):
    from torchvision.datasets import oxford_iiit_pet

    fetched = []

    def unpack(url, download_root, md5):
        if not fetched:
            write_pets(tmp_path / "oxford-iiit-pet", save)
        fetched.append((url.rpartition("/")[2], download_root))

    monkeypatch.setattr(oxford_iiit_pet, "download_and_extract_archive", unpack)
    download(tmp_path)
    place = str(tmp_path / "oxford-iiit-pet")
    assert fetched == [("images.tar.gz", place), ("annotations.tar.gz", place)]
    assert len(build(tmp_path).splits["test"]) == 2


def test_a_failed_download_says_why_and_what_to_do_by_hand(tmp_path, monkeypatch):
    from torchvision.datasets import oxford_iiit_pet

    def fail(*arguments, **options):
        raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr(oxford_iiit_pet, "download_and_extract_archive", fail)
    with pytest.raises(
        DataError, match=r"could not be downloaded \(RuntimeError: File not found .*By hand: fetch images"
    ):
        download(tmp_path)
