from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from segbench_gan.losses.penalties import gradient_penalty, r1

every_penalty = pytest.mark.parametrize("penalty", [gradient_penalty, r1])


def fields(seed=0, number=3):
    source = torch.Generator().manual_seed(seed)
    return torch.randn(2, number, 2, 3, 4, generator=source, dtype=torch.float64).unbind()


def linear_critic(norm):
    """A critic whose gradient has the given norm everywhere, with its weight."""
    weight = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weight = (weight * norm / weight.norm()).requires_grad_()
    return lambda field: (field * weight).sum((1, 2, 3)).view(-1, 1, 1, 1), weight


def small_critic():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 2), nn.Tanh(), nn.Conv2d(3, 1, 1)).double()


def patches_of_a_line(field):
    """One score a pixel: the sum of its channels."""
    return field.sum(1, keepdim=True)


# Gradient penalty


def test_a_gradient_penalty_is_zero_where_the_gradient_has_norm_one():
    critic, _ = linear_critic(norm=1)
    assert gradient_penalty(critic, *fields()).item() == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize("norm", [0.5, 3.0])
def test_a_gradient_penalty_is_the_squared_distance_of_the_norm_from_one(norm):
    critic, _ = linear_critic(norm)
    assert gradient_penalty(critic, *fields()).item() == pytest.approx((norm - 1) ** 2)


def test_the_norm_is_taken_between_real_and_fake_with_one_share_a_sample():
    real, fake = torch.ones(4, 1, 2, 2), torch.zeros(4, 1, 2, 2)
    seen = []

    def critic(field):
        seen.append(field.detach())
        return (field**2).sum((1, 2, 3)).view(-1, 1, 1, 1) / 2  # whose gradient is the field itself

    penalty = gradient_penalty(critic, real, fake)
    shares = seen[0][:, 0, 0, 0]
    assert (seen[0] == shares.view(4, 1, 1, 1)).all()
    assert ((shares >= 0) & (shares <= 1)).all()
    assert len(shares.unique()) == 4
    assert penalty.item() == pytest.approx(((2 * shares - 1) ** 2).mean().item())


def test_between_labels_and_probabilities_lie_probabilities():
    real = torch.nn.functional.one_hot(torch.randint(5, (3, 4, 4)), 5).movedim(-1, 1).double()
    fake = torch.randn(3, 5, 4, 4, dtype=torch.float64).softmax(1)
    seen = []

    def critic(field):
        seen.append(field.detach())
        return field.sum((1, 2, 3)).view(-1, 1, 1, 1)

    gradient_penalty(critic, real, fake)
    assert seen[0].min() >= 0
    torch.testing.assert_close(seen[0].sum(1), torch.ones(3, 4, 4, dtype=torch.float64))


def test_the_shares_are_torchs_random_numbers():
    critic, (real, fake) = small_critic(), fields()

    def seeded(seed):
        torch.manual_seed(seed)
        return gradient_penalty(critic, real, fake).item()

    assert seeded(0) == seeded(0) != seeded(1)


def test_a_dead_critic_gives_a_penalty_of_one_and_finite_gradients():
    critic, weight = linear_critic(norm=0)
    penalty = gradient_penalty(critic, *fields())
    penalty.backward()
    assert penalty == 1
    assert weight.grad.isfinite().all()


# R1


def test_r1_of_a_linear_critic_is_half_the_squared_norm_of_its_weight():
    critic, weight = linear_critic(norm=3)
    assert r1(critic, *fields()).item() == pytest.approx(4.5)
    (gradient,) = torch.autograd.grad(r1(critic, *fields()), weight)
    torch.testing.assert_close(gradient, weight.detach())


def test_r1_is_taken_at_the_reals():
    real, fake = fields()

    def critic(field):
        return (field**2).sum((1, 2, 3)).view(-1, 1, 1, 1) / 2

    assert r1(critic, real, fake).item() == pytest.approx((real**2).sum((1, 2, 3)).mean().item() / 2)
    torch.testing.assert_close(r1(critic, real, fake + 1), r1(critic, real, fake))


def test_r1_agrees_with_finite_differences():
    critic, (real, fake) = small_critic(), fields(number=1)

    def mean_score(pixels):
        return critic(pixels.view_as(real)).mean().item()

    pixels, step = real.flatten(), 1e-5
    slopes = [
        (mean_score(pixels + shift) - mean_score(pixels - shift)) / (2 * step)
        for shift in step * torch.eye(pixels.numel(), dtype=torch.float64)
    ]
    assert r1(critic, real, fake).item() == pytest.approx(sum(slope**2 for slope in slopes) / 2, rel=1e-6)


# What holds for both


@every_penalty
def test_a_penalty_has_the_gradients_of_its_value_by_the_critics_weights(penalty):
    critic, (real, fake) = small_critic(), fields()
    names = [name for name, _ in critic.named_parameters()]

    def value(*weights):
        torch.manual_seed(0)
        with_weights = dict(zip(names, weights, strict=True))
        return penalty(lambda field: torch.func.functional_call(critic, with_weights, (field,)), real, fake)

    weights = [weight.detach().clone().requires_grad_() for weight in critic.parameters()]
    torch.autograd.gradcheck(value, weights)


@every_penalty
def test_a_step_down_the_gradient_lessens_the_penalty(penalty):
    critic, weight = linear_critic(norm=3)
    value = penalty(critic, *fields())
    (gradient,) = torch.autograd.grad(value, weight)
    with torch.no_grad():
        weight -= 0.01 * gradient
    assert penalty(critic, *fields()) < value


@every_penalty
def test_fields_get_no_gradient_of_a_penalty(penalty):
    real, fake = (field.clone().requires_grad_() for field in fields())
    penalty(small_critic(), real, fake).backward()
    assert real.grad is None
    assert fake.grad is None


def test_r1_is_a_mean_over_samples():
    critic, (real, fake) = small_critic(), fields()
    alone = [r1(critic, real[[n]], fake[[n]]) for n in range(3)]
    torch.testing.assert_close(r1(critic, real, fake), torch.stack(alone).mean())
    torch.testing.assert_close(r1(critic, real[[2, 0, 1]], fake), r1(critic, real, fake))


@every_penalty
def test_scores_that_are_repeated_do_not_change_a_penalty(penalty):
    critic, _ = linear_critic(norm=3)
    once = penalty(critic, *fields())
    torch.testing.assert_close(penalty(lambda field: critic(field).expand(-1, 1, 5, 7), *fields()), once)
    torch.testing.assert_close(penalty(lambda field: [critic(field), critic(field)], *fields()), once)


def test_the_gradient_is_that_of_a_samples_mean_score():
    # 12 pixels of 2 channels, each with slope 1/12.
    squared_norm = 24 / 12**2
    assert r1(patches_of_a_line, *fields()).item() == pytest.approx(squared_norm / 2)
    penalty = gradient_penalty(patches_of_a_line, *fields())
    assert penalty.item() == pytest.approx((math.sqrt(squared_norm) - 1) ** 2)


def test_the_maps_of_a_list_count_alike():
    critic, weight = linear_critic(norm=3)

    def two_scales(field):
        return [critic(field), patches_of_a_line(field)]

    expected = ((weight / 2 + 1 / 24) ** 2).sum() / 2
    torch.testing.assert_close(r1(two_scales, *fields()), expected)


@every_penalty
def test_a_penalty_is_made_where_the_fields_lie(penalty):
    field = torch.empty(2, 1, 3, 3, device="meta")
    assert penalty(lambda field: field**2, field, field).device.type == "meta"
