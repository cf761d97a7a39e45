from __future__ import annotations

import torch

from segbench.engine.pairing import Pair
from segbench.engine.placebos import noise_like, with_shuffled_labels


def test_noise_has_the_norm_of_each_sample_and_another_direction():
    torch.manual_seed(0)
    gradient = torch.rand(3, 2, 16, 16) * torch.tensor([1.0, 10.0, 0.0]).view(3, 1, 1, 1)
    noise = noise_like(gradient)
    torch.testing.assert_close(noise.flatten(1).norm(dim=1), gradient.flatten(1).norm(dim=1))
    cosine = torch.nn.functional.cosine_similarity(noise.flatten(1), gradient.flatten(1))[:2]
    assert cosine.abs().max() < 0.2


def test_shuffling_exchanges_real_and_fake_in_about_half_of_the_samples_and_loses_none():
    torch.manual_seed(0)
    real, fake = torch.ones(400, 1, 1, 1), torch.zeros(400, 1, 1, 1)
    shuffled = with_shuffled_labels(Pair(None, real, fake, real.bool()))
    assert torch.equal(shuffled.real + shuffled.fake, torch.ones_like(real))
    assert 150 < shuffled.real.sum() < 250
