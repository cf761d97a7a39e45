from __future__ import annotations

import torch

from segbench_gan.discriminators import build_multiscale, build_patchgan


def test_each_scale_judges_half_the_resolution_of_the_one_before():
    scores = build_multiscale(3, scales=3, width=1)(torch.zeros(1, 3, 256, 256))
    # As PatchGAN: floor(n / 8) - 2 scores for n pixels a side.
    assert [tuple(one.shape) for one in scores] == [(1, 1, 30, 30), (1, 1, 14, 14), (1, 1, 6, 6)]


def test_the_first_scale_is_a_patchgan():
    network = build_multiscale(3, width=2)
    patches = build_patchgan(3, (32, 32), width=2, norm="instance")
    patches.load_state_dict(network.scales[0].state_dict())
    x = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(network(x)[0], patches(x))
    torch.testing.assert_close(network.features(x)[:4], patches.features(x))


def test_the_second_scale_sees_averages_of_3_by_3_pixels():
    network = build_multiscale(1, width=1)
    seen = []
    network.scales[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.arange(32.0 * 32).view(1, 1, 32, 32)
    network(x)
    assert seen[0].shape == (1, 1, 16, 16)
    torch.testing.assert_close(seen[0][0, 0, 1, 1], x[0, 0, 1:4, 1:4].mean())
    # The corner has but four pixels.
    torch.testing.assert_close(seen[0][0, 0, 0, 0], x[0, 0, :2, :2].mean())


def test_the_features_are_those_of_all_scales():
    network = build_multiscale(3, scales=3, width=1)
    features = network.features(torch.zeros(1, 3, 64, 64))
    assert [feature.shape[-1] for feature in features] == [32, 16, 8, 7, 16, 8, 4, 3, 12, 6, 3, 2]


def test_scales_share_no_weights(parameters):
    one, two = (parameters(build_multiscale(3, scales=scales, width=2)) for scales in (1, 2))
    assert two == 2 * one
