from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion, distance_transform_edt

from segbench.engine.evaluation.boundary import encode
from segbench.engine.evaluation.surface import find_surface, surface_distances

monai_metrics = pytest.importorskip("monai.metrics", reason="needs the extra medical")

VOID = 255


def distances(prediction, truth, num_classes, tolerance=2.0):
    tensors = [torch.from_numpy(np.asarray(labels, dtype=np.int64))[None] for labels in (prediction, truth)]
    return surface_distances(encode(*tensors, num_classes, VOID), tolerance)[0].numpy()


def blobs(seed, num_classes=3, size=(40, 50)):
    """Truth of blocks, and the same moved and with a stray pixel: what HD95 forgives and HD does not."""
    generator = np.random.default_rng(seed)
    truth = np.kron(generator.integers(0, num_classes, (4, 5)), np.ones((10, 10), dtype=np.int64))
    prediction = np.roll(truth, (3, 2), axis=(0, 1))
    prediction[1, 1] = num_classes - 1
    return prediction[: size[0], : size[1]], truth[: size[0], : size[1]]


def one_hot(labels, num_classes):
    return torch.nn.functional.one_hot(torch.from_numpy(labels)[None], num_classes).movedim(-1, 1)


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI 1.6 calls itself that way
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tolerance", [1.0, 2.0, 5.0])
def test_without_void_both_are_those_of_monai(seed, tolerance):
    prediction, truth = blobs(seed)
    found = distances(prediction, truth, 3, tolerance)
    pair = (one_hot(prediction, 3), one_hot(truth, 3))
    hd95 = monai_metrics.compute_hausdorff_distance(*pair, include_background=True, percentile=95)
    share = monai_metrics.compute_surface_dice(*pair, class_thresholds=[tolerance] * 3, include_background=True)
    np.testing.assert_allclose(found[:, 0], hd95[0].numpy(), rtol=1e-6)
    np.testing.assert_allclose(found[:, 1], share[0].numpy(), rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_they_are_what_scipy_measures_from_surface_to_surface(seed):
    prediction, truth = blobs(seed)
    for class_id, (hd95, share) in enumerate(distances(prediction, truth, 3)):
        true, predicted = (mask & ~binary_erosion(mask) for mask in (truth == class_id, prediction == class_id))
        directed = [distance_transform_edt(~true)[predicted], distance_transform_edt(~predicted)[true]]
        assert hd95 == pytest.approx(max(np.percentile(one, 95) for one in directed))
        assert share == pytest.approx((np.concatenate(directed) <= 2).mean())


def test_an_object_moved_by_three_pixels_is_three_pixels_off():
    """Squares of 10 x 10, each with 36 pixels of surface."""
    truth, prediction = np.zeros((2, 30, 30), dtype=np.int64)
    truth[5:15, 5:15], prediction[5:15, 8:18] = 1, 1
    hd95, share = distances(prediction, truth, 2)[1]
    assert hd95 == 3
    # Farther than 2 px: the column that sticks out of the other square, and of the one inside it the 8 pixels between
    # the corners, less the 2 at either end that are near the other's upper or lower edge.
    far = 10 + (8 - 2 * 2)
    assert share == (36 - far) / 36


def test_a_class_in_one_map_alone_is_a_diagonal_off_and_in_none_undefined():
    truth, prediction = np.zeros((2, 30, 40), dtype=np.int64)
    truth[5:9, 5:9] = 1
    found = distances(prediction, truth, 3)
    assert found[1].tolist() == [50, 0]
    assert np.isnan(found[2]).all()
    np.testing.assert_array_equal(distances(truth, prediction, 3)[1], [50, 0])


def test_void_is_no_surface_and_what_is_predicted_there_changes_nothing():
    truth = np.zeros((20, 20), dtype=np.int64)
    truth[:, 10:13], truth[:, 13:] = VOID, 1
    prediction = np.where(truth == VOID, 0, truth)
    codes = np.where(truth == VOID, 0, truth + 1)
    assert not find_surface(codes)[1:-1, 9].any()
    assert not find_surface(codes)[1:-1, 13].any()
    noise = np.where(truth == VOID, np.arange(20) % 2, prediction)
    for labels in (prediction, noise):
        assert distances(labels, truth, 2).tolist() == [[0, 1], [0, 1]]


def test_the_border_of_the_image_is_a_surface():
    everything = np.ones((4, 5), dtype=np.int64)
    np.testing.assert_array_equal(find_surface(everything), everything.astype(bool) & ~binary_erosion(everything))
    assert find_surface(everything).sum() == 14
