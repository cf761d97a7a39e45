from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from torchmetrics.classification import MulticlassCalibrationError

from segbench.engine.evaluation.calibration import CalibrationCounter, measure_logits, measure_probabilities
from segbench.engine.evaluation.confusion import classify
from segbench.stats.scores import brier, expected_calibration_error, negative_log_likelihood

VOID = 255


def scene(seed=0, num_classes=5, size=(3, 40, 50), spread=2.0):
    """Logits (N, K, H, W) and labels of which a few are ignored."""
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(size[0], num_classes, *size[1:], generator=generator)
    labels = torch.randint(0, num_classes + 1, size, generator=generator)
    return logits, labels.masked_fill(labels == num_classes, VOID)


def counted(logits, labels, measure=measure_logits):
    counter = CalibrationCounter(VOID, measure)
    counter.add(logits, classify(logits), labels)
    return [part.cpu().numpy() for part in counter.counts()]


def assert_alike(found, expected):
    """Rounding may move a pixel across the edge of a bin; it hardly changes the sums over all pixels."""
    np.testing.assert_allclose(found[0].sum(axis=1), expected[0].sum(axis=1), rtol=1e-6)
    assert np.abs(found[0] - expected[0]).max() < 1.01
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-6)


def labelled(logits, labels):
    """The probabilities (P, K) and classes (P,) of labelled pixels, float64."""
    valid = labels != VOID
    return logits.double().softmax(dim=1).movedim(1, -1)[valid].numpy(), labels[valid].numpy()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("num_classes", [2, 5, 21])
def test_ece_is_that_of_torchmetrics(seed, num_classes):
    logits, labels = scene(seed, num_classes)
    calibration, _ = counted(logits, labels)
    oracle = MulticlassCalibrationError(num_classes, n_bins=15, norm="l1", ignore_index=VOID)
    assert expected_calibration_error(calibration) == pytest.approx(oracle(logits, labels).item(), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_nll_and_brier_score_are_those_of_sklearn_and_of_their_definition(seed):
    logits, labels = scene(seed)
    _, likelihood = counted(logits, labels)
    probabilities, classes = labelled(logits, labels)
    pixels = len(classes)
    expected = log_loss(classes, probabilities, labels=range(5))
    assert negative_log_likelihood(likelihood, pixels) == pytest.approx(expected, rel=1e-6)
    distances = ((probabilities - np.eye(5)[classes]) ** 2).sum(axis=1)
    assert brier(likelihood, pixels) == pytest.approx(distances.mean(), rel=1e-6)


def test_bins_hold_pixels_top_probabilities_and_right_ones():
    """Worked by hand: probabilities .8 (right), .7 (wrong), .55 (right); a fourth pixel is ignored."""
    top = torch.tensor([0.8, 0.7, 0.55, 0.9])
    probabilities = torch.stack([top, 1 - top]).view(1, 2, 1, 4)
    calibration, likelihood = counted(probabilities, torch.tensor([[[0, 1, 0, VOID]]]), measure_probabilities)
    bins = {10: (1, 0.7, 0), 11: (1, 0.8, 1), 8: (1, 0.55, 1)}  # of width 1/15
    expected = np.array([bins.get(index, (0, 0, 0)) for index in range(15)], dtype=np.float64)
    np.testing.assert_allclose(calibration[0], expected, atol=1e-7)
    np.testing.assert_allclose(likelihood[0], [-np.log(0.8 * 0.3 * 0.55), 2 * (0.04 + 0.49 + 0.2025)], rtol=1e-6)
    assert expected_calibration_error(calibration) == pytest.approx((0.2 + 0.7 + 0.45) / 3)


def test_the_upper_edge_of_a_bin_belongs_to_it():
    """1/3 is the edge of the fifth bin, and 1 of the last one, where torchmetrics opens a sixteenth."""
    sure = torch.tensor([[40.0, 0, 0], [0, 0, 0]]).t().view(1, 3, 1, 2)
    calibration, _ = counted(sure, torch.tensor([[[0, 0]]]))
    assert np.flatnonzero(calibration[0, :, 0]).tolist() == [4, 14]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_logits_and_their_probabilities_count_alike_in_any_layout(layout):
    logits, labels = scene(size=(2, 200, 250))  # more than one block of pixels
    expected = counted(logits, labels)
    probabilities = logits.softmax(dim=1).contiguous(memory_format=layout)
    for found in (
        counted(logits.contiguous(memory_format=layout), labels),
        counted(probabilities, labels, measure_probabilities),
    ):
        assert_alike(found, expected)


def test_images_of_a_batch_are_counted_each_for_itself():
    logits, labels = scene()
    whole = counted(logits, labels)
    alone = zip(*(counted(logits[i : i + 1], labels[i : i + 1]) for i in range(3)), strict=True)
    for one, parts in zip(whole, alone, strict=True):
        np.testing.assert_array_equal(one, np.concatenate(parts))


@given(st.integers(0, 10**6), st.integers(1, 39))
def test_counts_of_tiles_add_up_to_those_of_the_image(seed, cut):
    logits, labels = scene(seed, size=(1, 40, 30))
    whole = counted(logits, labels)
    upper, lower = (
        counted(logits[:, :, rows].contiguous(), labels[:, rows]) for rows in (slice(cut), slice(cut, None))
    )
    assert_alike([sum(parts) for parts in zip(upper, lower, strict=True)], whole)


@given(st.integers(0, 10**6))
def test_what_is_predicted_where_the_truth_is_ignored_changes_nothing(seed):
    logits, labels = scene(seed, size=(1, 10, 12))
    changed = torch.where((labels == VOID)[:, None], -logits, logits)
    for before, after in zip(counted(logits, labels), counted(changed, labels), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_certain_and_right_network_is_perfectly_calibrated():
    labels = torch.tensor([[[0, 1, 2]]])
    logits = 200 * torch.nn.functional.one_hot(labels, 3).movedim(-1, 1).float()
    calibration, likelihood = counted(logits, labels)
    assert expected_calibration_error(calibration) == 0
    assert likelihood.tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("scores", "measure"),
    [
        (torch.tensor([1000.0, 0.0]), measure_logits),
        (torch.tensor([1.0, 0.0]), measure_probabilities),
        (torch.tensor([torch.inf, 0.0]), measure_logits),
        (torch.tensor([torch.nan, torch.nan]), measure_logits),
    ],
)
def test_what_cannot_be_worse_has_the_largest_finite_scores(scores, measure):
    calibration, likelihood = counted(scores.view(1, 2, 1, 1), torch.tensor([[[1]]]), measure)
    assert calibration[0, 14].tolist() == [1, 1, 0]
    assert likelihood[0].tolist() == pytest.approx([126 * np.log(2), 2])


def test_an_image_without_labels_counts_nothing():
    logits, labels = scene(size=(1, 4, 5))
    calibration, likelihood = counted(logits, torch.full_like(labels, VOID))
    assert not calibration.any()
    assert not likelihood.any()
    assert expected_calibration_error(calibration) is None
    assert negative_log_likelihood(likelihood, 0) is None


@pytest.mark.gpu
def test_a_cuda_device_counts_as_the_cpu_does():
    logits, labels = scene()
    expected = counted(logits, labels)
    found = counted(logits.cuda(), labels.cuda())
    for ours, theirs in zip(expected, found, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1.01)
