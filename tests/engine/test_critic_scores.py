from __future__ import annotations

import pytest
import torch

from segbench.engine.critic_scores import log_odds, masked_mean


def everywhere(*size: int) -> torch.Tensor:
    return torch.ones(1, 1, *size, dtype=torch.bool)


def test_the_log_odds_of_class_scores_are_those_of_their_softmax():
    scores = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    fake = scores.softmax(1)[:, -1:]
    torch.testing.assert_close(log_odds(scores), ((1 - fake) / fake).log())


def test_a_score_weighs_as_much_as_the_share_of_its_cell_that_counts():
    mask = everywhere(4, 4)
    mask[..., :2, :2] = False  # nothing of the first cell counts
    mask[..., 0, 2] = False  # three quarters of the second do
    scores = torch.tensor([[[[100.0, 8.0], [1.0, 2.0]]]])
    assert masked_mean(scores, mask).item() == pytest.approx((0.75 * 8 + 1 + 2) / 2.75)


def test_values_without_a_channel_are_averaged_alike():
    mask = everywhere(2, 2)
    mask[..., 0, 0] = False
    values = torch.tensor([[[9.0, 1.0], [2.0, 3.0]]])
    assert masked_mean(values, mask) == masked_mean(values[:, None], mask) == 2


def test_values_of_several_channels_are_averaged_over_these_too():
    values = torch.stack([torch.zeros(2, 2), torch.ones(2, 2)])[None]
    assert masked_mean(values, everywhere(4, 4)) == 0.5


def test_one_score_for_an_image_counts_by_the_share_of_the_image_that_counts():
    mask = torch.ones(2, 1, 4, 4, dtype=torch.bool)
    mask[1, :, :3] = False
    scores = torch.tensor([2.0, 7.0]).view(2, 1, 1, 1)
    assert masked_mean(scores, mask).item() == pytest.approx((1 * 2 + 0.25 * 7) / 1.25)


def test_a_batch_without_a_pixel_that_counts_has_the_loss_0_and_the_gradient_0():
    scores = torch.ones(1, 1, 2, 2, requires_grad=True)
    loss = masked_mean(scores, torch.zeros(1, 1, 4, 4, dtype=torch.bool))
    loss.backward()
    assert loss == 0
    assert scores.grad.abs().sum() == 0


def test_a_scalar_is_the_mean_already():
    assert masked_mean(torch.tensor(3.0), everywhere(4, 4)) == 3


def test_a_mean_without_void_is_the_plain_mean():
    values = torch.rand(3, 1, 5, 7)
    torch.testing.assert_close(masked_mean(values, torch.ones(3, 1, 16, 16, dtype=torch.bool)), values.mean())
