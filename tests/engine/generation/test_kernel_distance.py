from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.image import kid

from segbench.engine.generation.kernel_distance import kernel_distance


def gaussian(number, seed, mean=0.0, size=6):
    return torch.randn(number, size, generator=torch.Generator().manual_seed(seed)) + mean


def unbiased_mmd(real, fake):
    """The unbiased estimate of the squared MMD with the kernel (x . y / D + 1)^3, pair by pair."""

    def kernel(one, other):
        return (one.astype(float) @ other.astype(float) / len(one) + 1) ** 3

    def among(points):
        return np.mean([kernel(one, other) for i, one in enumerate(points) for j, other in enumerate(points) if i != j])

    return among(real) + among(fake) - 2 * np.mean([kernel(one, other) for one in real for other in fake])


def test_mean_and_deviation_are_those_of_the_unbiased_mmd_of_subsets():
    real, fake = gaussian(12, 0), gaussian(10, 1, mean=0.5)
    torch.manual_seed(0)
    expected = []
    for _ in range(100):
        chosen = [points[torch.randperm(len(points))[:5]].numpy() for points in (real, fake)]
        expected.append(unbiased_mmd(*chosen))
    assert kernel_distance(real, fake) == pytest.approx((np.mean(expected), np.std(expected)), rel=1e-6)


def test_the_mean_over_subsets_estimates_the_mmd_of_the_whole_sets():
    real, fake = gaussian(60, 0), gaussian(60, 1, mean=1.0)
    whole = unbiased_mmd(real.numpy(), fake.numpy())
    mean, deviation = kernel_distance(real, fake)
    assert mean == pytest.approx(whole, abs=4 * deviation / 10)
    assert 0 < deviation < whole


def test_two_sets_of_one_source_have_a_distance_around_0():
    distances = [kernel_distance(gaussian(40, seed), gaussian(40, 100 + seed))[0] for seed in range(20)]
    assert abs(np.mean(distances)) < 3 * np.std(distances) / np.sqrt(20)
    assert min(distances) < 0 < max(distances)
    assert max(distances) < kernel_distance(gaussian(40, 0), gaussian(40, 1, mean=1.0))[0]


def test_the_roles_may_be_exchanged_up_to_the_choice_of_subsets():
    real, fake = gaussian(60, 0), gaussian(60, 1, mean=1.0)
    one, other = kernel_distance(real, fake), kernel_distance(fake, real)
    assert one[0] == pytest.approx(other[0], abs=4 * one[1] / 10)


def test_a_score_repeats_and_leaves_other_randomness_alone():
    state = torch.get_rng_state()
    first = kernel_distance(gaussian(20, 0), gaussian(20, 1))
    torch.rand(3)
    assert kernel_distance(gaussian(20, 0), gaussian(20, 1)) == first
    torch.set_rng_state(state)
    kernel_distance(gaussian(20, 0), gaussian(20, 1))
    assert torch.get_rng_state().equal(state)


@pytest.mark.parametrize(("number", "other", "size"), [(4, 9, 2), (9, 7, 3), (2500, 2001, 1000)])
def test_subsets_are_half_of_the_smaller_set_and_at_most_1000(monkeypatch, number, other, size):
    sizes = []

    class Metric(kid.KernelInceptionDistance):
        def __init__(self, *arguments, subset_size, **options):
            sizes.append(subset_size)
            super().__init__(*arguments, subset_size=2, **options)

    monkeypatch.setattr(kid, "KernelInceptionDistance", Metric)
    kernel_distance(gaussian(number, 0, size=2), gaussian(other, 1, size=2))
    assert sizes == [size]


@pytest.mark.parametrize(("number", "other"), [(3, 9), (9, 3)])
def test_sets_too_small_for_subsets_have_none(number, other):
    assert kernel_distance(gaussian(number, 0), gaussian(other, 1)) is None
