from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import confusion_matrix
from torchmetrics.classification import MulticlassJaccardIndex

from segbench.engine.evaluation.confusion import add_to_bins, classify, confusion_matrices
from segbench.stats.scores import miou

# Few distinct values, so that ties are the rule.
VALUES = st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 1.0, np.inf, np.nan])


@settings(deadline=None)
@given(
    arrays.arrays(np.float32, arrays.array_shapes(min_dims=4, max_dims=4, max_side=4), elements=VALUES),
    st.sampled_from([torch.contiguous_format, torch.channels_last]),
    st.sampled_from([torch.float32, torch.bfloat16, torch.float16, torch.float64]),
)
def test_classes_are_those_of_argmax_ties_and_nan_included(values, layout, dtype):
    logits = torch.from_numpy(values).to(dtype).contiguous(memory_format=layout)
    assert torch.equal(classify(logits).long(), logits.argmax(dim=1))


@pytest.mark.parametrize("num_classes", [1, 2, 15, 16, 255, 256, 257])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_any_number_of_classes_is_classified_as_by_argmax(num_classes, layout):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randint(-3, 4, (2, num_classes, 3, 5), generator=generator).float()
    logits = logits.contiguous(memory_format=layout)
    assert torch.equal(classify(logits).long(), logits.argmax(dim=1))


def test_logits_that_were_cut_out_of_larger_ones_are_classified_alike():
    logits = torch.randn(2, 5, 8, 9, generator=torch.Generator().manual_seed(0))[..., 1:6, 2:8]
    assert torch.equal(classify(logits).long(), logits.argmax(dim=1))


@st.composite
def label_maps(draw):
    num_classes = draw(st.integers(2, 20))
    ignore_index = draw(st.sampled_from([num_classes, 255, 300, 65535]))
    shape = draw(arrays.array_shapes(min_dims=3, max_dims=3, max_side=5))
    classes = st.integers(0, num_classes - 1)
    truth = draw(arrays.arrays(np.int64, shape, elements=classes | st.just(ignore_index)))
    prediction = draw(arrays.arrays(np.int64, shape, elements=classes))
    return prediction, truth, num_classes, ignore_index


@settings(deadline=None)
@given(label_maps())
def test_counts_are_those_of_sklearn_image_by_image(case):
    prediction, truth, num_classes, ignore_index = case
    counts = confusion_matrices(torch.from_numpy(prediction), torch.from_numpy(truth), num_classes, ignore_index)
    assert counts.dtype == torch.int64
    for one, image, matrix in zip(prediction, truth, counts.numpy(), strict=True):
        kept = image != ignore_index
        if kept.any():
            expected = confusion_matrix(image[kept], one[kept], labels=range(num_classes))
            np.testing.assert_array_equal(matrix, expected)
        else:
            assert matrix.sum() == 0


@settings(deadline=None)
@given(label_maps(), st.data())
def test_what_is_predicted_where_the_truth_is_ignored_does_not_count(case, data):
    prediction, truth, num_classes, ignore_index = case
    noise = data.draw(arrays.arrays(np.int64, truth.shape, elements=st.integers(0, num_classes - 1)))
    changed = np.where(truth == ignore_index, noise, prediction)
    tensors = [torch.from_numpy(array) for array in (prediction, changed, truth)]
    before = confusion_matrices(tensors[0], tensors[2], num_classes, ignore_index)
    assert torch.equal(before, confusion_matrices(tensors[1], tensors[2], num_classes, ignore_index))


@given(label_maps(), st.data())
def test_counts_of_tiles_add_up_to_those_of_the_image(case, data):
    prediction, truth, num_classes, ignore_index = case
    row, column = (data.draw(st.integers(0, length)) for length in truth.shape[1:])
    one, other = torch.from_numpy(prediction), torch.from_numpy(truth)
    tiles = [
        [labels[:, rows, columns] for labels in (one, other)]
        for rows in (slice(row), slice(row, None))
        for columns in (slice(column), slice(column, None))
    ]
    parts = [confusion_matrices(*tile, num_classes, ignore_index) for tile in tiles]
    assert torch.equal(sum(parts), confusion_matrices(one, other, num_classes, ignore_index))


