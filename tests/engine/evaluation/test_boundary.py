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
    SMALL_SHARE,
    bands_between_classes,
    boundary_counts,
    coded,
    dilated,
    near_another_class,
    small_objects,
    surface,
    surface_distances,
    width_in_pixels,
)
from segbench.stats.scores import boundary_f1_by_image, boundary_iou
from segbench.store.counts import BoundaryCount

VOID = 65535


SQUARE = np.ones((3, 3), dtype=bool)


def counted(prediction, truth, num_classes, depth=1, tolerance=1, ignore_index=VOID):
    """Our counts of label maps (N, H, W), as numpy (N, K, 7)."""
    tensors = [torch.from_numpy(np.asarray(labels, dtype=np.int64)) for labels in (prediction, truth)]
    maps = coded(*tensors, num_classes, ignore_index)
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
    assert not near_another_class(coded(*map(torch.from_numpy, (plain, truth)), 1, VOID).truth, 1, 3).any()


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
    found = dilated(bits, radius)[0].numpy()
    rows, columns = np.mgrid[:31, :29]
    first = np.hypot(rows - 15, columns - 14) <= radius
    second = np.hypot(rows - 3, columns - 27) <= radius
    np.testing.assert_array_equal(found, first + 2 * second)


def test_a_disc_larger_than_the_image_covers_it():
    bits = torch.zeros(1, 3, 4, dtype=torch.uint8)
    bits[0, 0, 0] = 1
    assert dilated(bits, 9).all()


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
    maps = [coded(*labels, 19, 19) for labels in (pair, [one.cuda() for one in pair])]
    ours, theirs = (boundary_counts(pair, bands_between_classes(pair, 2), 2, 3) for pair in maps)
    assert torch.equal(ours, theirs.cpu())


VOID_OF_STRATA = 255


def flooded(truth, row, column):
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
        truth[row : row + 2, column : column + 1] = VOID_OF_STRATA if class_id == 3 else class_id
    expected, seen = np.zeros(truth.shape, dtype=bool), set()
    for place in np.ndindex(truth.shape):
        if place not in seen and truth[place] != VOID_OF_STRATA:
            seen |= (reached := flooded(truth, *place))
            expected[tuple(zip(*reached, strict=True))] = len(reached) * 300 < truth.size
    np.testing.assert_array_equal(small_objects(truth, 3, VOID_OF_STRATA), expected)


def test_the_limit_is_a_three_hundredth_of_the_image():
    assert 1 / SMALL_SHARE == 300
    truth = np.zeros((20, 60), dtype=np.uint8)  # 4 pixels are a three-hundredth
    truth[2, 2:5], truth[10, 10:14] = 1, 1
    assert np.argwhere(small_objects(truth, 2, VOID_OF_STRATA)).tolist() == [[2, 2], [2, 3], [2, 4]]


def test_a_thin_slanted_object_is_one_object():
    truth = np.zeros((30, 30), dtype=np.uint8)  # below 3 pixels is small
    truth[range(5, 25), range(5, 25)] = 1
    assert not small_objects(truth, 2, VOID_OF_STRATA).any()


def test_a_class_below_another_does_not_join_its_pieces():
    truth = np.zeros((30, 30), dtype=np.uint8)
    truth[4, 4:6], truth[4, 6], truth[4, 7:9] = 1, 2, 1
    assert small_objects(truth, 3, VOID_OF_STRATA).sum() == 5


def test_ignored_pixels_are_of_no_object_and_join_none():
    truth = np.full((30, 30), VOID_OF_STRATA, dtype=np.uint8)
    truth[4, 4], truth[4, 6:9] = 1, 1
    assert np.argwhere(small_objects(truth, 2, VOID_OF_STRATA)).tolist() == [[4, 4]]
    assert not small_objects(np.full((9, 9), 65535, dtype=np.uint16), 300, 65535).any()


def test_the_band_is_what_lies_near_another_class():
    """Against scipy's chessboard distance, class by class; neither void nor the image's border is a class."""
    generator = np.random.default_rng(0)
    truth = np.kron(generator.integers(0, 4, (5, 6)), np.ones((5, 5), dtype=np.int64))
    truth = np.where(truth == 3, VOID_OF_STRATA, truth)
    tensor = torch.from_numpy(truth)[None]
    for depth in (1, 2, 4):
        [band, _] = bands_between_classes(coded(tensor.clamp(max=2), tensor, 3, VOID_OF_STRATA), depth).numpy()
        expected = np.zeros_like(band)
        for class_id in range(3):
            others = (truth != class_id) & (truth != VOID_OF_STRATA)
            expected |= (truth == class_id) & (distance_transform_cdt(~others, "chessboard") <= depth)
        np.testing.assert_array_equal(band, expected)
    assert all(one <= other for one, other in pairwise([0, band.sum(), (truth != VOID_OF_STRATA).sum()]))


def test_real_scenes_have_some_pixels_of_small_objects(shared_data):
    """Poles, signs and people of CamVid; most pixels are of large regions."""
    name = (shared_data / "camvid" / "splits" / "test.txt").read_text().split()[0]
    truth = np.asarray(Image.open(shared_data / "camvid" / "masks" / f"{name}.png"))
    small = small_objects(truth, 11, 255)
    assert 0 < small.mean() < 0.2
    assert not small[truth == 255].any()


monai_metrics = pytest.importorskip("monai.metrics", reason="needs the extra medical")


VOID_OF_SURFACE = 255


def distances(prediction, truth, num_classes, tolerance=2.0):
    tensors = [torch.from_numpy(np.asarray(labels, dtype=np.int64))[None] for labels in (prediction, truth)]
    return surface_distances(coded(*tensors, num_classes, VOID_OF_SURFACE), tolerance)[0].numpy()


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
    truth[:, 10:13], truth[:, 13:] = VOID_OF_SURFACE, 1
    prediction = np.where(truth == VOID_OF_SURFACE, 0, truth)
    codes = np.where(truth == VOID_OF_SURFACE, 0, truth + 1)
    assert not surface(codes)[1:-1, 9].any()
    assert not surface(codes)[1:-1, 13].any()
    noise = np.where(truth == VOID_OF_SURFACE, np.arange(20) % 2, prediction)
    for labels in (prediction, noise):
        assert distances(labels, truth, 2).tolist() == [[0, 1], [0, 1]]


def test_the_border_of_the_image_is_a_surface():
    everything = np.ones((4, 5), dtype=np.int64)
    np.testing.assert_array_equal(surface(everything), everything.astype(bool) & ~binary_erosion(everything))
    assert surface(everything).sum() == 14
