from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segbench import Sample
from segbench.testing.mask_edges import find_interpolated_file, find_invented_classes


def blocks(classes, seed=0):
    """Return 96x96 labels: blocks of seven or eight pixels a side, of classes drawn at random."""
    drawn = np.random.default_rng(seed).choice(classes, (13, 13)).astype(np.uint8)
    places = (np.arange(96) / 7.4).astype(int)
    return drawn[places][:, places]


def resized(labels, side, resampling):
    return np.asarray(Image.fromarray(labels).resize((side, side), Image.Resampling[resampling]))


@pytest.mark.parametrize("side", [48, 77, 200, 288])
@pytest.mark.parametrize("resampling", ["BILINEAR", "BICUBIC"])
def test_interpolation_invents_classes_between_others(side, resampling):
    assert find_invented_classes([resized(blocks(range(10)), side, resampling)], 255)


@pytest.mark.parametrize("side", [48, 77, 96, 200, 288])
def test_nearest_neighbours_invent_none(side):
    assert find_invented_classes([resized(blocks(range(10)), side, "NEAREST")], 255) == []


def test_one_class_drawn_as_a_thin_line_around_another_is_not_invented():
    labels = blocks([0, 2])
    edges = np.diff(labels.astype(int), axis=0, append=labels[-1:]) != 0
    assert find_invented_classes([np.where(edges, np.uint8(1), labels)], 255) == []


def test_ignored_edges_are_not_invented():
    labels = blocks(range(10))
    edges = np.diff(labels.astype(int), axis=1, append=labels[:, -1:]) != 0
    assert find_invented_classes([np.where(edges, np.uint8(255), labels)], 255) == []


def stored(tmp_path, labels):
    file = tmp_path / "mask.png"
    Image.fromarray(labels).save(file)
    return file


def suspect(labels, file):
    return find_interpolated_file(Sample(np.zeros((*labels.shape, 3), np.uint8), labels, "a"), [file], 255)


def test_stored_values_may_have_any_names(tmp_path):
    labels = blocks([0, 1, 2])
    assert suspect(labels, stored(tmp_path, labels * 100)) is None


def test_colours_may_have_any_names(tmp_path):
    labels = blocks([0, 1, 2])
    colours = np.array([[0, 0, 0], [128, 0, 9], [128, 9, 0]], np.uint8)
    assert suspect(labels, stored(tmp_path, colours[labels])) is None


def test_what_is_ignored_may_come_from_elsewhere(tmp_path):
    labels = blocks([0, 1, 2])
    file = stored(tmp_path, labels)
    labels = labels.copy()
    labels[:9] = 255
    assert suspect(labels, file) is None


def test_two_labels_of_one_stored_value_are_found(tmp_path):
    labels = blocks([0, 1, 2])
    file = stored(tmp_path, labels)
    labels = labels.copy()
    labels[5, 5] = (labels[5, 5] + 1) % 3
    assert suspect(labels, file) == file


@pytest.mark.parametrize("side", [48, 77, 96, 200])
def test_only_nearest_neighbours_are_as_stored(side, tmp_path):
    labels = blocks([0, 3])
    file = stored(tmp_path, labels)
    assert suspect(resized(labels, side, "NEAREST"), file) is None
    if side != 96:
        assert suspect(resized(labels, side, "BILINEAR"), file) == file


def test_a_file_that_the_labels_do_not_come_from_proves_nothing(tmp_path):
    assert suspect(blocks([0, 1, 2], seed=1), stored(tmp_path, blocks([0, 1, 2], seed=2))) is None


def test_a_file_that_is_no_image_proves_nothing(tmp_path):
    file = tmp_path / "mask.txt"
    file.write_text("0 1")
    assert suspect(blocks([0, 1]), file) is None
