from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import interpolate

from segbench.config.protocol import Budget, TrainingProtocol, Window
from segbench.config.resize import Resize
from segbench.config.views import Views
from segbench.engine.evaluation.inference import class_scores, predict_image, score_pixels, see_views, window_slices


class PositionInWindow(nn.Module):
    """Logits that depend on where in its window a pixel lies, as those of a network with padded borders do."""

    def forward(self, images):
        height, width = images.shape[2:]
        ramp = torch.arange(height * width, dtype=images.dtype).view(1, 1, height, width)
        return torch.cat([images[:, :1] * ramp, images[:, :1] - 0.1 * ramp, ramp.expand_as(images[:, :1]) / 7], dim=1)


def images(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


lengths = st.integers(1, 12)


@settings(deadline=None)
@given(lengths, lengths, st.data())
def test_windows_cover_every_pixel_and_stay_inside(height, width, data):
    size = data.draw(st.tuples(lengths, lengths))
    stride = tuple(data.draw(st.integers(1, length)) for length in size)
    count = np.zeros((height, width), dtype=int)
    for rows, columns in window_slices((height, width), Window(size=size, stride=stride)):
        assert count[rows, columns].shape == (min(size[0], height), min(size[1], width))
        count[rows, columns] += 1
    assert (count > 0).all()


def test_the_last_window_is_shifted_to_the_border():
    slices = list(window_slices((4, 9), Window(size=(4, 4), stride=(4, 3))))
    assert [(columns.start, columns.stop) for _, columns in slices] == [(0, 4), (3, 7), (5, 9)]


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 9), st.integers(1, 9))
def test_overlapping_windows_average_probabilities(height, width):
    network, given = PositionInWindow(), images(2, 3, height, width)
    window = Window(size=(4, 5), stride=(2, 3))
    total, count = np.zeros((2, 3, height, width)), np.zeros((height, width))
    tops = sorted({min(top, max(0, height - 4)) for top in range(0, height, 2)})
    lefts = sorted({min(left, max(0, width - 5)) for left in range(0, width, 3)})
    for top in tops:
        for left in lefts:
            part = given[:, :, top : top + 4, left : left + 5]
            total[:, :, top : top + 4, left : left + 5] += network(part).softmax(dim=1).numpy()
            count[top : top + 4, left : left + 5] += 1
    found = class_scores(network, given, precision="fp32", window=window)
    np.testing.assert_allclose(found.numpy(), total / count, rtol=1e-5, atol=1e-6)


def test_without_a_window_the_scores_are_the_logits():
    network, given = PositionInWindow(), images(1, 3, 4, 5)
    assert torch.equal(class_scores(network, given, precision="fp32", window=None), network(given))


def test_a_window_larger_than_the_image_sees_it_whole():
    network, given = PositionInWindow(), images(1, 3, 4, 5)
    found = class_scores(network, given, precision="fp32", window=Window(size=(8, 8), stride=(1, 1)))
    assert torch.equal(found, network(given).softmax(dim=1))


@pytest.mark.parametrize("window", [None, Window(size=(4, 4), stride=(2, 2))])
def test_scores_are_float32_whatever_the_precision(window):
    network = nn.Conv2d(3, 2, 1)
    found = class_scores(network, images(1, 3, 6, 6), precision="bf16", window=window)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    exact = class_scores(network, images(1, 3, 6, 6), precision="fp32", window=window)
    assert not torch.equal(found, exact)
    torch.testing.assert_close(found, exact, rtol=0.02, atol=0.05)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_an_image_of_8_or_16_bits_is_predicted_as_its_fraction_of_white(dtype):
    white = 255 if dtype == torch.uint8 else 65535
    image = torch.tensor([[[0, white], [white, 0]]], dtype=dtype)
    network = nn.Conv2d(1, 2, 1)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1))
        network.bias.zero_()
    prediction = predict_image(network, image, white, TrainingProtocol(budget=Budget(steps=1), channels_last=True))
    assert prediction.labels.tolist() == [[0, 1], [1, 0]]


