from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from segbench.engine.evaluation.inference import Prediction
from segbench.engine.model.network import Segmenter
from segbench.engine.pictures.colour_maps import DIVERGING
from segbench.engine.pictures.drawing import tile_size
from segbench.engine.pictures.explain import (
    class_evidence,
    default_layer,
    discriminator_picture,
    draw_evidence,
    draw_scores,
    evidence_picture,
    grad_cam,
)
from segbench.errors import OptionError

PALETTE = [(0, 0, 0), (200, 0, 0), (0, 200, 0)]
CLASSES = ("road", "sky", "tree")
IMAGE = np.full((1, 30, 40), 100, dtype=np.uint8)
LABELS = np.zeros((30, 40), dtype=np.uint8)
LABELS[10:, :20] = 2


def tiles_of(picture):
    """The columns of the tiles in a row of tiles, without their gaps."""
    height, width = tile_size(30, 40)
    return [picture[28 : 28 + height, 8 + place * (width + 8) :][:, :width] for place in (0, 1, 2)]


def test_evidence_is_shown_for_each_class_that_is_there_beside_the_prediction():
    evidence = {0: np.zeros((30, 40), dtype=np.float32), 2: np.ones((30, 40), dtype=np.float32)}
    picture = draw_evidence(IMAGE, LABELS, evidence, CLASSES, PALETTE, "head")
    height, width = tile_size(30, 40)
    assert picture.shape[1] == 3 * (width + 8) + 8
    prediction, first, second = (tile.astype(int) for tile in tiles_of(picture))
    assert prediction[0, 0].tolist() == [50, 50, 50]
    assert prediction[-1, 0].tolist() == [50, 150, 50]
    assert first[0, 0, 2] > first[0, 0, 0]  # bluish: no evidence
    assert second[0, 0, 0] > second[0, 0, 2]  # yellowish: the strongest
    assert second.shape[:2] == (height, width)


def test_scores_above_the_boundary_are_blue_and_below_it_orange():
    scores = np.where(np.arange(40) < 30, -1.0, 0.5) * np.ones((30, 1))
    _, heat, _ = tiles_of(draw_scores(IMAGE, np.zeros_like(LABELS), scores, PALETTE, boundary=0.0))
    assert heat[0, 0].tolist() == DIVERGING[0].tolist()
    red, _, blue = heat[0, -1].astype(int)
    assert blue > red


def test_without_a_boundary_the_median_is_white():
    scores = np.full((30, 40), 7.0)
    scores[:5] = 9.0
    _, heat, _ = tiles_of(draw_scores(IMAGE, np.zeros_like(LABELS), scores, PALETTE, boundary=None))
    assert heat[-1, 0].min() > 240
    assert heat[0, 0].tolist() == DIVERGING[-1].tolist()


def test_the_regions_that_were_predicted_are_outlined():
    _, heat, _ = tiles_of(draw_scores(IMAGE, LABELS, np.zeros((30, 40)), PALETTE, boundary=0.0))
    assert (heat[100] == 0).all(axis=1).sum() == 1


ZEROS = torch.zeros(1, 3, 30, 40)


def test_a_discriminator_may_score_at_a_coarser_resolution():
    prediction = Prediction(ZEROS, ZEROS, False, ZEROS, averaged=False)
    picture = discriminator_picture(lambda images, logits: torch.ones(1, 1, 3, 4), None, prediction, IMAGE, PALETTE)
    assert picture.dtype == np.uint8


def test_a_network_without_a_fitting_layer_has_no_picture():
    prediction = Prediction(ZEROS, ZEROS, False, ZEROS, averaged=False)
    assert evidence_picture(torch.nn.Identity(), prediction, IMAGE, CLASSES, PALETTE) is None


TWO_CLASSES = np.array([[0, 0, 1], [0, 1, 255]])


class Linear(nn.Module):
    """Feature maps are the image itself; class 0 is 2 A_0 - A_1, class 1 is A_1."""

    def __init__(self):
        super().__init__()
        self.features = nn.Identity()

    def forward(self, images):
        first, second = self.features(images).unbind(dim=1)
        return torch.stack([2 * first - second, second], dim=1)


