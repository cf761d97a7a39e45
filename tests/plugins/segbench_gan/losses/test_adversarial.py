from __future__ import annotations

import inspect
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from segbench_gan.losses.adversarial import (
    Hinge,
    LeastSquares,
    Linear,
    Minimax,
    NonSaturating,
    RelativisticAverage,
    Wasserstein,
)

LOSSES = (Minimax, NonSaturating, LeastSquares, Wasserstein, Hinge, Linear, RelativisticAverage)

every_loss = pytest.mark.parametrize("loss", [kind() for kind in LOSSES], ids=lambda loss: type(loss).__name__)


def scores(seed=0, number=3):
    return torch.randn(number, 1, 2, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def score(value):
    return torch.full((1, 1, 1, 1), float(value), dtype=torch.float64)


def generator_value(loss, real, fake):
    return (
        loss.generator(real, fake) if "real" in inspect.signature(loss.generator).parameters else loss.generator(fake)
    )


def gradients(value, *inputs):
    inputs = [one.clone().requires_grad_() for one in inputs]
    return torch.autograd.grad(value(*inputs).sum(), inputs)


# What holds for all


@every_loss
def test_each_player_has_one_value_a_score(loss):
    real, fake = scores(0), scores(1)
    assert loss.discriminator(real, fake).shape == real.shape
    assert generator_value(loss, real, fake).shape == fake.shape


@every_loss
def test_the_gradients_are_those_of_the_values(loss):
    real, fake = scores(0).requires_grad_(), scores(1).requires_grad_()
    torch.autograd.gradcheck(loss.discriminator, (real, fake))
    torch.autograd.gradcheck(lambda real, fake: generator_value(loss, real, fake), (real, fake))


@every_loss
def test_a_better_critic_has_a_lower_loss(loss):
    good, bad = score(0.9), score(0.1)
    assert loss.discriminator(good, bad) < loss.discriminator(bad, good)


@every_loss
def test_the_critic_raises_reals_and_lowers_fakes(loss):
    real, fake = gradients(loss.discriminator, score(0.5), score(0.5))
    assert real < 0 < fake


@every_loss
def test_the_generator_raises_the_score_of_its_fake(loss):
    (fake,) = gradients(lambda fake: generator_value(loss, score(0.5), fake), score(-1.0))
    assert fake < 0


@every_loss
@settings(deadline=None, max_examples=10)
@given(st.permutations(range(3)))
def test_the_order_of_samples_is_that_of_values(loss, order):
    real, fake = scores(0), scores(1)
    torch.testing.assert_close(loss.discriminator(real[order], fake[order]), loss.discriminator(real, fake)[order])
    torch.testing.assert_close(
        generator_value(loss, real[order], fake[order]), generator_value(loss, real, fake)[order]
    )


@every_loss
@pytest.mark.parametrize("extreme", [-1e4, 1e4])
def test_extreme_scores_give_finite_values_and_gradients(loss, extreme):
    real, fake = score(-extreme).float(), score(extreme).float()
    assert loss.discriminator(real, fake).isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients(loss.discriminator, real, fake))
    assert gradients(lambda fake: generator_value(loss, real, fake), fake)[0].isfinite().all()


# Binary cross-entropy


@pytest.mark.parametrize("loss", [Minimax(), NonSaturating()])
def test_the_critic_of_both_classic_losses_has_torchs_cross_entropy(loss):
    real, fake = scores(0), scores(1)
    expected = binary_cross_entropy_with_logits(
        real, torch.ones_like(real), reduction="none"
    ) + binary_cross_entropy_with_logits(fake, torch.zeros_like(fake), reduction="none")
    torch.testing.assert_close(loss.discriminator(real, fake), expected)


def test_chance_is_one_log_2_a_term():
    assert NonSaturating().discriminator(score(0), score(0)).item() == pytest.approx(2 * math.log(2))
    assert NonSaturating().generator(score(0)).item() == pytest.approx(math.log(2))
    assert Minimax().generator(score(0)).item() == pytest.approx(-math.log(2))


def test_the_minimax_generator_minimises_what_the_critic_maximises():
    fake = scores()
    expected = -binary_cross_entropy_with_logits(fake, torch.zeros_like(fake), reduction="none")
    torch.testing.assert_close(Minimax().generator(fake), expected)


def test_the_non_saturating_generator_wants_the_label_real():
    fake = scores()
    expected = binary_cross_entropy_with_logits(fake, torch.ones_like(fake), reduction="none")
    torch.testing.assert_close(NonSaturating().generator(fake), expected)


def test_only_minimax_saturates_at_a_confident_critic():
    (saturating,) = gradients(Minimax().generator, score(-8))
    (non_saturating,) = gradients(NonSaturating().generator, score(-8))
    assert saturating.item() == pytest.approx(-1 / (1 + math.exp(8)))
    assert non_saturating.item() == pytest.approx(-1 / (1 + math.exp(-8)))


# Least squares


def test_least_squares_by_hand():
    assert LeastSquares().discriminator(score(3), score(-1)).item() == pytest.approx((4 + 1) / 2)
    assert LeastSquares().generator(score(-1)).item() == pytest.approx(2)


