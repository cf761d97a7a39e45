from __future__ import annotations

import os

import pytest

from segbench import DataError
from segbench.images import IMAGE_ENDINGS, MASK_ENDINGS
from segbench_data.listing import files_by_stem, read_lines, subfolders


def touch(folder, *names):
    folder.mkdir(exist_ok=True, parents=True)
    for name in names:
        (folder / name).touch()


def test_files_come_sorted_by_stem_whatever_their_extension_and_case(tmp_path):
    touch(tmp_path, "b.PNG", "a.jpeg", "c d.tif")
    assert list(files_by_stem(tmp_path, IMAGE_ENDINGS)) == ["a", "b", "c d"]


def test_hidden_files_folders_and_the_description_do_not_count(tmp_path):
    touch(tmp_path, "a.png", ".DS_Store", "Thumbs.db", "dataset.json")
    (tmp_path / "more").mkdir()
    assert list(files_by_stem(tmp_path, IMAGE_ENDINGS)) == ["a"]


def test_suffixes_choose_files_and_are_cut_off(tmp_path):
    touch(tmp_path, "a.jpg", "a_mask.png", "b.jpg", "b_mask.png", "a_colour.txt")
    assert list(files_by_stem(tmp_path, MASK_ENDINGS, suffix="_mask")) == ["a", "b"]


def test_texts_beside_images_are_passed_over(tmp_path):
    touch(tmp_path, "a.png", "notes.txt", "README", "_classes.csv", "a.json")
    assert list(files_by_stem(tmp_path, IMAGE_ENDINGS)) == ["a"]


def test_an_unknown_extension_is_refused_with_those_allowed(tmp_path):
    touch(tmp_path, "a.webp")
    with pytest.raises(DataError, match=r"a\.webp: unknown extension '\.webp'; allowed are \.png, \.jpg"):
        files_by_stem(tmp_path, IMAGE_ENDINGS)


def test_a_jpeg_is_no_mask(tmp_path):
    touch(tmp_path, "a.jpg")
    with pytest.raises(DataError, match="a mask stored as JPEG has lost its class ids"):
        files_by_stem(tmp_path, MASK_ENDINGS)


def test_two_files_of_one_stem_are_refused(tmp_path):
    touch(tmp_path, "a.jpg", "a.png")
    with pytest.raises(DataError, match=r"a\.jpg and a\.png have one stem, 'a'"):
        files_by_stem(tmp_path, IMAGE_ENDINGS)


def test_a_missing_folder_is_told_with_those_there_are(tmp_path):
    touch(tmp_path / "pictures")
    with pytest.raises(DataError, match=r"no folder .*images; .* has the folders pictures"):
        files_by_stem(tmp_path / "images", IMAGE_ENDINGS)
    with pytest.raises(DataError, match="has no folders"):
        subfolders(tmp_path / "pictures" / "train")


def test_lines_are_stripped_and_blank_ones_left_out(tmp_path):
    (tmp_path / "train.txt").write_bytes("\ufeffa\r\n\r\n  b c \n".encode())
    assert read_lines(tmp_path / "train.txt") == ["a", "b c"]


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "train.txt")
    with pytest.raises(DataError, match=r"train\.txt: cannot be read .*it is a pipe, not a file"):
        read_lines(tmp_path / "train.txt")


def test_a_binary_split_file_is_named(tmp_path):
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"train\.txt: cannot be read"):
        read_lines(tmp_path / "train.txt")
