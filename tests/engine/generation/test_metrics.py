from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist, pdist
from sklearn.neighbors import NearestNeighbors
from torchmetrics.image import kid

from segbench.engine.generation.metrics import (
    PixelStatistics,
    diversity,
    kernel_distance,
    nearest,
    pixel_statistics_distance,
    precision_and_recall,
)


def images(number, seed=0, size=(3, 5, 4)):
    return torch.rand(number, *size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def rows(fields):
    """Images as vectors, whose Euclidean distances are root mean squares of the images' differences."""
    return fields.flatten(1).double().numpy() / np.sqrt(fields[0].numel())


@pytest.mark.parametrize("number", [2, 7, 64, 150])
def test_diversity_is_the_mean_over_all_pairs(number):
    assert diversity(images(number)).item() == pytest.approx(pdist(rows(images(number))).mean(), rel=1e-5)


@pytest.mark.parametrize(("number", "training"), [(1, 1), (3, 150), (150, 3), (70, 70)])
def test_nearest_is_the_mean_over_images_of_the_least_distance(number, training):
    generated, seen = images(number), images(training, seed=1)
    expected = cdist(rows(generated), rows(seen)).min(axis=1).mean()
    assert nearest(generated, seen).item() == pytest.approx(expected, rel=1e-5)


def test_black_and_white_images_are_two_apart():
    black_and_white = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1).expand(-1, 3, 8, 8)
    assert diversity(black_and_white).item() == pytest.approx(2)
    assert nearest(black_and_white[:1], black_and_white[1:]).item() == pytest.approx(2)


def test_images_that_are_all_the_same_have_no_diversity():
    assert diversity(images(1).expand(100, -1, -1, -1)).item() < 1e-6


def test_one_image_alone_has_an_undefined_diversity():
    assert diversity(images(1)).isnan()


def test_images_that_hardly_differ_are_not_lost_in_rounding():
    bright = 0.9 + 1e-4 * images(80, size=(3, 32, 32))
    assert diversity(bright).item() == pytest.approx(pdist(rows(bright)).mean(), rel=1e-2)


def test_images_learnt_by_heart_are_at_no_distance():
    seen = images(150)
    assert nearest(seen.flip(0)[:80], seen).item() == 0


@given(st.permutations(range(6)))
def test_the_order_of_the_images_does_not_matter(order):
    generated, seen = images(6), images(6, seed=1)
    assert diversity(generated[order]).item() == pytest.approx(diversity(generated).item(), rel=1e-5)
    assert nearest(generated, seen[order]).item() == pytest.approx(nearest(generated, seen).item(), rel=1e-5)


@given(st.floats(0.01, 1), st.floats(-0.5, 0.5))
def test_distances_scale_with_contrast_and_ignore_what_all_images_share(contrast, brightness):
    generated, seen = images(5), images(6, seed=1)
    changed = [contrast * fields + brightness for fields in (generated, seen)]
    assert diversity(changed[0]).item() == pytest.approx(contrast * diversity(generated).item(), rel=1e-3)
    assert nearest(*changed).item() == pytest.approx(contrast * nearest(generated, seen).item(), rel=1e-3)


@given(st.integers(1, 5))
def test_more_training_images_never_lie_further(number):
    generated, seen = images(4), images(6, seed=1)
    assert nearest(generated, seen[: number + 1]) <= nearest(generated, seen[:number])


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


def share_inside(points, manifold):
    """The share of points within the 3rd nearest neighbour's distance of any point of a manifold, by scikit-learn."""
    neighbours = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(manifold)
    radii = neighbours.kneighbors(manifold)[0][:, -1]
    found = [
        any(radii[index] >= distance for distance, index in zip(*pair, strict=True))
        for pair in zip(*neighbours.kneighbors(points, n_neighbors=len(manifold)), strict=True)
    ]
    return np.mean(found)


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.5])
@pytest.mark.parametrize(("number", "other"), [(30, 50), (300, 270)])
def test_precision_and_recall_are_those_of_brute_force_by_scikit_learn(number, other, shift):
    real, fake = gaussian(number, 0, size=8), 0.7 * gaussian(other, 1, shift, size=8)
    expected = share_inside(fake.numpy(), real.numpy()), share_inside(real.numpy(), fake.numpy())
    assert precision_and_recall(real, fake) == pytest.approx(expected)


def test_precision_and_recall_of_points_on_a_line_worked_by_hand():
    # The 3rd nearest of 0, 1, 2, 3 are 3, 2, 2, 3 away: the manifold reaches from -3 to 6.
    real = torch.tensor([0.0, 1.0, 2.0, 3.0])[:, None]
    # Those of 6, 7, 8, 9 likewise: from 3 to 12, so that of the real points 3 alone is in it.
    fake = torch.tensor([6.0, 7.0, 8.0, 9.0])[:, None]
    assert precision_and_recall(real, fake) == (0.25, 0.25)
    assert precision_and_recall(real, fake + 0.5) == (0.0, 0.0)