@settings(deadline=None)
@given(label_maps(), st.randoms())
def test_renaming_the_classes_permutes_rows_and_columns(case, random):
    prediction, truth, num_classes, ignore_index = case
    names = list(range(num_classes))
    random.shuffle(names)
    table = torch.tensor(names)
    one, other = torch.from_numpy(prediction), torch.from_numpy(truth)
    renamed = torch.where(other == ignore_index, other, table[other.clamp(max=num_classes - 1)])
    before = confusion_matrices(one, other, num_classes, ignore_index)
    after = confusion_matrices(table[one], renamed, num_classes, ignore_index)
    assert torch.equal(after[:, table][:, :, table], before)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_any_integer_type_of_label_map_counts_alike(dtype):
    truth = torch.tensor([[[0, 1], [2, 255]]])
    prediction = torch.tensor([[[0, 2], [2, 1]]])
    counts = confusion_matrices(prediction.to(dtype), truth.to(dtype), 3, 255)
    assert counts.tolist() == [[[1, 0, 0], [0, 0, 1], [0, 0, 1]]]


@settings(max_examples=30, deadline=None)
@given(label_maps())
def test_the_mean_iou_of_the_counts_is_that_of_torchmetrics(case):
    prediction, truth, num_classes, ignore_index = case
    if (truth == ignore_index).all():
        return
    one, other = torch.from_numpy(prediction), torch.from_numpy(truth)
    oracle = MulticlassJaccardIndex(num_classes=num_classes, ignore_index=ignore_index, average="macro")
    oracle.update(one, other)
    total = confusion_matrices(one, other, num_classes, ignore_index).sum(dim=0).numpy()
    assert miou(total) == pytest.approx(oracle.compute().item(), abs=1e-6)


def test_counting_beyond_sixteen_million_pixels_stays_exact():
    pixels = 2**24 + 3  # where float32 stops counting
    label_map = torch.zeros(1, 1, pixels, dtype=torch.uint8)
    assert confusion_matrices(label_map, label_map, 2, 255)[0, 0, 0] == pixels


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64])
@pytest.mark.parametrize("pixels", [1, 127, 5000])
def test_bins_are_added_up_on_a_device_as_numpy_does(dtype, pixels):
    generator = np.random.default_rng(0)
    bins = generator.choice([0, 3, 3, 3, 3, 6], (3, pixels))  # one is hot, some are empty
    values = generator.integers(0, 2**20, (3, pixels)) / 2**20  # whose sums are exact
    placed = torch.from_numpy(bins).to(dtype)
    kept = placed.clone()
    counts = add_to_bins(placed, torch.ones_like(placed, dtype=torch.int64), 7)
    sums = add_to_bins(placed, torch.from_numpy(values), 7)
    assert torch.equal(placed, kept)
    assert (counts.dtype, sums.dtype) == (torch.int64, torch.float64)
    np.testing.assert_array_equal(counts.numpy(), [np.bincount(one, minlength=7) for one in bins])
    expected = [np.bincount(one, own, minlength=7) for one, own in zip(bins, values, strict=True)]
    np.testing.assert_array_equal(sums.numpy(), expected)


@pytest.mark.gpu
def test_a_cuda_device_counts_and_classifies_as_the_cpu_does():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randint(-2, 3, (3, 19, 64, 96), generator=generator).float()
    truth = torch.randint(0, 20, (3, 64, 96), generator=generator)
    truth[truth == 19] = 255
    expected = confusion_matrices(classify(logits), truth, 19, 255)
    counts = confusion_matrices(classify(logits.cuda()), truth.cuda(), 19, 255)
    assert torch.equal(counts.cpu(), expected)
