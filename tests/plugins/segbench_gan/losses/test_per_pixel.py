from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import cross_entropy

from segbench import SegbenchError
from segbench_gan.losses.per_pixel import PerPixelClasses

CLASSES = 3
IGNORED = 255

every_weighting = pytest.mark.parametrize("loss", [PerPixelClasses(CLASSES, IGNORED, balanced) for balanced in (0, 1)])


def batch(seed=0):
    """Real and fake scores (2, K+1, 4, 5) and labels (2, 4, 5), some of them ignored."""
    source = torch.Generator().manual_seed(seed)
    real, fake = torch.randn(2, 2, CLASSES + 1, 4, 5, generator=source, dtype=torch.float64)
    labels = torch.randint(CLASSES, (2, 4, 5), generator=source)
    labels[0, 1:3, 2:] = IGNORED
    return real, fake, labels


def test_both_players_by_hand():
    probabilities = torch.tensor([[0.7, 0.1, 0.1, 0.1], [0.1, 0.2, 0.1, 0.6]], dtype=torch.float64)
    scores = probabilities.log().T[None, :, None]  # two pixels
    loss = PerPixelClasses(CLASSES, IGNORED, balanced=False)
    labels = torch.tensor([[[0, 1]]])
    own_class = -(math.log(0.7) + math.log(0.2)) / 2
    fake_class = -(math.log(0.1) + math.log(0.6)) / 2
    assert loss.generator(scores, labels).item() == pytest.approx(own_class)
    assert loss.discriminator(scores, scores, labels).item() == pytest.approx(own_class + fake_class)


def test_unbalanced_is_torchs_cross_entropy():
    real, fake, labels = batch()
    loss = PerPixelClasses(CLASSES, IGNORED, balanced=False)
    fakes = torch.full_like(labels, CLASSES).where(labels != IGNORED, IGNORED)
    expected = cross_entropy(real, labels, ignore_index=IGNORED) + cross_entropy(fake, fakes, ignore_index=IGNORED)
    torch.testing.assert_close(loss.discriminator(real, fake, labels), expected)


def test_balanced_weights_are_scikit_learns():
    _, fake, labels = batch()
    labels[labels == 1] = 0  # class 1 is absent
    weights = torch.ones(CLASSES + 1, dtype=torch.float64)
    weights[[0, 2]] = torch.from_numpy(
        compute_class_weight("balanced", classes=np.array([0, 2]), y=labels[labels != IGNORED].numpy())
    )
    expected = cross_entropy(fake, labels, weights, ignore_index=IGNORED)
    balanced = PerPixelClasses(CLASSES, IGNORED, balanced=True)
    torch.testing.assert_close(balanced.generator(fake, labels), expected, rtol=1e-6, atol=0)


def test_the_balanced_mean_over_pixels_is_a_mean_over_classes():
    _, fake, labels = batch()
    of_classes = [cross_entropy(fake.movedim(1, -1)[labels == c], labels[labels == c]) for c in range(CLASSES)]
    balanced = PerPixelClasses(CLASSES, IGNORED, balanced=True)
    torch.testing.assert_close(balanced.generator(fake, labels), torch.stack(of_classes).mean(), rtol=1e-6, atol=0)


@every_weighting
def test_the_gradients_are_those_of_the_values(loss):
    real, fake, labels = batch()
    scores = real.requires_grad_(), fake.requires_grad_()
    torch.autograd.gradcheck(lambda real, fake: loss.discriminator(real, fake, labels), scores)
    torch.autograd.gradcheck(lambda fake: loss.generator(fake, labels), fake)


@every_weighting
def test_void_has_no_effect_and_no_gradient(loss):
    real, fake, labels = batch()
    void = labels == IGNORED
    changed = [scores.clone() for scores in (real, fake)]
    for scores in changed:
        scores.movedim(1, -1)[void] = 100 * torch.randn(int(void.sum()), CLASSES + 1, dtype=torch.float64)
        scores.requires_grad_()
    value = loss.discriminator(*changed, labels)
    assert value == loss.discriminator(real, fake, labels)
    for gradient in torch.autograd.grad(value, changed):
        assert gradient.movedim(1, -1)[void].abs().max() == 0
    assert loss.generator(changed[1], labels) == loss.generator(fake, labels)


