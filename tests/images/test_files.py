from __future__ import annotations

import os

import pytest

from segbench import DataError
from segbench.images import image_files
from segbench.images.files import files_in, same_name

LITTER = [
    *("._a.png", ".DS_Store", ".hidden.png", "Thumbs.db", "THUMBS.DB", "ehthumbs.db", "desktop.ini", "Desktop.ini"),
    *("a.png:Zone.Identifier", "a.png\uf03aZone.Identifier", "a.png_Zone.Identifier", "Icon\r"),
]


def fill(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize("name", LITTER)
def test_what_other_systems_leave_is_no_file_of_the_data(tmp_path, name):
    fill(tmp_path, "a.png", name)
    assert list(files_in(tmp_path)) == [tmp_path / "a.png"]


def test_endings_count_in_small_and_capital_letters(tmp_path):
    fill(tmp_path, "a.PNG", "b.Jpg", "c.TIFF", "d.txt", "e.jpeg", "png")
    assert [path.name for path in image_files(tmp_path)] == ["a.PNG", "b.Jpg", "c.TIFF", "e.jpeg"]


def test_folders_are_looked_into_where_asked_but_not_those_of_other_systems(tmp_path):
    fill(tmp_path, "a.png", "city/b.png", "city/deep/c.png", "__MACOSX/a.png", ".cache/a.png", "@eaDir/a.png")
    assert image_files(tmp_path) == [tmp_path / "a.png"]
    deep = image_files(tmp_path, deep=True)
    assert deep == [tmp_path / "a.png", tmp_path / "city" / "b.png", tmp_path / "city" / "deep" / "c.png"]


def test_a_link_without_a_target_is_named(tmp_path):
    (tmp_path / "a.png").symlink_to("/nowhere/a.png")
    with pytest.raises(DataError, match=r"a\.png is a link to /nowhere/a\.png, which is not there"):
        list(files_in(tmp_path))


def test_a_link_to_a_file_is_a_file(tmp_path):
    fill(tmp_path, "elsewhere/a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "elsewhere" / "a.png")
    assert image_files(tmp_path) == [tmp_path / "b.png"]


def test_a_pipe_is_named_and_never_opened(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png is neither a file nor a folder"):
        image_files(tmp_path)


def test_names_in_two_unicode_forms_are_one():
    assert same_name("re\u0301tine") == same_name("r\u00e9tine")
