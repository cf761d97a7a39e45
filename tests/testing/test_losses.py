"""Each check of supervised losses catches a wrong one that no other check catches; right ones pass all."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from segbench.registry import load_registry
from segbench.testing.check import run_check
from segbench.testing.losses import CHECKS


class Plain:
    """Cross-entropy, averaged over the pixels that count."""

    def __init__(self, num_classes, ignore_index):
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def values(self, output, target):
        return functional.cross_entropy(output, target, ignore_index=self.ignore_index, reduction="none")

    def labelled(self, target):
        return (target != self.ignore_index).sum().clamp_min(1)

    def __call__(self, output, target):
        return self.values(output, target).sum() / self.labelled(target)


class AValueAPixel(Plain):
    def __call__(self, output, target):
        return self.values(output, target) / self.labelled(target)


class Constant(Plain):
    def __call__(self, output, target):
        return super().__call__(output, target).detach()


class LogarithmOfASoftmax(Plain):
    def values(self, output, target):
        labelled = target != self.ignore_index
        probabilities = output.softmax(1).gather(1, target.masked_fill(~labelled, 0)[:, None])[:, 0]
        return -torch.where(labelled, probabilities, 1).log()


class MeanOfNothing(Plain):
    def __call__(self, output, target):
        return functional.cross_entropy(output, target, ignore_index=self.ignore_index)


class LooksAtIgnored(Plain):
    def __call__(self, output, target):
        return super().__call__(output, target) + 1e-3 * output.square().mean()


class DetachesAFactor(Plain):
    def values(self, output, target):
        surprise = super().values(output, target)
        return -torch.expm1(-surprise).detach() * surprise


class LosesDigits(Plain):
    def __call__(self, output, target):
        return super().__call__(output.half().to(output.dtype), target)


class WrongSign(Plain):
    def __call__(self, output, target):
        return -super().__call__(output, target)


class AnotherClass(Plain):
    def values(self, output, target):
        return super().values(output.roll(1, dims=1), target)


class WeighsPlaces(Plain):
    def values(self, output, target):
        return super().values(output, target) * torch.linspace(0.5, 1.5, target.shape[-1])


class WritesToTheTarget(Plain):
    def __call__(self, output, target):
        labelled = target != self.ignore_index
        target[~labelled] = 0
        return (self.values(output, target) * labelled).sum() / labelled.sum().clamp_min(1)


def absolute_difference(output, target):
    known = ~target.isnan()
    return torch.where(known, output - target, 0).abs().sum() / known.sum().clamp_min(1)


def absolute_difference_of_all(output, target):
    return absolute_difference(output, target) + 1e-3 * output.square().mean()


def built(kind):
    return lambda num_classes, ignore_index: kind(num_classes, ignore_index)


def test_a_right_loss_of_labels_passes_every_check(found_by):
    assert found_by(CHECKS, "loss", built(Plain)) == []


def test_a_right_loss_of_images_passes_every_check(found_by):
    assert found_by(CHECKS, "loss", lambda: absolute_difference, maps="image -> image") == []


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        (AValueAPixel, "loss_is_a_scalar"),
        (LogarithmOfASoftmax, "huge_outputs_give_a_finite_loss"),
        (MeanOfNothing, "batch_without_labels_gives_a_finite_loss"),
        (LooksAtIgnored, "ignored_pixels_change_nothing"),
        (DetachesAFactor, "gradient_is_that_of_the_value"),
        (LosesDigits, "gradient_is_that_of_the_value"),
        (WrongSign, "truth_costs_least"),
        (AnotherClass, "truth_costs_least"),
        (WeighsPlaces, "places_of_pixels_do_not_matter"),
        (WritesToTheTarget, "arguments_are_left_as_they_are"),
    ],
)
def test_a_wrong_loss_of_labels_is_caught_by_one_check_alone(wrong, check, found_by):
    assert found_by(CHECKS, "loss", built(wrong)) == [check]


def test_a_loss_without_gradient_is_no_loss(found_by):
    assert found_by(CHECKS, "loss", built(Constant)) == ["loss_is_a_scalar", "gradient_is_that_of_the_value"]


def test_a_loss_of_images_must_not_look_at_unknown_pixels(found_by):
    found = found_by(CHECKS, "loss", lambda: absolute_difference_of_all, maps="image -> image")
    assert found == ["ignored_pixels_change_nothing"]


def test_the_entropy_of_predictions_is_known_not_to_be_least_at_the_truth():
    offer = load_registry().find("loss", "gan/confidence")
    outcomes = {check.name: run_check(check, offer).outcome for check in CHECKS}
    assert outcomes.pop("truth_costs_least") == "known failure"
    assert set(outcomes.values()) == {"passed"}