@every_weighting
def test_void_alone_gives_0_and_no_gradient(loss):
    real, fake, labels = batch()
    fake.requires_grad_()
    value = loss.discriminator(real, fake, torch.full_like(labels, IGNORED))
    assert value == 0
    assert torch.autograd.grad(value, fake)[0].abs().max() == 0


@pytest.mark.parametrize("balanced", [False, True])
def test_the_ignored_label_may_be_a_class(balanced):
    real, fake, labels = batch()
    labels[labels == IGNORED] = 0
    as_class = PerPixelClasses(CLASSES, 0, balanced).discriminator(real, fake, labels)
    as_void = PerPixelClasses(CLASSES, IGNORED, balanced).discriminator(real, fake, labels.where(labels != 0, IGNORED))
    torch.testing.assert_close(as_class, as_void)


@every_weighting
@settings(deadline=None, max_examples=10)
@given(st.randoms(use_true_random=False))
def test_the_order_of_pixels_does_not_matter(loss, random):
    real, fake, labels = batch()
    order = list(range(20))
    random.shuffle(order)
    real_shuffled, fake_shuffled = (scores.flatten(2)[..., order].view_as(scores) for scores in (real, fake))
    labels_shuffled = labels.flatten(1)[:, order].view_as(labels)
    torch.testing.assert_close(
        loss.discriminator(real_shuffled, fake_shuffled, labels_shuffled), loss.discriminator(real, fake, labels)
    )


@every_weighting
def test_a_critic_that_tells_classes_and_fakes_apart_pays_nothing(loss):
    _, _, labels = batch()
    truth = torch.nn.functional.one_hot(labels.where(labels != IGNORED, 0), CLASSES + 1).movedim(-1, 1) * 100.0
    fake = torch.zeros_like(truth)
    fake[:, CLASSES] = 100
    assert loss.discriminator(truth, fake, labels).item() == pytest.approx(0)
    assert loss.generator(truth, labels).item() == pytest.approx(0)
    assert loss.generator(fake, labels) > 50


@every_weighting
def test_equal_scores_are_chance(loss):
    _, _, labels = batch()
    equal = torch.zeros(2, CLASSES + 1, 4, 5)
    assert loss.generator(equal, labels).item() == pytest.approx(math.log(CLASSES + 1))
    assert loss.discriminator(equal, equal, labels).item() == pytest.approx(2 * math.log(CLASSES + 1))


@every_weighting
def test_the_generator_raises_the_true_class(loss):
    _, fake, labels = batch()
    fake.requires_grad_()
    (gradient,) = torch.autograd.grad(loss.generator(fake, labels), fake)
    labelled = labels != IGNORED
    of_pixels = gradient.movedim(1, -1)[labelled]
    true = torch.nn.functional.one_hot(labels[labelled], CLASSES + 1).bool()
    assert (of_pixels[true] < 0).all()
    assert (of_pixels[~true] > 0).all()


def test_at_the_boundary_real_and_fake_are_even():
    scores = torch.randn(1, CLASSES + 1, 1, 1, dtype=torch.float64)
    boundary = PerPixelClasses(CLASSES, IGNORED, balanced=True).boundary
    scores[:, CLASSES] = scores[:, :CLASSES].logsumexp(1) - boundary
    assert scores.softmax(1)[0, CLASSES].item() == pytest.approx(0.5)


def test_class_counts_are_made_where_the_labels_lie():
    loss = PerPixelClasses(CLASSES, IGNORED, balanced=True)
    scores = torch.empty(1, CLASSES + 1, 2, 2, device="meta")
    labels = torch.empty(1, 2, 2, dtype=torch.int64, device="meta")
    assert loss.discriminator(scores, scores, labels).device.type == "meta"


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_a_critic_of_other_channels_is_refused_with_the_number_it_needs(player):
    scores, labels = torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64)
    given = {"real": scores, "fake": scores, "labels": labels}
    names = ("real", "fake", "labels") if player == "discriminator" else ("fake", "labels")
    with pytest.raises(SegbenchError, match="gives 1 scores a place; this loss needs 4"):
        getattr(PerPixelClasses(CLASSES, IGNORED, False), player)(**{name: given[name] for name in names})
