from __future__ import annotations

import numpy as np
import pytest
import torch

from segbench_refine import build_dense_crf

densecrf = pytest.importorskip("pydensecrf.densecrf", reason="needs pydensecrf2 (the extra crf)")


def inputs(channels=3, classes=3, size=(9, 11)):
    """A noisy ramp of grey from left to right, and half certain classes in three stripes."""
    generator = np.random.default_rng(0)
    images = np.linspace(-0.8, 0.8, size[1]) + generator.uniform(-0.1, 0.1, (1, channels, *size))
    stripes = np.arange(size[1]) * classes // size[1]
    probabilities = 0.5 * np.eye(classes)[stripes] + 0.5 * generator.dirichlet(np.ones(classes), (1, *size))
    return torch.from_numpy(images).float(), torch.from_numpy(probabilities.transpose(0, 3, 1, 2)).float()


def kernel(features):
    """The symmetrically normalised Gaussian kernel of features (D, N) divided by their widths."""
    squares = ((features[:, :, None] - features[:, None, :]) ** 2).sum(axis=0)
    plain = np.exp(-squares / 2)
    scale = 1 / np.sqrt(plain.sum(axis=1))
    return scale[:, None] * plain * scale[None]


def error(given, expected):
    return (given - expected).abs().mean().item()


def mean_field(images, probabilities, iterations, w1, sa, sb, w2, sg):
    """Mean-field inference by the formula, with every pair of pixels."""
    _, classes, height, width = probabilities.shape
    rows, columns = np.mgrid[:height, :width].reshape(2, 1, -1).astype(float)
    colours = (images[0].numpy().reshape(images.shape[1], -1) + 1) * 127.5
    place = np.concatenate([rows, columns])
    pairwise = w1 * kernel(np.concatenate([place / sa, colours / sb])) + w2 * kernel(place / sg)
    unary = -np.log(probabilities[0].numpy().reshape(classes, -1))
    marginals = np.exp(-unary) / np.exp(-unary).sum(axis=0)
    for _ in range(iterations):
        energy = unary - marginals @ pairwise
        marginals = np.exp(-energy) / np.exp(-energy).sum(axis=0)
    return torch.from_numpy(marginals.reshape(1, classes, height, width)).float()


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize(
    ("iterations", "values"),
    [
        (1, (0.0, 4.0, 60.0, 3.0, 2.0)),
        (1, (3.0, 2.0, 1000.0, 0.0, 1.0)),
        (1, (3.0, 50.0, 60.0, 0.0, 1.0)),
        (3, (2.0, 4.0, 60.0, 1.0, 2.0)),
    ],
    ids=["smoothness", "appearance by place", "appearance by colour", "three steps of both"],
)
def test_marginals_are_those_of_mean_field_inference_over_all_pairs(channels, iterations, values):
    images, probabilities = inputs(channels)
    names = ("appearance_weight", "appearance_pixels", "appearance_levels", "smoothness_weight", "smoothness_pixels")
    crf = build_dense_crf(iterations=iterations, **dict(zip(names, values, strict=True)))
    expected = mean_field(images, probabilities, iterations, *values)
    # The lattice approximates the kernels: it is off by some percent of what inference changes.
    assert error(crf(images, probabilities).exp(), expected) < 0.0085
    assert error(probabilities, expected) > 0.06


def test_colour_images_give_what_pydensecrfs_own_colour_kernel_gives():
    images, probabilities = inputs()
    levels = ((images[0] + 1) * 127.5).round().byte()
    field = densecrf.DenseCRF2D(11, 9, 3)
    field.setUnaryEnergy(np.ascontiguousarray(-probabilities[0].log().reshape(3, -1).numpy()))
    field.addPairwiseGaussian(sxy=3, compat=3)
    field.addPairwiseBilateral(sxy=20, srgb=10, rgbim=np.ascontiguousarray(levels.permute(1, 2, 0)), compat=4)
    expected = torch.from_numpy(np.array(field.inference(1))).view(1, 3, 9, 11)
    crf = build_dense_crf(iterations=1, appearance_pixels=20.0, appearance_levels=10.0, smoothness_pixels=3.0)
    # It names the axes in another order, and so meets other points of the lattice.
    assert error(crf(levels[None].float() / 127.5 - 1, probabilities).exp(), expected) < 0.007
    assert error(probabilities, expected) > 0.02


@pytest.mark.parametrize(
    "options", [{"iterations": 0}, {"appearance_weight": 0.0, "smoothness_weight": 0.0}], ids=["no step", "no weight"]
)
def test_without_steps_or_weights_predictions_stay(options):
    images, probabilities = inputs()
    given = build_dense_crf(**options)(images, probabilities).exp()
    torch.testing.assert_close(given, probabilities.clamp(min=1e-4), rtol=1e-4, atol=1e-5)


def test_a_wrong_pixel_inside_a_region_is_corrected():
    labels = torch.zeros(1, 16, 16, dtype=torch.long)
    labels[..., 8:] = 1
    images = (labels[:, None] * 1.0 - 0.5).expand(-1, 3, -1, -1)
    noisy = labels.clone()
    noisy[0, 5, 3], noisy[0, 9, 12] = 1, 0
    probabilities = torch.nn.functional.one_hot(noisy, 2).permute(0, 3, 1, 2) * 0.6 + 0.2
    assert build_dense_crf()(images, probabilities).argmax(dim=1).equal(labels)


def test_images_of_a_batch_do_not_touch_one_another():
    images, probabilities = inputs()
    crf = build_dense_crf()
    both = crf(torch.cat([images, -images]), torch.cat([probabilities, probabilities.flip(1)]))
    assert both[:1].equal(crf(images, probabilities))
    assert both[1:].equal(crf(-images, probabilities.flip(1)))


def test_the_memory_format_does_not_matter():
    images, probabilities = inputs()
    last = [field.contiguous(memory_format=torch.channels_last) for field in (images, probabilities)]
    assert build_dense_crf()(*last).equal(build_dense_crf()(images, probabilities))


def test_certain_and_impossible_classes_leave_finite_logits():
    images, probabilities = inputs()
    certain = torch.nn.functional.one_hot(probabilities.argmax(dim=1), 3).permute(0, 3, 1, 2).float()
    assert build_dense_crf()(images, certain).isfinite().all()


@pytest.mark.slow
def test_a_compiled_network_steps_around_the_crf():
    images, probabilities = inputs()
    crf = build_dense_crf()
    with torch.inference_mode():
        assert torch.compile(crf)(images, probabilities).equal(crf(images, probabilities))


def test_there_is_nothing_to_train():
    images, probabilities = inputs()
    crf = build_dense_crf()
    assert list(crf.parameters()) == []
    assert not crf(images, probabilities.requires_grad_()).requires_grad
