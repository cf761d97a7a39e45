from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from segbench.config.resize import Resize
from segbench.engine.data.cache import open_resized, pack, pack_resized
from segbench.engine.data.dataset import CellData
from segbench.engine.data.resizing import resize_image, resize_labels
from segbench.errors import DataError
from segbench.images import Reading

CPU = torch.device("cpu")
HALF = Resize(factor=0.5)


@pytest.mark.parametrize("size", [(18, 24), (9, 10), (72, 96), (1, 1), (17, 61)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_images_of_any_depth_and_number_of_channels_are_resized_as_torch_does(dtype, size):
    """torch in float64, antialiased; 8 bits are rounded after each of two passes, 16 bits once."""
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (5, 36, 48), dtype)
    given = torch.from_numpy(image.astype(np.float64))[None]
    expected = interpolate(given, size, mode="bilinear", antialias=True, align_corners=False)[0].numpy()
    found = resize_image(image, size)
    assert found.dtype == dtype
    assert np.abs(found - expected).max() <= (1.0 if dtype == np.uint8 else 0.51)


@pytest.mark.parametrize("size", [(18, 24), (9, 10), (72, 96), (1, 1), (17, 61), (36, 48)])
def test_labels_are_taken_from_the_nearest_pixel_centre_as_torch_does(size):
    labels = np.random.default_rng(0).integers(0, 40_000, (36, 48)).astype(np.uint16)
    found = resize_labels(labels, size)
    expected = interpolate(torch.from_numpy(labels.astype(np.float64))[None, None], size, mode="nearest-exact")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, expected[0, 0].numpy())


def test_an_image_of_the_right_size_keeps_its_pixels():
    image = np.random.default_rng(0).integers(0, 65535, (3, 7, 5), np.uint16)
    np.testing.assert_array_equal(resize_image(image, (7, 5)), image)


def test_a_resized_split_holds_resized_images_and_labels_and_is_made_once(dataset):
    native = pack(dataset, "train", "key")
    resized = pack_resized(dataset, "train", "key", HALF)
    assert resized.sizes.tolist() == [[8, 10]] * 6
    assert resized.ids == native.ids
    for index in range(6):
        np.testing.assert_array_equal(resized.image(index), resize_image(native.image(index), (8, 10)))
        np.testing.assert_array_equal(resized.labels(index), resize_labels(native.labels(index), (8, 10)))
    assert open_resized(dataset, "train", "key", HALF).folder == resized.folder
    assert len({one.folder for one in (native, resized, pack_resized(dataset, "train", "key", Resize(factor=2)))}) == 3


@pytest.mark.parametrize(
    ("resize", "message"),
    [
        (
            Resize(factor=0.03),
            r"'image 0' is \[16, 20\] .* becomes \[0, 1\] by .* \(factor 0.03\), which leaves no pixel",
        ),
        (Resize(size=(11, 10)), r"becomes \[11, 10\] .*, more than the limit of 100 pixels \(max_pixels"),
    ],
)
def test_images_without_a_pixel_and_beyond_the_limit_are_refused_before_any_is_resized(dataset, resize, message):
    limited = replace(dataset, reading=Reading(max_pixels=100))
    with pytest.raises(DataError, match=message):
        pack_resized(limited, "train", "key", resize)


def test_training_sees_resized_labels_and_scoring_native_ones(dataset):
    data = CellData(dataset, "key", CPU, HALF)
    images, labels = data.resident("test").whole([0, 1])
    assert (tuple(images.shape), tuple(labels.shape)) == ((2, 3, 8, 10), (2, 8, 10))
    seen, native = data.scored("test").whole([0, 1])
    assert torch.equal(seen, images)
    np.testing.assert_array_equal(native[1].numpy(), dataset.splits["test"][1].labels)
    assert data.scored("test").sizes.tolist() == [[16, 20]] * 3
    assert data.scored("test") is data.scored("test")


def test_scores_at_the_resized_resolution_are_against_resized_labels(dataset):
    data = CellData(dataset, "key", CPU, HALF, "resized")
    assert data.scored("test") is data.resident("test")


def test_a_dataset_that_is_not_resized_has_one_form_of_each_split(dataset):
    data = CellData(dataset, "key", CPU)
    assert data.resized("test").folder == data.packed("test").folder
    assert data.scored("test") is data.resident("test")