def two_modes_and_one():
    near, far, again = (
        gaussian(40, 0, size=2),
        gaussian(40, 1, 100.0, size=2),
        gaussian(40, 2, 0.0, size=2),
    )
    return torch.cat([near, far]), again


def test_a_generator_that_drops_a_mode_has_precision_and_half_the_recall():
    precision, recall = precision_and_recall(*two_modes_and_one())
    assert precision > 0.8
    assert 0.4 < recall <= 0.5


def test_a_generator_that_adds_a_mode_has_recall_and_half_the_precision():
    precision, recall = precision_and_recall(*reversed(two_modes_and_one()))
    assert 0.4 < precision <= 0.5
    assert recall > 0.8


@pytest.mark.parametrize(("number", "other"), [(3, 9), (9, 3), (1, 1)])
def test_sets_without_a_third_neighbour_have_none(number, other):
    assert precision_and_recall(gaussian(number, 0), gaussian(other, 1)) is None


# Few values, so that points coincide and lie on the borders of balls.
point_sets = arrays(np.float32, st.tuples(st.integers(4, 9), st.just(2)), elements=st.integers(0, 3)).map(
    torch.from_numpy
)


@given(point_sets)
def test_identical_sets_have_precision_and_recall_1(points):
    assert precision_and_recall(points, points.clone()) == (1.0, 1.0)


@given(point_sets, point_sets)
def test_precision_is_recall_with_the_roles_exchanged(real, fake):
    assert precision_and_recall(real, fake) == precision_and_recall(fake, real)[::-1]


@given(point_sets, point_sets, st.sampled_from([0.5, 2.0, 8.0]))
def test_the_unit_of_the_features_does_not_matter(real, fake, factor):
    assert precision_and_recall(factor * real, factor * fake) == precision_and_recall(real, fake)


def test_statistics_of_an_image_worked_by_hand():
    # One column of -1 and one of 0.6: differences of 1.6 to the right and none downwards.
    images = torch.tensor([-1.0, 0.6]).expand(1, 1, 2, 2)
    expected = [-0.2, 0.8, 1.6, 0.0, *(0.5, 0, 0, 0, 0, 0, 0.5, 0)]
    assert PixelStatistics()(images)[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_statistics_are_those_of_numpy_channel_by_channel():
    images = torch.rand(3, 2, 7, 5, generator=torch.Generator().manual_seed(0)) * 2 - 1
    given = PixelStatistics()(images).numpy()
    assert given.shape == (3, 24)
    for image, statistics in zip(images.numpy(), given, strict=True):
        for channel, field in enumerate(image):
            down, right = np.diff(field, axis=0)[:, :-1], np.diff(field, axis=1)[:-1]
            gradient = np.sqrt(down**2 + right**2)
            shares = np.histogram(field, bins=8, range=(-1, 1))[0] / field.size
            expected = [field.mean(), field.std(), gradient.mean(), gradient.std(), *shares]
            np.testing.assert_allclose(statistics[channel::2], expected, atol=1e-6)


def test_white_belongs_to_the_last_bin_and_black_to_the_first():
    extremes = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1).expand(-1, -1, 2, 2)
    histograms = PixelStatistics()(extremes)[:, 4:]
    assert histograms[0, 0] == histograms[1, -1] == 1


def test_the_distance_of_two_statistics_worked_by_hand():
    real = torch.tensor([[0.0, 5.0], [2.0, 5.0]])  # means 1 and 5, deviations 1 and 0
    fake = torch.tensor([[4.0, 5.0], [4.0, 5.0]])  # means 4 and 5, no deviation
    first = (3**2 + 1**2) / ((1 + 0) / 2 + 3**2 / 4)
    assert pixel_statistics_distance(real, fake) == pytest.approx((first + 0) / 2)


def test_sets_that_share_no_value_of_any_statistic_are_4_apart():
    assert pixel_statistics_distance(torch.zeros(3, 2), torch.ones(5, 2)) == pytest.approx(4)


def test_two_draws_of_n_images_are_about_three_nths_apart():
    generator = torch.Generator().manual_seed(0)
    draws = [torch.randn(2, 50, 40, generator=generator) for _ in range(20)]
    assert np.mean([pixel_statistics_distance(*pair) for pair in draws]) == pytest.approx(3 / 50, rel=0.15)


statistics = arrays(np.float32, st.tuples(st.integers(1, 6), st.just(3)), elements=st.floats(-2, 2, width=32)).map(
    torch.from_numpy
)


@given(statistics)
def test_a_set_has_no_distance_from_itself_repeated(values):
    assert pixel_statistics_distance(values, torch.cat([values, values])) == pytest.approx(0, abs=1e-9)


@given(statistics, statistics)
def test_the_distance_is_symmetric_and_between_0_and_4(real, fake):
    distance = pixel_statistics_distance(real, fake)
    assert distance == pytest.approx(pixel_statistics_distance(fake, real))
    assert 0 <= distance <= 4 + 1e-9
