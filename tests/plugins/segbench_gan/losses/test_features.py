from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import adaptive_avg_pool2d, binary_cross_entropy_with_logits

from segbench import SegbenchError
from segbench_gan.losses.features import FeatureL1, FeatureMatching, distance_of_means, distance_of_pairs

every_distance = pytest.mark.parametrize(
    "distance", [distance_of_means, distance_of_pairs, FeatureL1(None).generator, FeatureL1([1, 2]).generator]
)


def features(seed=0, number=3):
    source = torch.Generator().manual_seed(seed)
    shapes = (number, 4, 5, 6), (number, 7)
    return [torch.randn(shape, generator=source, dtype=torch.float64) for shape in shapes]


def channels(*values):
    """One feature (N, C, 1, 2) of N samples: two positions, one above and one below the channel's value."""
    feature = torch.tensor(values, dtype=torch.float64)[:, :, None, None]
    return torch.cat([feature - 1, feature + 1], dim=3)


@every_distance
def test_equal_features_are_at_distance_0(distance):
    assert distance(features(), features()) == 0


@every_distance
def test_a_step_down_the_gradient_brings_fakes_nearer(distance):
    real, fake = features(0), [feature.requires_grad_() for feature in features(1)]
    value = distance(real, fake)
    moved = [f - 0.01 * g for f, g in zip(fake, torch.autograd.grad(value, fake), strict=True)]
    assert value.shape == ()
    assert distance(real, moved) < value


@every_distance
def test_the_gradient_is_that_of_the_value(distance):
    real = features(0)
    torch.autograd.gradcheck(lambda *fake: distance(real, fake), [feature.requires_grad_() for feature in features(1)])


@every_distance
@settings(deadline=None, max_examples=10)
@given(st.permutations(range(3)))
def test_the_order_of_pairs_does_not_matter(distance, order):
    real, fake = features(0), features(1)
    shuffled = [feature[order] for feature in real], [feature[order] for feature in fake]
    torch.testing.assert_close(distance(*shuffled), distance(real, fake))


def test_only_means_ignore_who_is_whose_pair():
    real, fake = features(0), features(1)
    exchanged = [feature.flip(0) for feature in fake]
    torch.testing.assert_close(distance_of_means(real, exchanged), distance_of_means(real, fake))
    assert distance_of_pairs(real, exchanged) != pytest.approx(distance_of_pairs(real, fake))


def test_means_by_hand():
    # Means of the channels: real 2 and 10, fake 5 and 11.
    real, fake = channels((1.0, 10.0), (3.0, 10.0)), channels((5.0, 11.0))
    assert distance_of_means([real], [fake]).item() == pytest.approx((3 + 1) / 2)
    assert distance_of_means([real, real], [fake, real]).item() == pytest.approx((3 + 1) / 4)


def test_means_are_those_of_pooled_features():
    real, fake = features(0)[0], features(1)[0]
    pooled = [adaptive_avg_pool2d(feature, 1).flatten(1).mean(0) for feature in (real, fake)]
    torch.testing.assert_close(distance_of_means([real], [fake]), (pooled[0] - pooled[1]).abs().mean())


def test_pairs_by_hand():
    real, fake = channels((1.0, 10.0), (3.0, 10.0)), channels((2.0, 10.0), (3.0, 14.0))
    assert distance_of_pairs([real], [fake]).item() == pytest.approx((1 + 0 + 0 + 4) / 4)
    # Each feature counts alike, however many elements it has.
    single = torch.zeros(2, 1, dtype=torch.float64)
    assert distance_of_pairs([real, single], [fake, single + 3]).item() == pytest.approx((5 / 4 + 3) / 2)


def test_the_critic_of_feature_matching_has_the_cross_entropy_of_its_scores():
    real, fake = torch.randn(2, 1, 3, 3), torch.randn(2, 1, 3, 3)
    expected = binary_cross_entropy_with_logits(real, torch.ones_like(real)) + binary_cross_entropy_with_logits(
        fake, torch.zeros_like(fake)
    )
    loss = FeatureMatching(distance_of_means, adversarial=0.0)
    torch.testing.assert_close(loss.discriminator(real, fake).mean(), expected)
    assert loss.boundary == 0


def test_the_weighted_score_stands_beside_the_distance():
    real, fake = features(0), features(1)
    scores = torch.tensor([0.0, 100.0], dtype=torch.float64).view(2, 1, 1, 1)
    distance = distance_of_pairs(real, fake).item()
    without = FeatureMatching(distance_of_pairs, adversarial=0.0).generator(scores, real, fake)
    assert without.flatten().tolist() == pytest.approx([distance, distance])
    with_scores = FeatureMatching(distance_of_pairs, adversarial=0.5).generator(scores, real, fake)
    assert with_scores.flatten().tolist() == pytest.approx([distance + math.log(2) / 2, distance])


def test_segan_by_hand():
    real, fake = channels((1.0, 10.0), (3.0, 10.0)), channels((2.0, 10.0), (3.0, 14.0))
    single = torch.zeros(2, 1, dtype=torch.float64)
    # As one vector of 8 + 2 elements: the differences are 1 and 4, twice each, and 3 twice.
    assert FeatureL1(None).generator([real, single], [fake, single + 3]).item() == pytest.approx((2 * 5 + 2 * 3) / 10)
    weighted = FeatureL1([1, 4]).generator([real, single], [fake, single + 3])
    assert weighted.item() == pytest.approx((2 * 5 + 4 * 2 * 3) / 10)


def test_segan_is_the_mean_of_one_long_vector():
    real, fake = (torch.cat([feature.flatten(1) for feature in features(seed)], dim=1) for seed in (0, 1))
    torch.testing.assert_close(FeatureL1(None).generator(features(0), features(1)), (real - fake).abs().mean())


def test_the_segan_critic_maximises_what_the_segmenter_minimises():
    real, fake = features(0), features(1)
    loss = FeatureL1(None)
    assert loss.discriminator(real, fake) == -loss.generator(real, fake) < 0
    assert loss.discriminator(real, [feature + 10 for feature in fake]) < loss.discriminator(real, fake)
    assert loss.boundary is None


def test_segan_weights_that_do_not_fit_the_critic_are_an_error():
    with pytest.raises(SegbenchError, match="gan/segan_l1: weights has 3 numbers; the discriminator has 2 features"):
        FeatureL1([1.0, 1.0, 2.0]).generator(features(0), features(1))
