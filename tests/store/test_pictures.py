from __future__ import annotations

import os

import pytest
from PIL import Image

from segbench.errors import DataError
from segbench.store.pictures import SAMPLES, file_name, find_picture, picture_path, read_kept_labels, read_kept_picture


def test_long_ids_that_begin_alike_have_pictures_of_their_own_and_stay_readable():
    one, other = (file_name("\u7ec6" * 60 + end) for end in "ab")
    assert one != other
    assert one.startswith("\u7ec6" * 30)
    assert file_name("\u80de-1") == "\u80de-1"


def test_a_picture_is_read_as_it_was_saved(tmp_path):
    Image.new("RGB", (3, 2), (10, 20, 30)).save(tmp_path / "a.png")
    assert read_kept_picture(tmp_path / "a.png").tolist() == [[[10, 20, 30]] * 3] * 2


def test_a_picture_is_found_in_whichever_cell_kept_it(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    kept = picture_path(other / SAMPLES, "a/1", ".truth")
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert find_picture([one, other], "a/1", ".truth") == kept
    assert find_picture([one, other], "b") == one / SAMPLES / "b.png"


@pytest.mark.parametrize("read", [read_kept_picture, read_kept_labels])
def test_links_pipes_and_what_is_missing_are_refused(tmp_path, read):
    private = tmp_path / "private.png"
    Image.new("RGB", (3, 2)).save(private)
    (tmp_path / "link.png").symlink_to(private)
    (tmp_path / "folder").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("link.png", "folder/private.png", "pipe.png", "missing.png"):
        with pytest.raises(DataError, match="a cell leaves files of its own"):
            read(tmp_path / name)