IMAGE = torch.randint(0, 256, (3, 6, 7), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def network(images):
    return torch.cat([images * 3, -images[:, :1]], dim=1)


def predict(**protocol):
    return predict_image(network, IMAGE, 255, TrainingProtocol(budget=Budget(steps=1), **protocol))


def test_probabilities_are_the_softmax_of_the_logits():
    prediction = predict()
    expected = network(IMAGE[None] / 127.5 - 1)
    torch.testing.assert_close(prediction.logits, expected)
    torch.testing.assert_close(prediction.probabilities, expected.softmax(dim=1))
    assert prediction.labels.tolist() == expected.argmax(dim=1)[0].tolist()


def test_probabilities_of_a_window_are_not_put_through_the_softmax_again():
    whole, windowed = predict(), predict(window=Window(size=(4, 4), stride=(2, 3)))
    torch.testing.assert_close(windowed.probabilities, whole.probabilities)
    torch.testing.assert_close(windowed.logits.softmax(dim=1), whole.probabilities)
    assert (windowed.labels == whole.labels).all()


def test_a_class_of_probability_zero_has_a_finite_logit():
    prediction = predict_image(
        lambda images: network(images) * 1e4,
        IMAGE,
        255,
        TrainingProtocol(budget=Budget(steps=1), window=Window(size=(8, 8), stride=(8, 8))),
    )
    assert prediction.probabilities.min() == 0
    assert prediction.logits.isfinite().all()


def test_the_label_map_of_a_resized_image_has_its_own_size_and_the_pixels_of_the_logits_resized():
    """By hand: halving averages pairs, and doubling logits puts three quarters of the nearer one into each pixel."""
    image = torch.tensor([[[0, 0, 255, 255]]], dtype=torch.uint8)
    halved = TrainingProtocol(budget=Budget(steps=1), resize=Resize(size=(1, 2)))
    prediction = predict_image(lambda seen: torch.cat([-seen, seen], dim=1), image, 255, halved)
    assert prediction.images.shape == (1, 1, 1, 2)
    assert prediction.labels.tolist() == [[0, 0, 1, 1]]
    dark, bright = prediction.images[0, 0, 0].tolist()
    expected = [dark, 0.75 * dark + 0.25 * bright, 0.25 * dark + 0.75 * bright, bright]
    assert prediction.scores[0, 1, 0].tolist() == pytest.approx(expected)
    assert prediction.seen_labels.tolist() == [[0, 1]]


def averaging(**changes):
    return TrainingProtocol(budget=Budget(steps=1), **changes)


@pytest.mark.parametrize("window", [None, Window(size=(4, 4), stride=(2, 2))])
def test_what_does_not_depend_on_the_place_is_the_same_from_mirrored_images(window):
    given = images(2, 3, 6, 7)
    found = score_pixels(network, given, averaging(tta=Views(flip=True), window=window), (6, 7))
    torch.testing.assert_close(found, network(given).softmax(dim=1))


def test_views_are_mirrored_back_resized_to_the_labels_and_averaged_after_the_softmax():
    """Written out for a network that depends on the place, with torch's float64 in another order of steps."""
    depends, given = PositionInWindow(), images(2, 3, 8, 10)
    found = score_pixels(depends, given, averaging(tta=Views(flip=True, scales=(0.5, 1.25))), (16, 20))
    total = np.zeros((2, 3, 16, 20))
    for size in [(4, 5), (10, 13)]:
        small = interpolate(given.double(), size, mode="bilinear", align_corners=False, antialias=True)
        for step in (1, -1):
            seen = torch.from_numpy(np.ascontiguousarray(small.numpy()[..., ::step])).float()
            logits = torch.from_numpy(np.ascontiguousarray(depends(seen).numpy()[..., ::step]))
            total += interpolate(logits, (16, 20), mode="bilinear", align_corners=False).softmax(dim=1).numpy()
    np.testing.assert_allclose(found.numpy(), total / 4, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(2, 16, 20))


def test_an_image_is_never_zoomed_to_nothing():
    shapes = [tuple(seen.shape[2:]) for _, seen in see_views(images(1, 3, 1, 9), Views(scales=(0.1, 2.0)))]
    assert shapes == [(1, 1), (2, 18)]


def test_a_prediction_is_averaged_over_views_and_a_critic_sees_one():
    prediction = predict(tta=Views(flip=True, scales=(1.0, 1.5)))
    expected = network(IMAGE[None] / 127.5 - 1)
    torch.testing.assert_close(prediction.logits, expected)
    assert prediction.averaged
    torch.testing.assert_close(prediction.probabilities.sum(dim=1), torch.ones(1, 6, 7))
    assert not torch.allclose(prediction.probabilities, expected.softmax(dim=1))