class Deep(nn.Module):
    """Convolutions, an in-place ReLU and a head that halves the resolution."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(6, 5, 3, stride=2, padding=1)
        self.head = nn.Conv2d(5, 2, 1)
        self.unused = nn.Conv2d(3, 9, 1)

    def forward(self, images):
        return self.head(self.act(self.second(self.act(self.first(images)))))


def test_evidence_is_what_hand_calculation_gives():
    maps = torch.tensor([[[[1.0, 2.0, 0.0], [4.0, 0.0, 1.0]], [[1.0, 8.0, 2.0], [0.0, 4.0, 2.0]]]])
    evidence = class_evidence(Linear(), maps, TWO_CLASSES, "features")
    # Of 6 positions 3 are class 0: alpha = (2 * 3/6, -1 * 3/6); 2 are class 1: alpha = (0, 2/6).
    np.testing.assert_allclose(evidence[0], [[0.5 / 4, 0, 0], [1, 0, 0]])
    np.testing.assert_allclose(evidence[1], [[1 / 8, 1, 2 / 8], [0, 4 / 8, 2 / 8]])
    assert evidence.keys() == {0, 1}


def test_evidence_of_a_deep_network_is_what_autograd_gives_for_the_layer_by_hand():
    network = Deep().eval()
    segmenter = Segmenter(network, 2).eval()
    images = torch.randn(1, 3, 8, 10, generator=torch.Generator().manual_seed(1))
    labels = segmenter(images).argmax(dim=1)[0]
    maps = network.first(images).detach().requires_grad_()
    head = network.head(network.second(maps.relu()).relu())
    logits = nn.functional.interpolate(head, size=(8, 10), mode="bilinear", align_corners=False)
    evidence = class_evidence(segmenter, images, labels.numpy(), "network.first")
    for class_id in labels.unique().tolist():
        [gradient] = torch.autograd.grad((logits[0, class_id] * (labels == class_id)).sum(), maps, retain_graph=True)
        alpha = gradient.mean(dim=(2, 3))
        expected = torch.einsum("nk,nkhw->hw", alpha, maps.detach()).relu()
        np.testing.assert_allclose(evidence[class_id], expected / expected.max(), rtol=1e-4, atol=1e-6)


@given(st.integers(1, 3), st.integers(1, 4))
def test_grad_cam_is_not_negative_and_scales_with_the_feature_maps(channels, side):
    generator = torch.Generator().manual_seed(channels * 10 + side)
    maps, gradient = torch.randn((2, 1, channels, side, side), generator=generator)
    cam = grad_cam(maps, gradient)
    assert cam.shape == (1, 1, side, side)
    assert cam.min() >= 0
    torch.testing.assert_close(grad_cam(3 * maps, gradient), 3 * cam)


def test_a_smaller_layer_is_resized_to_the_image_and_stays_between_0_and_1():
    images = torch.randn(1, 3, 7, 9, generator=torch.Generator().manual_seed(2))
    labels = np.zeros((7, 9), dtype=np.uint8)
    [evidence] = class_evidence(Segmenter(Deep(), 2).eval(), images, labels, "network.second").values()
    assert evidence.shape == (7, 9)
    assert evidence.min() >= 0
    assert evidence.max() == 1


def test_evidence_lies_where_the_image_lies_in_its_padding():
    class Padded(nn.Module):
        size_multiple = 8

        def __init__(self):
            super().__init__()
            self.pool = nn.AvgPool2d(4)

        def forward(self, images):
            return self.pool(images)

    images = torch.zeros(1, 2, 4, 12)
    images[0, 0, :, :4] = 1  # the left third; padded to 8 x 16, a quarter of the width
    segmenter = Segmenter(Padded(), 2).eval()
    evidence = class_evidence(segmenter, images, np.zeros((4, 12), dtype=np.uint8), "network.pool")[0]
    padded = nn.functional.pad(images[:, :1], (0, 4, 0, 4))
    expected = nn.functional.interpolate(nn.functional.avg_pool2d(padded, 4), (8, 16), mode="bilinear")[0, 0, :4, :12]
    np.testing.assert_allclose(evidence, expected / expected.max())


def test_evidence_of_a_refiner_s_layer_is_what_the_refiner_alone_would_show():
    from segbench.engine.model.network import Refined

    class Refiner(Deep):
        def forward(self, images, probabilities):
            return super().forward(images) + probabilities[..., ::2, ::2]

    refined = Refined(Segmenter(Deep(), 2), Segmenter(Refiner(), 2)).eval()
    images = torch.randn(1, 3, 8, 10, generator=torch.Generator().manual_seed(3))
    assert default_layer(refined, images) == "refiner.network.second"
    labels = np.arange(80).reshape(8, 10) % 2
    alone = class_evidence(Segmenter(Deep(), 2).eval(), images, labels, "network.second")
    together = class_evidence(refined, images, labels, "refiner.network.second")
    for class_id in (0, 1):
        np.testing.assert_allclose(together[class_id], alone[class_id], rtol=1e-5, atol=1e-6)


def test_a_class_that_nothing_speaks_for_has_no_evidence():
    evidence = class_evidence(Linear(), -torch.ones(1, 2, 2, 3), TWO_CLASSES, "features")
    assert evidence[1].max() == 0


def test_weights_gradients_and_hooks_stay_as_they_were():
    network = Deep().eval()
    images = torch.randn(1, 3, 4, 4)
    class_evidence(network, images, np.zeros((2, 2), dtype=np.uint8), "second")
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


def test_the_default_layer_is_the_last_convolution_run_that_has_more_channels_than_classes():
    assert default_layer(Deep().eval(), torch.randn(1, 3, 4, 4)) == "second"
    narrow = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Conv2d(2, 2, 1))
    assert default_layer(narrow, torch.randn(1, 3, 4, 4)) is None


def test_an_unknown_layer_is_an_error_that_lists_the_nearest_names():
    with pytest.raises(OptionError, match="no layer 'secnd'; the nearest names are second, "):
        class_evidence(Deep(), torch.randn(1, 3, 4, 4), np.zeros((2, 2), dtype=np.uint8), "secnd")


def test_a_layer_that_is_not_run_or_does_not_matter_is_an_error():
    class Sideways(Deep):
        def forward(self, images):
            self.unused(images)
            return super().forward(images)

    for network, message in ((Deep(), "'unused' is not run"), (Sideways(), "does not depend on layer 'unused'")):
        with pytest.raises(OptionError, match=message):
            class_evidence(network, torch.randn(1, 3, 4, 4), np.zeros((2, 2), dtype=np.uint8), "unused")


def test_a_layer_without_feature_maps_is_an_error():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Unflatten(1, (1, 2, 2)))
    with pytest.raises(OptionError, match="'0' gives no feature maps"):
        class_evidence(network, torch.randn(1, 1, 2, 2), np.zeros((2, 2), dtype=np.uint8), "0")
