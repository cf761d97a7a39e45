from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from segbench.engine.encodings import encode_fake, encode_real, encoded_channels
from segbench.spec.recipe import Encoding

NAMES = ("one_hot", "smoothed", "scaled", "product", "confidence_matched", "straight_through")


def pixel(*values: float) -> torch.Tensor:
    """Return one pixel of so many classes, (1, K, 1, 1)."""
    return torch.tensor(values).view(1, -1, 1, 1)


def real_of(name: str, truth: torch.Tensor, prediction: torch.Tensor, images=None, **options) -> list[float]:
    images = torch.ones(1, 1, 1, 1) if images is None else images
    return encode_real(Encoding(use=name, **options), truth, prediction, images).flatten().tolist()


def random_fields(seed: int, num_classes: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return truth, probabilities and images of 2 x 5 x 6 pixels."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(num_classes, (2, 5, 6), generator=generator)
    one_hot = functional.one_hot(truth, num_classes).movedim(-1, 1).float()
    probabilities = (3 * torch.randn(2, num_classes, 5, 6, generator=generator)).softmax(1)
    return one_hot, probabilities, torch.rand(2, 3, 5, 6, generator=generator)


def test_smoothing_spreads_a_share_over_all_classes():
    assert real_of("smoothed", pixel(1, 0), pixel(0.5, 0.5), smoothing=0.2) == pytest.approx([0.9, 0.1])


def test_scaling_raises_the_true_class_to_tau_and_shrinks_the_others_alike():
    # Luc 2016: 0.9 at the true class; the others 0.3 and 0.2 of 0.5 share the remaining 0.1.
    assert real_of("scaled", pixel(1, 0, 0), pixel(0.5, 0.3, 0.2)) == pytest.approx([0.9, 0.06, 0.04])


def test_scaling_leaves_a_prediction_that_is_sure_of_the_truth_as_it_is():
    assert real_of("scaled", pixel(1, 0, 0), pixel(0.95, 0.03, 0.02)) == pytest.approx([0.95, 0.03, 0.02])


def test_matching_moves_the_top_probability_to_the_true_class():
    assert real_of("confidence_matched", pixel(0, 1, 0), pixel(0.7, 0.2, 0.1)) == pytest.approx([0.2, 0.7, 0.1])


def test_the_product_multiplies_every_class_by_every_channel():
    images = torch.tensor([2.0, 3.0]).view(1, 2, 1, 1)
    assert real_of("product", pixel(0, 1), pixel(0.5, 0.5), images) == [0, 0, 2, 3]
    fake = encode_fake(Encoding(use="product"), pixel(0.5, 0.25), images)
    assert fake.flatten().tolist() == [1.0, 1.5, 0.5, 0.75]


@given(st.integers(0, 1000))
def test_straight_through_is_exactly_one_hot_and_has_the_gradient_of_the_probabilities(seed):
    _, probabilities, images = random_fields(seed)
    probabilities.requires_grad_()
    fake = encode_fake(Encoding(use="straight_through"), probabilities, images)
    assert set(fake.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(fake.argmax(1), probabilities.argmax(1))
    weights = torch.rand_like(fake)
    (gradient,) = torch.autograd.grad((weights * fake).sum(), probabilities)
    assert torch.equal(gradient, weights)


@pytest.mark.parametrize("name", ["confidence_matched", "straight_through"])
@given(seed=st.integers(0, 1000))
def test_a_leak_free_encoding_makes_real_and_fake_equal_where_the_prediction_is_right(name, seed):
    _, probabilities, images = random_fields(seed)
    truth = functional.one_hot(probabilities.argmax(1), 4).movedim(-1, 1).float()
    encoding = Encoding(use=name)
    assert torch.equal(
        encode_real(encoding, truth, probabilities, images), encode_fake(encoding, probabilities, images)
    )


@pytest.mark.parametrize("name", ["smoothed", "scaled", "confidence_matched", "one_hot", "straight_through"])
@given(seed=st.integers(0, 1000))
def test_encoded_truth_stays_a_distribution_whose_top_class_is_true(name, seed):
    truth, probabilities, images = random_fields(seed)
    real = encode_real(Encoding(use=name), truth, probabilities, images)
    torch.testing.assert_close(real.sum(1), torch.ones(2, 5, 6))
    assert real.min() >= 0
    assert torch.equal(real.argmax(1), truth.argmax(1))


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_lets_no_gradient_through_and_the_prediction_does(name):
    truth, probabilities, images = random_fields(0)
    probabilities.requires_grad_()
    encoding = Encoding(use=name)
    assert not encode_real(encoding, truth, probabilities, images).requires_grad
    assert encode_fake(encoding, probabilities, images).requires_grad
    assert encode_real(encoding, truth, probabilities, images).shape[1] == encoded_channels(encoding, 4, 3)
