from __future__ import annotations

import math

import pytest
import torch

from segbench.engine.adversarial.balance import DECAY, Balance, norm

ONE = torch.ones(())


def gradient(size: float) -> torch.Tensor:
    """Return a gradient (2, 3, 4, 4) of a norm."""
    return torch.full((2, 3, 4, 4), size / math.sqrt(96))


def weights(balance: Balance, supervised, adversarial, scale=ONE) -> list[float]:
    pairs = zip(supervised, adversarial, strict=True)
    return [balance.weigh(gradient(s) * scale, gradient(a) * scale, scale).item() for s, a in pairs]


def test_steady_gradients_get_the_ratio_from_the_first_step_on():
    found = weights(Balance(0.1, torch.device("cpu")), [3.0] * 5, [0.5] * 5)
    assert found == pytest.approx([0.1 * 3 / 0.5] * 5, rel=1e-6)


def test_the_weight_is_the_ratio_of_the_running_means_of_both_norms():
    supervised, adversarial = [2.0, 1.5, 1.0, 3.0], [0.1, 0.4, 0.2, 0.05]
    mean_supervised = mean_adversarial = 0.0
    expected = []
    for one, other in zip(supervised, adversarial, strict=True):
        mean_supervised = DECAY * mean_supervised + (1 - DECAY) * one
        mean_adversarial = DECAY * mean_adversarial + (1 - DECAY) * other
        expected.append(0.3 * mean_supervised / mean_adversarial)
    assert weights(Balance(0.3, torch.device("cpu")), supervised, adversarial) == pytest.approx(expected, rel=1e-5)


def test_no_step_is_weighted_more_than_20_times_as_asked():
    balance = Balance(0.1, torch.device("cpu"))
    *_, last = weights(balance, [1.0] * 100, [1e-9] * 99 + [5.0])
    assert last * 5 == pytest.approx(20 * 0.1, rel=0.01)
    assert last * 5 <= 20 * 0.1


def test_a_gradient_that_is_0_gives_no_weight_that_is_not_finite():
    assert all(map(math.isfinite, weights(Balance(0.1, torch.device("cpu")), [1.0, 0.0], [0.0, 0.0])))


def test_a_factor_multiplies_the_weight_and_not_the_means():
    balance = Balance(0.1, torch.device("cpu"))
    found = [balance.weigh(gradient(2), gradient(1), ONE, (step + 1) / 4).item() for step in range(4)]
    assert found == pytest.approx([0.05, 0.1, 0.15, 0.2], rel=1e-6)


def test_the_scale_of_gradients_does_not_count():
    plain, scaled = (Balance(0.1, torch.device("cpu")) for _ in range(2))
    given = [1.0, 2.0, 0.5], [0.3, 0.1, 0.2]
    assert weights(scaled, *given, scale=torch.tensor(65536.0)) == pytest.approx(weights(plain, *given), rel=1e-6)


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize("broken", [math.inf, math.nan])
def test_a_step_that_overflows_does_not_count(place, broken):
    sizes = [0.3, 0.1, 0.2]
    overflowing = [*sizes[:place], broken, *sizes[place:]]
    found = weights(Balance(0.1, torch.device("cpu")), [1.0] * 4, overflowing)
    assert all(map(math.isfinite, found))
    assert found[:place] + found[place + 1 :] == weights(Balance(0.1, torch.device("cpu")), [1.0] * 3, sizes)


def test_the_course_holds_every_step_however_many_there_are():
    balance = Balance(0.1, torch.device("cpu"))
    found = weights(balance, [float(step) for step in range(2100)], [1.0] * 2100)
    assert balance.course.tolist() == found


@pytest.mark.parametrize("steps", [1, 3, 1500])
def test_a_restored_balance_goes_on_as_if_nothing_had_happened(steps):
    whole, first, second = (Balance(0.1, torch.device("cpu")) for _ in range(3))
    supervised, adversarial = [1 / (1 + step) for step in range(steps + 5)], [0.5] * (steps + 5)
    expected = weights(whole, supervised, adversarial)
    weights(first, supervised[:steps], adversarial[:steps])
    kept = {name: tensor.clone() for name, tensor in first.tensors().items()}
    assert {name: (one.shape, one.dtype) for name, one in second.tensors(steps).items()} == {
        name: (one.shape, one.dtype) for name, one in kept.items()
    }
    second.restore(kept)
    assert weights(second, supervised[steps:], adversarial[steps:]) == expected[steps:]
    assert second.course.tolist() == expected


def test_a_norm_is_that_of_the_whole_gradient_in_single_precision():
    given = torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    assert norm(given).item() == pytest.approx(torch.linalg.vector_norm(given.double()).item(), rel=1e-6)
    assert norm(given.half()).dtype == torch.float32
