from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segbench import DataError
from segbench_data.drive import build, download

BLACK_AND_WHITE = [0, 0, 0, 255, 255, 255]


def save_gif(path, values, palette):
    """A GIF of a palette; without one, grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.array(values, dtype=np.uint8), mode="P" if palette else "L")
    if palette:
        image.putpalette(palette)
    image.save(path)


def write_part(folder, save, numbers, palette=None):
    """The published layout of training/ or test/: TIFF images, GIFs of black and white for vessels and field."""
    white = 1 if palette else 255
    for number in numbers:
        name = f"{number}_{folder.name}"
        save(folder / "images" / f"{name}.tif", np.full((2, 3, 3), int(number), dtype=np.uint8))
        save_gif(folder / "1st_manual" / f"{number}_manual1.gif", [[0, white, 0], [white, 0, white]], palette)
        save_gif(folder / "mask" / f"{name}_mask.gif", [[white, white, 0], [white, white, 0]], palette)


def write_drive(root, save):
    write_part(root / "training", save, [str(number) for number in range(21, 41)])
    write_part(root / "test", save, ["01", "02"])


@pytest.mark.parametrize("place", [".", "DRIVE"])
def test_the_published_layout_gives_train_and_test_and_every_fifth_training_image_is_val(tmp_path, save, place):
    write_drive(tmp_path / place, save)
    splits = build(tmp_path).splits
    assert list(splits) == ["train", "val", "test"]
    assert splits["val"].ids == ("25", "30", "35", "40")
    assert len(splits["train"]) == 16
    assert not set(splits["train"].ids) & set(splits["val"].ids)
    assert splits["test"].ids == ("01", "02")
    assert splits["test"][1].image[0, 0].tolist() == [2, 2, 2]


@pytest.mark.parametrize("palette", [None, BLACK_AND_WHITE])
def test_what_lies_outside_the_field_of_view_is_void(tmp_path, save, palette):
    write_part(tmp_path / "training", save, ["21", "25"], palette)
    assert build(tmp_path).splits["train"][0].labels.tolist() == [[0, 1, 255], [1, 0, 255]]


def test_the_field_of_view_is_among_the_files_of_a_sample(tmp_path, save):
    write_part(tmp_path / "training", save, ["21", "25"])
    (files,) = build(tmp_path).splits["train"].files
    assert [file.name for file in files] == ["21_training.tif", "21_manual1.gif", "21_training_mask.gif"]


def test_without_the_labels_of_the_test_images_there_is_no_split_test(tmp_path, save):
    write_drive(tmp_path, save)
    (tmp_path / "test" / "1st_manual").rename(tmp_path / "elsewhere")
    assert list(build(tmp_path).splits) == ["train", "val"]


@pytest.mark.parametrize("file", ["1st_manual/21_manual1.gif", "mask/21_training_mask.gif"])
def test_a_missing_file_is_refused(tmp_path, save, file):
    write_drive(tmp_path, save)
    (tmp_path / "training" / file).unlink()
    with pytest.raises(DataError, match=rf"21_training\.tif has no .*{file}; add"):
        build(tmp_path)


def test_a_field_of_view_of_another_size_is_refused(tmp_path, save):
    write_drive(tmp_path, save)
    save_gif(tmp_path / "training" / "mask" / "21_training_mask.gif", [[255]], None)
    with pytest.raises(DataError, match=r"21_training_mask\.gif is 1x1 pixels, its image 3x2"):
        _ = build(tmp_path).splits["train"][0]


def test_another_layout_is_refused_and_a_download_says_where_to_register(tmp_path):
    with pytest.raises(DataError, match=r"no training/ with images/.*join https://drive\.grand-challenge\.org/"):
        build(tmp_path)
    with pytest.raises(DataError, match=r"join https://drive\.grand-challenge\.org/"):
        download(tmp_path)