def test_least_squares_is_half_torchs_own():
    real, fake = scores(0), scores(1)
    expected = (mse_loss(real, torch.ones_like(real)) + mse_loss(fake, torch.zeros_like(fake))) / 2
    torch.testing.assert_close(LeastSquares().discriminator(real, fake).mean(), expected)


def test_the_least_squares_of_an_undecided_critic_are_a_quarter():
    value = score(0.5).requires_grad_()
    loss = LeastSquares().discriminator(value, value)
    loss.backward()
    assert loss.item() == 0.25
    assert value.grad.item() == 0  # the best a critic can do where reals and fakes look alike


# Hinge


def test_hinge_by_hand():
    assert Hinge().discriminator(score(0.25), score(-0.5)).item() == pytest.approx(0.75 + 0.5)
    assert Hinge().generator(score(-0.5)).item() == 0.5


def test_the_hinge_at_chance_is_2():
    assert Hinge().discriminator(score(0), score(0)).item() == 2


def test_beyond_its_margin_the_hinge_is_flat():
    real, fake = gradients(Hinge().discriminator, score(1.5), score(-1.5))
    assert real == fake == 0


# Wasserstein and linear


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_the_wasserstein_loss_is_antisymmetric(seed):
    real, fake = scores(seed), scores(seed + 1)
    torch.testing.assert_close(Wasserstein().discriminator(real, fake), -Wasserstein().discriminator(fake, real))


@settings(deadline=None)
@given(st.floats(-100, 100))
def test_only_differences_count_for_the_wasserstein_loss(shift):
    real, fake = scores(0), scores(1)
    shifted = Wasserstein().discriminator(real + shift, fake + shift)
    torch.testing.assert_close(shifted, Wasserstein().discriminator(real, fake))


def test_wasserstein_by_hand():
    assert Wasserstein().discriminator(score(3), score(-1)).item() == -4
    assert Wasserstein().generator(score(-1)).item() == 1


def test_linear_by_hand():
    assert Linear().discriminator(score(3), score(-1)).item() == -3
    assert Linear().generator(score(-1)).item() == 1


def test_the_1_of_the_linear_loss_is_inert():
    real, fake = gradients(Linear().discriminator, scores(0), scores(1))
    torch.testing.assert_close(
        [real, fake], list(gradients(Wasserstein().discriminator, scores(0), scores(1))), rtol=0, atol=0
    )


def test_the_linear_loss_falls_without_bound_as_scores_are_scaled_up():
    real, fake = score(0.5), score(-0.5)
    values = [Linear().discriminator(scale * real, scale * fake).item() for scale in (1, 10, 1000)]
    assert values == pytest.approx([0, -9, -999])


# Relativistic average


def test_relativistic_by_hand():
    real = torch.tensor([1.0, 3.0], dtype=torch.float64).view(2, 1, 1, 1)
    fake = torch.tensor([0.0, -2.0], dtype=torch.float64).view(2, 1, 1, 1)
    # mean(real) = 2, mean(fake) = -1
    first = math.log1p(math.exp(-2)) + math.log1p(math.exp(-2))
    second = math.log1p(math.exp(-4)) + math.log1p(math.exp(-4))
    assert RelativisticAverage().discriminator(real, fake).flatten().tolist() == pytest.approx([first, second])


def test_relativistic_is_torchs_cross_entropy_of_differences():
    real, fake = scores(0), scores(1)
    expected = binary_cross_entropy_with_logits(
        real - fake.mean(), torch.ones_like(real)
    ) + binary_cross_entropy_with_logits(fake - real.mean(), torch.zeros_like(fake))
    torch.testing.assert_close(RelativisticAverage().discriminator(real, fake).mean(), expected)


def test_the_relativistic_players_are_symmetric():
    real, fake = scores(0), scores(1)
    loss = RelativisticAverage()
    torch.testing.assert_close(loss.generator(real, fake), loss.discriminator(fake, real))


def test_the_relativistic_generator_depends_on_the_reals():
    real, fake = gradients(RelativisticAverage().generator, scores(0), scores(1))
    assert real.abs().min() > 0
    torch.testing.assert_close(real.sum(), -fake.sum())


@settings(deadline=None)
@given(st.floats(-100, 100))
def test_only_differences_count_for_the_relativistic_loss(shift):
    real, fake = scores(0), scores(1)
    shifted = RelativisticAverage().discriminator(real + shift, fake + shift)
    torch.testing.assert_close(shifted, RelativisticAverage().discriminator(real, fake))


def test_equal_scores_are_relativistic_chance():
    assert RelativisticAverage().discriminator(score(7), score(7)).item() == pytest.approx(2 * math.log(2))


# Where the critic is undecided


@pytest.mark.parametrize("loss", [NonSaturating(), Minimax(), Hinge(), LeastSquares()])
def test_at_the_boundary_reals_and_fakes_pull_alike(loss):
    real, fake = gradients(loss.discriminator, score(loss.boundary), score(loss.boundary))
    assert real == -fake


@pytest.mark.parametrize("loss", [Wasserstein(), Linear(), RelativisticAverage()])
def test_losses_of_differences_have_no_boundary(loss):
    assert loss.boundary is None
