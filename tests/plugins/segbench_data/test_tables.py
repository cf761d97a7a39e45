from __future__ import annotations

import pytest

from segbench import DataError
from segbench_data.tables import colour_ids, palette_ids, value_ids

CLASSES = ("road", "car")


def test_values_of_a_class_may_be_several_and_void_is_called_ignore():
    assert value_ids(CLASSES, {"car": [3, 4], "road": 0, "ignore": 9}, 255) == {3: 1, 4: 1, 0: 0, 9: 255}


def test_colours_become_codes():
    table = {"road": [128, 64, 128], "car": [[0, 0, 1], [0, 1, 0]], "ignore": [0, 0, 0]}
    assert colour_ids(CLASSES, table, 255) == {0x8000400080: 0, 0x000001: 1, 0x00010000: 1, 0: 255}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"road": 0, "bus": 1}, r"values: 'bus' is no class; the classes are road, car \(and ignore, for void\)"),
        ({"road": 0}, "values: the class 'car' has no entry"),
        ({"road": 0, "car": []}, "values: the class 'car' has no entry"),
        ({"road": 0, "car": [1, 0]}, "values: 'car' has an entry that another class has too"),
    ],
)
def test_a_table_that_does_not_fit_the_classes_is_refused(values, message):
    with pytest.raises(DataError, match=message):
        value_ids(CLASSES, values, 255)


@pytest.mark.parametrize("colour", [[1, 2], [1, 2, 65536], [[1, 2, 3], [4]]])
def test_a_colour_is_three_numbers(colour):
    with pytest.raises(DataError, match=r"colours: car is \[.*a colour is \[red, green, blue\]"):
        colour_ids(CLASSES, {"road": [0, 0, 0], "car": colour}, 255)


def test_a_palette_reads_masks_unless_two_classes_share_a_colour():
    assert palette_ids([(0, 0, 1), (0, 0, 2)], (0, 0, 9), 255) == {1: 0, 2: 1, 9: 255}
    assert palette_ids([(0, 0, 1), (0, 0, 2)], (0, 0, 2), 255) == {1: 0, 2: 1}
    assert palette_ids([(0, 0, 1), (0, 0, 1)], None, 255) == {}
