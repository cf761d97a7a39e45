from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segbench.errors import DataError
from segbench.survey.classes import UnclearVoid, settle_classes
from segbench.survey.masks import MaskSurvey, survey_mask
from segbench.survey.names import NamedClass


@pytest.fixture
def look(tmp_path):
    """Looks at masks, which are arrays, or pairs of indices and a palette."""

    def survey(*masks):
        whole = MaskSurvey()
        for number, mask in enumerate(masks):
            path = tmp_path / f"{number}.png"
            pixels, palette = mask if isinstance(mask, tuple) else (mask, None)
            image = Image.fromarray(np.array(pixels, dtype=np.uint8))
            if palette is not None:
                image.putpalette(palette)
            image.save(path)
            whole.include(survey_mask(path), path)
        return whole

    return survey


def test_ids_with_one_value_apart_are_classes_and_void(look):
    found = settle_classes(look([[0, 1], [2, 255]], [[0, 0]]), [])
    assert (found.names, found.codes, found.void) == (("class_0", "class_1", "class_2"), (0, 1, 2), (255,))
    assert found.options == {}
    assert found.description == {
        "classes": [{"id": 0, "name": "class_0"}, {"id": 1, "name": "class_1"}, {"id": 2, "name": "class_2"}],
        "ignore_index": 255,
    }


def test_black_and_white_are_background_and_foreground(look):
    found = settle_classes(look([[0, 255]]), [])
    assert found.options == {"values": {"background": 0, "foreground": 255}}
    assert (found.void, found.made_up) == ((), ("background", "foreground"))


def test_grey_saved_in_colour_is_read_by_its_value(look):
    found = settle_classes(look([[[0, 0, 0], [255, 255, 255]]]), [])
    assert found.options == {"values": {"background": 0, "foreground": 255}}


def test_greys_far_apart_are_classes(look):
    found = settle_classes(look([[0, 100, 200]]), [])
    assert found.options == {"values": {"class_0": 0, "class_100": 100, "class_200": 200}}


def test_a_palette_gives_the_colours(look):
    found = settle_classes(look(([[0, 1]], [0, 0, 0, 128, 0, 0]), ([[1, 2]], [0, 0, 0, 128, 0, 0, 0, 128, 0])), [])
    assert found.palette == ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    assert found.options == {}
    assert found.description["classes"][1] == {"id": 1, "name": "class_1", "rgb": [128, 0, 0]}


def test_palettes_that_differ_are_read_by_their_colours(look):
    found = settle_classes(look(([[0, 1]], [0, 0, 0, 128, 0, 0]), ([[0, 1]], [0, 0, 0, 0, 128, 0])), [])
    assert found.options == {"colours": {"class_0": [0, 0, 0], "class_1": [0, 128, 0], "class_2": [128, 0, 0]}}


def test_colours_are_named_by_a_file_in_its_order_and_those_that_never_occur_are_left_out(look):
    named = [
        NamedClass("car", colour=(9, 0, 0)),
        NamedClass("sky", colour=(0, 9, 0)),
        NamedClass("sea", colour=(1, 1, 1)),
    ]
    found = settle_classes(look([[[0, 9, 0], [9, 0, 0], [7, 7, 9]]]), named)
    assert (found.names, found.codes) == (("car", "sky", "class_2"), ((9, 0, 0), (0, 9, 0), (7, 7, 9)))
    assert (found.made_up, found.options) == (("class_2",), {})
    assert found.palette == found.codes


def test_void_is_what_is_called_so_and_the_border_of_voc(look):
    named = [NamedClass("void", 0), NamedClass("road", 1), NamedClass("car", 2)]
    assert settle_classes(look([[0, 1, 2]]), named).options == {"values": {"road": 1, "car": 2, "ignore": 0}}
    found = settle_classes(look([[[0, 0, 0], [128, 0, 0], [224, 224, 192]]]), [])
    assert (found.void, found.description["ignore_rgb"]) == (((224, 224, 192),), [224, 224, 192])


def test_of_two_values_that_may_be_void_the_user_chooses(look):
    survey = look([[0, 1, 254, 255]], [[0, 1, 2, 255]])
    with pytest.raises(UnclearVoid, match=r"254 \(in 1\) and 255 \(in 2\), .*--ignore 255, --ignore \[254, 255\] for"):
        settle_classes(survey, [])
    assert settle_classes(survey, [], [254, 255]).options == {
        "values": {"class_0": 0, "class_1": 1, "class_2": 2, "ignore": [254, 255]}
    }
    assert settle_classes(survey, [], []).void == ()


def test_colours_are_given_as_void_one_or_several(look):
    survey = look([[[0, 0, 0], [9, 0, 0], [0, 9, 0]]])
    assert settle_classes(survey, [], [0, 0, 0]).codes == ((0, 9, 0), (9, 0, 0))
    found = settle_classes(survey, [], [[0, 0, 0], [9, 0, 0]])
    assert found.options == {"colours": {"class_0": [0, 9, 0], "ignore": [[0, 0, 0], [9, 0, 0]]}}


@pytest.mark.parametrize(
    ("mask", "ignore", "message"),
    [
        ([[0, 1]], [[0, 0, 0]], "the masks hold values, not colours: 0, 1"),
        ([[[0, 0, 0], [1, 2, 3]]], [255], r"the masks are in colour; a colour is written \[0, 0, 0\]"),
        ([[7]], [7], "nothing but 7, which is void"),
    ],
)
def test_what_cannot_be_void_is_refused(look, mask, ignore, message):
    with pytest.raises(DataError, match=message):
        settle_classes(look(mask), [], ignore)


def test_300_colours_are_no_classes(look):
    colours = [[[number % 256, number // 256, 7] for number in range(300)]]
    with pytest.raises(DataError, match=r"0\.png: with this mask there are 300 colours, more than classes can have"):
        look(colours)


def test_names_are_given_in_the_order_of_the_ids(look):
    found = settle_classes(look([[0, 255]]), [])
    assert found.renamed(["gap", "cell"]).options == {"values": {"gap": 0, "cell": 255}}
    for names in (["a"], ["a", "b", "c"], "a"):
        with pytest.raises(DataError, match=r"2 classes were found, background \(0\), foreground \(255\): give a name"):
            found.renamed(names)
    with pytest.raises(DataError, match=r"the name a is given twice.*: background \(0\), foreground \(255\)"):
        found.renamed(["a", "a"])
