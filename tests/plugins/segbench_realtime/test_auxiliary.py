import math

import pytest
import torch

from segbench_realtime.auxiliary import cross_entropy, hard_pixel_cross_entropy, weighted_sum


def logits_of(*probabilities):
    """Two-class logits of one row of pixels, by the probability of class 1."""
    ones = torch.tensor(probabilities)
    return torch.stack([(1 - ones).log(), ones.log()]).view(1, 2, 1, -1)


def target_of(*labels):
    return torch.tensor(labels).view(1, 1, -1)


def test_cross_entropy_is_averaged_over_pixels_that_count():
    loss = cross_entropy(logits_of(0.5, 0.25, 0.1), target_of(1, 1, -100))
    assert loss.item() == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_cross_entropy_of_ignored_pixels_alone_is_0_and_has_a_gradient():
    logits = logits_of(0.5, 0.5).requires_grad_()
    loss = cross_entropy(logits, target_of(-100, -100))
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_logits_are_resized_to_the_target():
    coarse = logits_of(0.5, 0.5)
    assert cross_entropy(coarse, torch.ones(1, 3, 7, dtype=torch.int64)).item() == pytest.approx(math.log(2))


def test_half_precision_logits_are_judged_in_single_precision():
    assert cross_entropy(logits_of(0.5).bfloat16(), target_of(1)).dtype == torch.float32


def test_weights_multiply_their_heads():
    one, other = logits_of(0.5), logits_of(0.25)
    loss = weighted_sum((one, other), target_of(1), (0.4, 1.0))
    assert loss.item() == pytest.approx(0.4 * math.log(2) + math.log(4))


def test_a_head_without_weight_is_refused():
    with pytest.raises(ValueError, match="zip"):
        weighted_sum((logits_of(0.5), logits_of(0.5)), target_of(1), (0.4,))


def test_hard_pixels_are_those_below_the_threshold():
    loss = hard_pixel_cross_entropy(logits_of(0.9, 0.6, 0.5, 0.8), target_of(1, 1, 1, 1), threshold=0.7, least_share=0)
    assert loss.item() == pytest.approx(-(math.log(0.6) + math.log(0.5)) / 2)


def test_where_few_pixels_are_hard_the_hardest_join_them():
    loss = hard_pixel_cross_entropy(logits_of(0.9, 0.95, 0.5, 0.8), target_of(1, 1, 1, 1), 0.7, least_share=0.5)
    assert loss.item() == pytest.approx(-(math.log(0.5) + math.log(0.8)) / 2)


def test_ignored_pixels_are_never_hard():
    loss = hard_pixel_cross_entropy(logits_of(0.1, 0.5), target_of(-100, 1), least_share=1.0)
    assert loss.item() == pytest.approx(math.log(2))


def test_hard_pixel_loss_of_ignored_pixels_alone_is_0_and_has_a_gradient():
    logits = logits_of(0.1, 0.5).requires_grad_()
    loss = hard_pixel_cross_entropy(logits, target_of(-100, -100))
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()
