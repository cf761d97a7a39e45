"""Each check of adversarial losses catches a wrong one that no other check catches; right ones pass all."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy, softplus

from segbench.testing.adversarial_losses import CHECKS


class Plain:
    """The non-saturating loss."""

    def discriminator(self, real, fake):
        return softplus(-real) + softplus(fake)

    def generator(self, fake):
        return softplus(-fake)


class Classes:
    """Cross-entropy over K + 1 classes."""

    def __init__(self, num_classes, ignore_index):
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def mean(self, scores, labels):
        total = cross_entropy(scores, labels, ignore_index=self.ignore_index, reduction="sum")
        return total / (labels != self.ignore_index).sum().clamp_min(1)

    def discriminator(self, real, fake, labels):
        fakes = labels.masked_fill(labels != self.ignore_index, self.num_classes)
        return self.mean(real, labels) + self.mean(fake, fakes)

    def generator(self, fake, labels):
        return self.mean(fake, labels)


class CountsIgnored(Classes):
    def mean(self, scores, labels):
        return cross_entropy(scores, labels.masked_fill(labels == self.ignore_index, 0))


class AsksForImages(Plain):
    def discriminator(self, real, fake, images):
        return super().discriminator(real, fake) + images.mean()


class WithoutGenerator:
    discriminator = Plain.discriminator


class AValueASample(Plain):
    def generator(self, fake):
        return super().generator(fake).mean((1, 2, 3))


class DiscriminatorBackwards(Plain):
    def discriminator(self, real, fake):
        return softplus(real) + softplus(-fake)


class HalfBackwards(Plain):
    def discriminator(self, real, fake):
        return softplus(-real) + softplus(-fake)


class GeneratorBackwards(Plain):
    def generator(self, fake):
        return softplus(fake)


class FeaturesBackwards(Plain):
    def generator(self, real_features, fake_features):
        pairs = zip(real_features, fake_features, strict=True)
        return -torch.stack([(real - fake).abs().mean() for real, fake in pairs]).mean()


class CriticBlindToFakes(Plain):
    def discriminator(self, real, fake):
        return super().discriminator(real, fake.detach())


class GeneratorUntaught(Plain):
    def generator(self, fake):
        return super().generator(fake.detach())


class LearnsThroughReals(Plain):
    def generator(self, real):
        return softplus(real)


class LogarithmOfASigmoid(Plain):
    def generator(self, fake):
        return -fake.sigmoid().log()


@pytest.mark.parametrize(
    "right", [lambda: Plain(), lambda num_classes, ignore_index: Classes(num_classes, ignore_index)]
)
def test_a_right_loss_passes_every_check(right, found_by):
    assert found_by(CHECKS, "loss", right, role="adversarial") == []


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        (AsksForImages, "both_players_ask_for_what_there_is"),
        (WithoutGenerator, "both_players_ask_for_what_there_is"),
        (AValueASample, "losses_are_values_of_scores_or_scalars"),
        (DiscriminatorBackwards, "discriminator_gets_better_as_its_loss_falls"),
        (HalfBackwards, "discriminator_gets_better_as_its_loss_falls"),
        (GeneratorBackwards, "generator_raises_scores_of_fakes_as_its_loss_falls"),
        (FeaturesBackwards, "generator_raises_scores_of_fakes_as_its_loss_falls"),
        (CriticBlindToFakes, "discriminator_learns_from_reals_and_from_fakes"),
        (GeneratorUntaught, "generator_learns_through_its_fakes"),
        (LearnsThroughReals, "generator_learns_through_its_fakes"),
        (LogarithmOfASigmoid, "huge_scores_give_finite_losses"),
    ],
)
def test_a_wrong_loss_is_caught_by_one_check_alone(wrong, check, found_by):
    assert found_by(CHECKS, "loss", lambda: wrong(), role="adversarial") == [check]


def test_a_loss_of_classes_that_counts_ignored_places_is_caught_by_one_check_alone(found_by):
    found = found_by(
        CHECKS, "loss", lambda num_classes, ignore_index: CountsIgnored(num_classes, ignore_index), role="adversarial"
    )
    assert found == ["ignored_labels_change_nothing"]
