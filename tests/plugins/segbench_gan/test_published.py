"""Outputs beside those of the authors' code under the same weights: segbench holds the numbers alone.

In training (batch statistics, no dropout), then in evaluation. Each row: mean, standard deviation, three values.
"""

from __future__ import annotations

import pytest
import torch

from segbench_gan.discriminators import build_image, build_pixel, build_unet
from segbench_gan.generators import build_spade

from ..published import filled, outlined, outlines, pattern  # noqa: TID252 - tests have no absolute name

LABELS, NOISE = pattern(2, 3, 64, 96).softmax(1), pattern(2, 5, salt=0.7)

# Narrow, and without spectral norm, whose weights depend on vectors that are drawn.
NETWORKS = {
    "image": (lambda: build_image(5, dropout=0.5, dropout_of="channels", width=8), (pattern(2, 5, 64, 96),)),
    "pixel": (lambda: build_pixel(5, width=8), (pattern(2, 5, 65, 97),)),
    "unet": (lambda: build_unet(3, 4, width=4, spectral=False), (pattern(2, 3, 64, 128),)),
    "spade": (lambda: build_spade(3, 3, 5, (64, 96), width=4, depth=5, spectral=False), (LABELS, NOISE)),
}

OUTLINES = {
    "image": [
        [0.3183169, 0.0087207099, 0.31215042, 0.31215042, 0.32448337],
        [0.3183169, 0.0087207099, 0.31215042, 0.31215042, 0.32448337],
    ],
    "pixel": [
        [0.29178561, 0.25878127, 0.12946682, 0.40384393, -0.39770678],
        [0.29178561, 0.25878127, 0.12946682, 0.40384393, -0.39770678],
    ],
    "unet": [
        [6.7435893, 11.426879, 20.965003, 10.035896, -4.1414912],
        [6.7435893, 11.426879, 20.965003, 10.035896, -4.1414912],
    ],
    "spade": [
        [0.047849637, 0.70665708, 0.34199675, 0.18722569, 0.13978693],
        [-0.12784582, 0.93457158, 0.99998157, -0.75033502, 0.070519965],
    ],
}

# Of the critic of s4GAN, in training but without dropout.
FEATURES = [0.23841123, 0.28244997, 0.60297429, 0.19350391, -0.096980735]


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_those_of_the_authors_code(name):
    build, inputs = NETWORKS[name]
    assert outlines(filled(build()), *inputs) == [pytest.approx(row, rel=1e-6, abs=1e-8) for row in OUTLINES[name]]


@torch.no_grad()
def test_the_features_that_s4gan_matches_are_not_dropped():
    network = filled(build_image(5, dropout=0.5, dropout_of="channels", width=8))
    assert outlined(network.features(pattern(2, 5, 64, 96))[0]) == pytest.approx(FEATURES, rel=1e-6)
