from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from scipy import ndimage

from segbench.checksum import check_seal
from segbench.contract import Dataset, Sample
from segbench.engine.data.cache import open_packed, write_packed
from segbench.engine.evaluation.joined_objects import mark_in_bands
from segbench.engine.evaluation.small_objects import (
    SMALL_OBJECTS,
    SMALL_SHARE,
    find_small_objects,
    mark_small_objects,
)
from segbench.images import pixels

VOID = 255
CPU = torch.device("cpu")


def flood(truth, row, column):
    """The pixels of one object, found by walking from neighbour to neighbour."""
    reached, waiting = {(row, column)}, [(row, column)]
    while waiting:
        top, left = waiting.pop()
        for place in np.ndindex(3, 3):
            other = (top + place[0] - 1, left + place[1] - 1)
            inside = all(0 <= index < length for index, length in zip(other, truth.shape, strict=True))
            if inside and other not in reached and truth[other] == truth[row, column]:
                reached.add(other)
                waiting.append(other)
    return reached


@settings(max_examples=50)
@given(arrays.arrays(np.uint8, st.tuples(st.integers(20, 30), st.integers(20, 40)), elements=st.just(0)), st.data())
def test_small_is_what_walking_from_pixel_to_pixel_finds_small(truth, data):
    places = data.draw(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19), st.integers(0, 3)), max_size=12))
    for row, column, class_id in places:
        truth[row : row + 2, column : column + 1] = VOID if class_id == 3 else class_id
    expected, seen = np.zeros(truth.shape, dtype=bool), set()
    for place in np.ndindex(truth.shape):
        if place not in seen and truth[place] != VOID:
            seen |= (reached := flood(truth, *place))
            expected[tuple(zip(*reached, strict=True))] = len(reached) * 300 < truth.size
    np.testing.assert_array_equal(mark_small_objects(truth, 3, VOID), expected)


def test_the_limit_is_a_three_hundredth_of_the_image():
    assert 1 / SMALL_SHARE == 300
    truth = np.zeros((20, 60), dtype=np.uint8)  # 4 pixels are a three-hundredth
    truth[2, 2:5], truth[10, 10:14] = 1, 1
    assert np.argwhere(mark_small_objects(truth, 2, VOID)).tolist() == [[2, 2], [2, 3], [2, 4]]


def test_a_thin_slanted_object_is_one_object():
    truth = np.zeros((30, 30), dtype=np.uint8)  # below 3 pixels is small
    truth[range(5, 25), range(5, 25)] = 1
    assert not mark_small_objects(truth, 2, VOID).any()


def test_a_class_below_another_does_not_join_its_pieces():
    truth = np.zeros((30, 30), dtype=np.uint8)
    truth[4, 4:6], truth[4, 6], truth[4, 7:9] = 1, 2, 1
    assert mark_small_objects(truth, 3, VOID).sum() == 5


def test_ignored_pixels_are_of_no_object_and_join_none():
    truth = np.full((30, 30), VOID, dtype=np.uint8)
    truth[4, 4], truth[4, 6:9] = 1, 1
    assert np.argwhere(mark_small_objects(truth, 2, VOID)).tolist() == [[4, 4]]
    assert not mark_small_objects(np.full((9, 9), 65535, dtype=np.uint16), 300, 65535).any()


def test_real_scenes_have_some_pixels_of_small_objects(shared_data):
    """Poles, signs and people of CamVid; most pixels are of large regions."""
    name = (shared_data / "camvid" / "splits" / "test.txt").read_text().split()[0]
    truth = np.asarray(Image.open(shared_data / "camvid" / "masks" / f"{name}.png"))
    small = mark_small_objects(truth, 11, 255)
    assert 0 < small.mean() < 0.2
    assert not small[truth == 255].any()


def test_small_objects_are_found_once_a_split_and_kept_beside_it(packed, monkeypatch):
    expected = [mark_small_objects(packed().labels(index), 3, VOID) for index in range(3)]
    assert sum(small.sum() for small in expected) == 2 * 3
    np.testing.assert_array_equal(find_small_objects(packed(), [0, 2], CPU).numpy(), [expected[0], expected[2]])
    monkeypatch.setattr("segbench.engine.evaluation.small_objects.mark_small_objects", None)
    np.testing.assert_array_equal(find_small_objects(packed(), [1], CPU).numpy(), [expected[1]])


@pytest.mark.parametrize("place", [0, 40, -1])
def test_damaged_small_objects_are_found_again(packed, place):
    expected = find_small_objects(packed(), [0, 2], CPU)
    path = packed().folder / SMALL_OBJECTS
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert torch.equal(find_small_objects(packed(), [0, 2], CPU), expected)
    check_seal(path)


def test_where_nothing_can_be_kept_small_objects_are_found_each_time(packed):
    (packed().folder / SMALL_OBJECTS).mkdir()
    expected = mark_small_objects(packed().labels(1), 3, VOID)
    np.testing.assert_array_equal(find_small_objects(packed(), [1], CPU).numpy(), [expected])


@pytest.fixture
def packed(tmp_path):
    """A function that opens a split of three images of two sizes, each with two small objects."""
    samples = []
    for index, size in enumerate([(21, 33), (30, 40), (21, 33)]):
        labels = np.zeros(size, dtype=np.uint8)
        labels[3 + index, 4], labels[9, 9 + index] = 1, 2
        samples.append(Sample(np.zeros((*size, 3), dtype=np.uint8), labels, str(index)))
    dataset = Dataset(("a", "b", "c"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)), {"test": samples}, ignore_index=VOID)
    write_packed(dataset, "test", tmp_path)
    return lambda: open_packed(tmp_path)


@settings(max_examples=50)
@given(
    truth=arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 12)), elements=st.integers(0, 2)),
    limit=st.integers(0, 40),
    band=st.integers(1, 40),
)
def test_objects_that_lie_in_several_bands_of_a_large_image_are_whole(truth, limit, band):
    whole = np.zeros(truth.shape, dtype=bool)
    for class_id in (0, 1):
        components, _ = ndimage.label(truth == class_id, np.ones((3, 3)))
        whole |= (components > 0) & (np.bincount(components.ravel())[components] < limit)
    with mock.patch.object(pixels, "BAND_PIXELS", band):
        np.testing.assert_array_equal(mark_in_bands(truth, 2, 2, limit), whole)
