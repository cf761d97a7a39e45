from __future__ import annotations

import pytest

from segbench.errors import DataError
from segbench.survey.names import NamedClass, find_names, read_names

COLOURS = [NamedClass("background", colour=(0, 0, 0)), NamedClass("traffic light", colour=(250, 170, 30))]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("# label:color_rgb:parts:actions\nbackground:0,0,0::\ntraffic light:250,170,30::\n", COLOURS),
        ("name,r,g,b\nbackground,0,0,0\ntraffic light, 250, 170, 30\n", COLOURS),
        ("0 0 0\tbackground\n250 170 30\ttraffic light\n", COLOURS),
        ("0 0 0 background\n250 170 30 traffic light\n", COLOURS),
        ("Pixel Value, Class\n0, background\n3, crack\n", [NamedClass("background", 0), NamedClass("crack", 3)]),
        ("background\ntraffic light\n", [NamedClass("background", 0), NamedClass("traffic light", 1)]),
        ("class 1\nclass 2\n", [NamedClass("class 1", 0), NamedClass("class 2", 1)]),
        ("person:1,2,3:head,arm:jump", [NamedClass("person", colour=(1, 2, 3))]),
        ("1: road\n2: car", [NamedClass("road", 1), NamedClass("car", 2)]),
    ],
)
def test_lines_name_classes_with_values_or_colours(tmp_path, text, named):
    (tmp_path / "labels.txt").write_text(text)
    assert read_names(tmp_path / "labels.txt") == named


def test_the_file_is_found_in_the_folder_or_in_one_of_its_folders(tmp_path):
    assert find_names(tmp_path) == (None, [])
    (tmp_path / "train").mkdir()
    file = tmp_path / "train" / "_classes.csv"
    file.write_text("Pixel Value, Class\n0, background\n")
    assert find_names(tmp_path) == (file, [NamedClass("background", 0)])


def test_a_name_twice_and_what_is_no_text_are_refused(tmp_path):
    (tmp_path / "classes.txt").write_text("a\nb\na\n")
    with pytest.raises(DataError, match="names the class 'a' twice"):
        read_names(tmp_path / "classes.txt")
    (tmp_path / "classes.txt").write_bytes(b"\xff\x00")
    with pytest.raises(DataError, match=r"classes\.txt: cannot be read"):
        read_names(tmp_path / "classes.txt")
