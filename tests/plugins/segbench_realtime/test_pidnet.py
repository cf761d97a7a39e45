import math

import pytest
import torch
from torch.nn import functional

from segbench_realtime.pidnet import (
    BoundaryAttentionFusion,
    PIDNetS,
    PixelAttentionGuidance,
    boundary_awareness_loss,
    boundary_loss,
)

from .conftest import shapes

# Ten columns of two classes; with a radius of 2 pixels, columns 3 to 6 are at the boundary.
TARGET = torch.tensor([[[0] * 5 + [1] * 5]])


def test_its_stages_have_the_published_shapes():
    with torch.device("meta"):
        network, images = PIDNetS(3, 19).eval(), torch.empty(1, 3, 1024, 2048)
    shared = network.shared(images)
    integral3 = network.integral3(shared)
    integral4 = network.integral4(integral3)
    integral5 = network.integral5(integral4)
    assert shapes(shared, integral3, integral4, integral5) == [
        (64, 128, 256),
        (128, 64, 128),
        (256, 32, 64),
        (512, 16, 32),
    ]
    proportional = network.proportional5(network.proportional4(network.proportional3(shared)))
    derivative3 = network.derivative3(shared)
    derivative4 = network.derivative4(derivative3)
    assert shapes(proportional, derivative3, derivative4, network.derivative5(derivative4)) == [
        (128, 128, 256),
        (32, 128, 256),
        (64, 128, 256),
        (128, 128, 256),
    ]
    assert shapes(network.context(integral5), network(images)) == [(128, 16, 32), (19, 128, 256)]


def test_auxiliary_heads_are_there_in_training_alone():
    network = PIDNetS(4, 5)
    images = torch.zeros(1, 4, 65, 97)
    logits, early, boundary, again = network(images)
    assert shapes(logits, early, boundary) == [(5, 9, 13), (5, 9, 13), (1, 9, 13)]
    assert again is logits
    assert shapes(network.eval()(images)) == [(5, 9, 13)]


def test_boundaries_and_the_rest_weigh_by_each_others_share():
    even = boundary_loss(torch.zeros(1, 1, 10), TARGET)
    assert even.item() == pytest.approx((4 * 0.6 + 6 * 0.4) / 10 * math.log(2))
    missed = torch.zeros(1, 1, 10)
    missed[..., 3] = -2.0
    expected = even.item() + 0.6 / 10 * (math.log1p(math.exp(2)) - math.log(2))
    assert boundary_loss(missed, TARGET).item() == pytest.approx(expected)


def test_the_boundary_loss_leaves_ignored_pixels_out():
    target = torch.cat([TARGET, torch.full_like(TARGET, -100)], dim=1)
    boundary = torch.randn(1, 2, 10, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(boundary_loss(boundary, target), boundary_loss(boundary[:, :1], TARGET))


def test_boundary_awareness_counts_hard_pixels_that_the_head_is_sure_of():
    logits = torch.randn(1, 2, 1, 10, generator=torch.Generator().manual_seed(0))
    boundary = torch.full((1, 1, 10), 1.38)  # a probability just below 0.8
    boundary[..., 2:6] = 1.39
    logits[:, 0, :, 5], logits[:, 1, :, 5] = 0, 3  # its class, 1, has a probability of .95, above .9
    expected = functional.cross_entropy(logits[..., 2:5], TARGET[..., 2:5])
    torch.testing.assert_close(boundary_awareness_loss(logits, boundary, TARGET), expected)
    assert boundary_awareness_loss(logits, torch.zeros(1, 1, 10), TARGET) == 0


def test_the_auxiliary_loss_weighs_its_terms_as_published():
    torch.manual_seed(0)
    early, logits, boundary = torch.randn(1, 2, 1, 10), torch.randn(1, 2, 1, 10), 3 * torch.randn(1, 1, 1, 10)
    with torch.device("meta"):
        network = PIDNetS(3, 2)
    expected = (
        0.4 * functional.cross_entropy(early, TARGET)
        + 20 * boundary_loss(boundary[0], TARGET)
        + boundary_awareness_loss(logits, boundary[0], TARGET)
    )
    torch.testing.assert_close(network.auxiliary_loss((early, boundary, logits), TARGET), expected)
    assert network.auxiliary_loss((early, boundary, logits), torch.full_like(TARGET, -100)) == 0


def test_guidance_mixes_the_branches_by_their_agreement():
    guidance = PixelAttentionGuidance(2, 3, 2).eval()
    with torch.no_grad():
        guidance.embed_proportional[0].weight.zero_()
    proportional, integral = torch.randn(1, 2, 4, 4), torch.randn(1, 3, 4, 4)
    torch.testing.assert_close(guidance(proportional, integral), (guidance.compress(integral) + proportional) / 2)


@pytest.mark.parametrize(("derivative", "weights"), [(100.0, ((1, 0), (1, 1))), (-100.0, ((1, 1), (0, 1)))])
def test_the_fusion_takes_detail_at_boundaries_and_context_elsewhere(derivative, weights):
    fusion = BoundaryAttentionFusion(2).eval()
    detail, context = torch.randn(1, 2, 3, 3), torch.randn(1, 2, 3, 3)
    (own, other), (borrowed, kept) = weights
    expected = fusion.mix_proportional(own * detail + other * context) + fusion.mix_integral(
        borrowed * detail + kept * context
    )
    torch.testing.assert_close(fusion(detail, context, torch.full_like(detail, derivative)), expected)
