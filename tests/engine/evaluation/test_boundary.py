from __future__ import annotations

from itertools import pairwise
from math import hypot

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from scipy.ndimage import binary_erosion, distance_transform_cdt, distance_transform_edt, grey_erosion

from segbench.engine.evaluation.boundary import (
    bands_between_classes,
    boundary_counts,
    dilate,
    encode,
    near_another_class,
    width_in_pixels,
)
from segbench.stats.scores import boundary_f1_by_image, boundary_iou
from segbench.store.counts import BoundaryCount

VOID = 65535
SQUARE = np.ones((3, 3), dtype=bool)


def counted(prediction, truth, num_classes, depth=1, tolerance=1, ignore_index=VOID):
    """Our counts of label maps (N, H, W), as numpy (N, K, 7)."""
    tensors = [torch.from_numpy(np.asarray(labels, dtype=np.int64)) for labels in (prediction, truth)]
    maps = encode(*tensors, num_classes, ignore_index)
    return boundary_counts(maps, bands_between_classes(maps, depth), depth, tolerance).numpy()


def band(mask, void, depth):
    """What d erosions take from a mask, void being of the mask too: it makes no boundary (scipy, class by class)."""
    padded = np.pad(mask | void, 1)
    eroded = binary_erosion(padded, SQUARE, iterations=depth)[1:-1, 1:-1]
    return mask & ~eroded


def near(mask, tolerance):
    """The pixels within a Euclidean distance of a mask."""
    return distance_transform_edt(~mask) <= tolerance if mask.any() else np.zeros_like(mask)


def oracle(prediction, truth, num_classes, depth, tolerance, ignore_index=VOID):
    """The same counts of one image, by scipy and a loop over the classes."""
    void = truth == ignore_index
    counts = []
    for index in range(num_classes):
        true, predicted = (truth == index) & ~void, (prediction == index) & ~void
        bands = [band(mask, void, depth) for mask in (true, predicted)]
        true_line, line = (band(mask, void, 1) for mask in (true, predicted))
        counts.append(
            BoundaryCount(
                intersection=(bands[0] & bands[1]).sum(),
                truth=bands[0].sum(),
                prediction=bands[1].sum(),
                predicted_matched=(line & near(true_line, tolerance)).sum(),
                predicted=line.sum(),
                true_matched=(true_line & near(line, tolerance)).sum(),
                true=true_line.sum(),
            )
        )
    return np.array(counts)


