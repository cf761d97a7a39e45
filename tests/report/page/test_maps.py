from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from segbench.engine.evaluation.boundary import near_another_class as near_another_class_on_the_device
from segbench.report.page.embedding import LONGEST, jpeg, png, shrink
from segbench.report.page.maps import (
    boundary_map,
    error_map,
    near_another_class,
    shrink_labels,
)

STRIPES = np.array([[0, 0, 0, 0, 1, 1, 1, 1, 255]])


def opened(uri):
    return Image.open(BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_errors_beside_a_boundary_are_apart_from_others_and_from_ignored_pixels():
    predicted = np.array([[0, 1, 0, 1, 1, 1, 1, 0, 0]])
    assert np.asarray(error_map(predicted, STRIPES, 255, 0.01)).tolist() == [[0, 1, 0, 2, 0, 0, 0, 1, 3]]


@pytest.mark.parametrize("depth", [1, 3])
def test_boundaries_lie_where_the_evaluation_has_them(depth):
    labels = np.random.default_rng(0).choice([0, 1, 2, 255], (40, 50)).astype(np.uint8)
    labels = labels.repeat(3, axis=0).repeat(3, axis=1)
    codes = torch.from_numpy(np.where(labels == 255, 0, labels + 1).astype(np.uint8))[None]
    expected = near_another_class_on_the_device(codes, 3, depth)[0].numpy()
    np.testing.assert_array_equal(near_another_class(labels, labels == 255, depth), expected)


def test_boundaries_that_lie_where_none_is_or_that_are_missed_are_told_from_those_that_fit():
    truth, predicted = np.zeros((1, 60), dtype=int), np.zeros((1, 60), dtype=int)
    truth[0, 10:40] = 1
    predicted[0, 11:30] = 1
    drawn = np.asarray(boundary_map(predicted, truth, 255, 0.02))[0]
    found = {value: np.flatnonzero(drawn == value).tolist() for value in (1, 2, 3)}
    assert found == {1: [10, 11], 2: [29, 30], 3: [39, 40]}


def test_without_any_boundary_nothing_is_drawn():
    same = np.zeros((4, 4), dtype=int)
    assert not np.asarray(boundary_map(same, same, 255, 0.01)).any()


def test_maps_are_see_through_where_nothing_is_wrong_and_small():
    uri = png(error_map(STRIPES, STRIPES, 255, 0.01))
    assert uri.startswith("data:image/png;base64,")
    assert opened(uri).convert("RGBA").getpixel((0, 0))[3] == 0
    assert opened(uri).convert("RGBA").getpixel((8, 0)) == (153, 153, 153, 255)


@pytest.mark.parametrize(("size", "expected"), [((2048, 1024), (512, 256)), ((64, 48), (64, 48))])
def test_large_pictures_are_made_smaller_and_small_ones_stay(size, expected):
    image = shrink(Image.new("RGB", size, (200, 10, 10)))
    assert max(image.size) <= LONGEST
    assert opened(jpeg(image)).size == image.size == expected
    assert shrink_labels(np.zeros(size[::-1], dtype=np.uint8)).shape == expected[::-1]
