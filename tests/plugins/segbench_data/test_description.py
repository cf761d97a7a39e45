from __future__ import annotations

import json

import pytest

from segbench import DataError
from segbench_data.description import Description, default_palette, read_description


def describe(root, **content):
    (root / "dataset.json").write_text(json.dumps(content))
    return read_description(root)


def test_without_a_file_everything_is_at_its_default(tmp_path):
    assert read_description(tmp_path) == Description()


def test_classes_are_sorted_by_id(tmp_path):
    found = describe(
        tmp_path,
        classes=[{"id": 1, "name": "car", "rgb": [1, 2, 3]}, {"id": 0, "name": "road", "rgb": [4, 5, 6]}],
        ignore_index=254,
        ignore_rgb=[7, 8, 9],
        licence="CC0",
        citation=["A.", "B."],
        notes="something else",
    )
    assert found == Description(("road", "car"), ((4, 5, 6), (1, 2, 3)), 254, (7, 8, 9), "CC0", "A.\nB.")


def test_bare_names_will_do(tmp_path):
    found = describe(tmp_path, classes=["road", "car"], license="MIT", citation="A.")
    assert found == Description(("road", "car"), licence="MIT", citation="A.")


def test_black_is_a_colour_like_any_other(tmp_path):
    assert describe(tmp_path, classes=[{"name": "road", "id": 0, "rgb": [0, 0, 0]}]).palette == ((0, 0, 0),)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"classes": [{"id": 1, "name": "road"}]},
        {"classes": [{"id": 0, "name": "a"}, {"id": 0, "name": "b"}]},
        {"classes": [{"name": "road"}]},
        {"classes": [7]},
        {"classes": ["a"], "ignore_index": "void"},
        {"classes": ["a"], "ignore_rgb": [0, 0, 256]},
        {"classes": [{"id": 0, "name": "a", "rgb": [0, 0]}]},
    ],
)
def test_wrong_content_is_told_with_what_is_right(tmp_path, content):
    with pytest.raises(DataError, match=r"dataset\.json: .*classes is a list of names or of \{id, name, rgb\}"):
        describe(tmp_path, **content)


@pytest.mark.parametrize(
    "text",
    [
        *("{", "[1, 2]", "", "[" * 10**6, '{"classes": ' * 10**5, '{"classes": ["a"], "ignore_index": 1e999}'),
        *('{"classes": [' + "1" * 10**5 + "]}", '{"classes": [{"id": "' + "x" * 10**5 + '", "name": "a"}]}'),
    ],
)
def test_a_file_that_is_no_json_mapping_is_named_in_few_words(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(DataError, match=r"dataset\.json: ") as error:
        read_description(tmp_path)
    assert len(str(error.value)) < 600


def test_the_default_palette_is_that_of_voc():
    # From the published table: 1 aeroplane, 7 car, 15 person, 20 tvmonitor.
    palette = default_palette(21)
    assert [palette[i] for i in (0, 1, 7, 15, 20)] == [
        (0, 0, 0),
        (128, 0, 0),
        (128, 128, 128),
        (192, 128, 128),
        (0, 64, 128),
    ]
    assert len(set(default_palette(256))) == 256