@st.composite
def scenes(draw, most_classes=12):
    """Label maps of blocks, as objects are, some of them ignored."""
    num_classes = draw(st.integers(1, most_classes))
    number, height, width = draw(st.integers(1, 3)), draw(st.integers(1, 14)), draw(st.integers(1, 14))
    size = draw(st.sampled_from([1, 2, 4]))
    blocks = (number, -(-height // size), -(-width // size))
    classes = st.integers(0, num_classes - 1)
    truth = draw(arrays.arrays(np.int64, blocks, elements=classes | st.just(VOID)))
    prediction = draw(arrays.arrays(np.int64, blocks, elements=classes))
    grown = [
        np.kron(labels, np.ones((size, size), dtype=np.int64))[:, :height, :width] for labels in (prediction, truth)
    ]
    return *grown, num_classes


@settings(max_examples=200)
@given(scenes(), st.integers(1, 5), st.integers(1, 6))
def test_counts_are_those_of_scipy_class_by_class(scene, depth, tolerance):
    prediction, truth, num_classes = scene
    found = counted(prediction, truth, num_classes, depth, tolerance)
    assert found.dtype == np.int64
    expected = [oracle(*pair, num_classes, depth, tolerance) for pair in zip(prediction, truth, strict=True)]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("num_classes", [8, 9, 15, 16, 31, 32, 63, 64, 130, 254, 255, 300])
def test_any_number_of_classes_is_counted_as_by_scipy(num_classes):
    """Around each size of the words that hold a class as a bit, and of the codes."""
    generator = np.random.default_rng(num_classes)
    truth, prediction = (np.kron(generator.integers(0, num_classes, (5, 6)), np.ones((4, 4), int)) for _ in range(2))
    prediction[:, 8:] = np.roll(truth, 1, axis=0)[:, 8:]
    truth[:2, :2], prediction[-1, -1] = num_classes - 1, num_classes - 1
    found = counted(prediction[None], truth[None], num_classes, 2, 3)
    np.testing.assert_array_equal(found[0], oracle(prediction, truth, num_classes, 2, 3))


def test_an_object_that_touches_the_border_has_its_boundary_there():
    """A column of ones at the left border, found one pixel too narrow: worked by hand."""
    truth, prediction = np.zeros((2, 1, 4, 6), dtype=np.int64)
    truth[..., :3], prediction[..., :2] = 1, 1
    [[_, ones]] = counted(prediction, truth, 2)
    # Of the true 4 x 3 pixels all but the inner (1, 1) and (2, 1) lie on the boundary; all 4 x 2 predicted ones do.
    assert ones.tolist() == [6, 10, 8, 8, 8, 10, 10]
    # Within a distance of 1 of the true boundary are all, and the other way round too.
    assert boundary_iou(np.array([[ones]])).tolist() == [6 / (10 + 8 - 6)]


def test_without_the_border_no_boundary_of_a_full_image_would_be_left():
    everything = np.zeros((1, 5, 7), dtype=np.int64)
    [[zeros]] = counted(everything, everything, 1)
    assert zeros.tolist() == [20] * 7  # 2 (5 + 7) - 4


def test_void_is_no_boundary_and_counts_nowhere():
    truth = np.array([[[0, 0, 0, 0, 0, VOID, VOID, 0, 0]] * 9])
    plain = np.zeros_like(truth)
    [[zeros]] = counted(plain, truth, 1)
    # Only the image's border: 2 x 7 pixels above and below, 2 x 7 on the left and right.
    assert zeros.tolist() == [28] * 7
    assert not near_another_class(encode(*map(torch.from_numpy, (plain, truth)), 1, VOID).truth, 1, 3).any()


def test_a_region_amid_void_has_no_boundary_at_all():
    truth = np.full((1, 7, 7), VOID)
    truth[:, 2:5, 2:5] = 1
    counts = counted(np.ones_like(truth), truth, 2)
    assert not counts.any()
    assert np.isnan(boundary_f1_by_image(counts)).all()


@given(scenes(), st.integers(1, 3), st.data())
def test_what_is_predicted_where_the_truth_is_ignored_changes_nothing(scene, depth, data):
    prediction, truth, num_classes = scene
    noise = data.draw(arrays.arrays(np.int64, truth.shape, elements=st.integers(0, num_classes - 1)))
    changed = np.where(truth == VOID, noise, prediction)
    before, after = (counted(labels, truth, num_classes, depth) for labels in (prediction, changed))
    np.testing.assert_array_equal(before, after)


@given(scenes(), st.integers(1, 4), st.randoms())
def test_batches_order_and_names_of_classes_are_of_no_effect(scene, depth, random):
    prediction, truth, num_classes = scene
    whole = counted(prediction, truth, num_classes, depth)
    alone = [counted(*pair, num_classes, depth) for pair in zip(prediction[:, None], truth[:, None], strict=True)]
    np.testing.assert_array_equal(whole, np.concatenate(alone))
    names = [*range(num_classes)]
    random.shuffle(names)
    renamed = np.append(names, VOID)  # the last stands for void
    pair = (renamed[np.minimum(labels, num_classes)] for labels in (prediction, truth))
    np.testing.assert_array_equal(counted(*pair, num_classes, depth)[:, names], whole)


@given(scenes(), st.integers(1, 4))
def test_the_truth_against_itself_matches_everywhere(scene, depth):
    _, truth, num_classes = scene
    perfect = BoundaryCount(*np.moveaxis(counted(np.where(truth == VOID, 0, truth), truth, num_classes, depth), -1, 0))
    np.testing.assert_array_equal(perfect.intersection, perfect.truth)
    np.testing.assert_array_equal(perfect.intersection, perfect.prediction)
    for count in (perfect.predicted_matched, perfect.predicted, perfect.true_matched):
        np.testing.assert_array_equal(count, perfect.true)


@given(scenes(), st.integers(1, 4))
def test_swapping_truth_and_prediction_swaps_the_counts(scene, depth):
    prediction, truth, num_classes = scene
    truth = np.where(truth == VOID, 0, truth)
    one, other = (
        BoundaryCount(*np.moveaxis(counted(*pair, num_classes, depth, 2), -1, 0))
        for pair in ((prediction, truth), (truth, prediction))
    )
    swapped = (other.intersection, other.prediction, other.truth, other.true_matched, other.true)
    swapped += (other.predicted_matched, other.predicted)
    for mine, theirs in zip(one, swapped, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("radius", [1, 2, 3, 4, 5, 8, 13])
def test_dilation_reaches_exactly_the_disc(radius):
    bits = torch.zeros(1, 31, 29, dtype=torch.uint8)
    bits[0, 15, 14], bits[0, 3, 27] = 1, 2
    found = dilate(bits, radius)[0].numpy()
    rows, columns = np.mgrid[:31, :29]
    first = np.hypot(rows - 15, columns - 14) <= radius
    second = np.hypot(rows - 3, columns - 27) <= radius
    np.testing.assert_array_equal(found, first + 2 * second)


def test_a_disc_larger_than_the_image_covers_it():
    bits = torch.zeros(1, 3, 4, dtype=torch.uint8)
    bits[0, 0, 0] = 1
    assert dilate(bits, 9).all()


def test_a_boundary_half_a_pixel_too_far_does_not_match():
    truth, prediction = np.zeros((2, 1, 9, 40), dtype=np.int64)
    truth[..., 20:], prediction[..., 24:] = 1, 1
    matched = [counted(prediction, truth, 2, tolerance=tolerance)[0, 0, 3] for tolerance in (3, 4)]
    # The edge of class 0 is 7 inner pixels long; at 4 px it is near the true one, at 3 px none of it is.
    assert matched[1] - matched[0] > 0
    assert matched[1] == counted(prediction, truth, 2, tolerance=4)[0, 0, 4]


@pytest.mark.parametrize(
    ("share", "size", "expected"),
    [(0.02, (360, 480), 12), (0.005, (360, 480), 3), (0.005, (1024, 2048), 11), (0.005, (10, 10), 1)],
)
def test_widths_are_those_of_the_reference_implementation(share, size, expected):
    assert width_in_pixels(share, *size) == expected
    assert expected == max(1, round(share * hypot(*size)))


@pytest.mark.parametrize(("folder", "num_classes"), [("camvid", 11), ("aerial_dubai", 5)])
def test_counts_on_real_label_maps_are_those_of_scipy(shared_data, folder, num_classes):
    name = (shared_data / folder / "splits" / "test.txt").read_text().split()[0]
    truth = np.asarray(Image.open(shared_data / folder / "masks" / f"{name}.png")).astype(np.int64)
    prediction = grey_erosion(np.roll(np.where(truth == 255, 0, truth), (3, -2), axis=(0, 1)), size=5)
    depth, tolerance = (width_in_pixels(share, *truth.shape) for share in (0.005, 0.0075))
    found = counted(prediction[None], truth[None], num_classes, depth, tolerance, ignore_index=255)
    np.testing.assert_array_equal(found[0], oracle(prediction, truth, num_classes, depth, tolerance, ignore_index=255))


@pytest.mark.gpu
def test_a_cuda_device_counts_as_the_cpu_does():
    generator = torch.Generator().manual_seed(0)
    truth, prediction = torch.randint(0, 20, (2, 3, 64, 96), generator=generator)
    pair = (prediction.clamp(max=18), truth)
    maps = [encode(*labels, 19, 19) for labels in (pair, [one.cuda() for one in pair])]
    ours, theirs = (boundary_counts(pair, bands_between_classes(pair, 2), 2, 3) for pair in maps)
    assert torch.equal(ours, theirs.cpu())


def test_the_band_is_what_lies_near_another_class():
    """Against scipy's chessboard distance, class by class; neither void nor the image's border is a class."""
    generator = np.random.default_rng(0)
    truth = np.kron(generator.integers(0, 4, (5, 6)), np.ones((5, 5), dtype=np.int64))
    truth = np.where(truth == 3, VOID, truth)
    tensor = torch.from_numpy(truth)[None]
    for depth in (1, 2, 4):
        [band, _] = bands_between_classes(encode(tensor.clamp(max=2), tensor, 3, VOID), depth).numpy()
        expected = np.zeros_like(band)
        for class_id in range(3):
            others = (truth != class_id) & (truth != VOID)
            expected |= (truth == class_id) & (distance_transform_cdt(~others, "chessboard") <= depth)
        np.testing.assert_array_equal(band, expected)
    assert all(one <= other for one, other in pairwise([0, band.sum(), (truth != VOID).sum()]))
