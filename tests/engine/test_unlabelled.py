from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from segbench.engine.data.batches import Batch
from segbench.engine.mapping import Mapping
from segbench.engine.pairing import FieldForm
from segbench.engine.train import train
from segbench.engine.unlabelled import Unlabelled, own_term, pseudo_label_term
from segbench.errors import SpecError
from segbench.spec.protocol import Budget, Protocol

SETTINGS = Protocol(budget=Budget(steps=8), batch_size=2, crop=(8, 8))


def a_batch(size: int = 8) -> Batch:
    torch.manual_seed(0)
    return Batch(torch.rand(2, 3, size, size), torch.randint(2, (2, size, size)), (0, 1))


def mapping(maps: str) -> Mapping:
    return Mapping(maps, FieldForm(2, 255, ((0, 0, 0), (255, 0, 0))), 1)


class Brightness(nn.Module):
    """A score for each 2 x 2 pixels: the mean of all that it sees there."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.avg_pool2d(x.mean(dim=1, keepdim=True), 2)


def test_labels_of_another_method_are_learnt_by_the_supervised_losses_times_the_weight():
    def squared(logits, labels):
        return (logits[:, 0] - labels).square().mean()

    def constant(logits, labels):
        return torch.tensor(10.0)

    term = pseudo_label_term(mapping("image -> labels"), [(2.0, squared), (0.5, constant)], weight=3.0)
    batch, logits = a_batch(), torch.rand(2, 2, 8, 8)
    expected = 3 * (2 * (logits[:, 0] - batch.labels).square().mean() + 0.5 * 10)
    torch.testing.assert_close(term(logits, batch), expected)


def test_colours_are_learnt_from_the_palette_colours_of_another_methods_labels():
    def distance(colours, target):
        return (colours - target).abs().nansum()

    batch = Batch(torch.rand(1, 3, 1, 2), torch.tensor([[[1, 255]]]), (0,))
    term = pseudo_label_term(mapping("image -> image"), [(1.0, distance)], weight=1.0)
    # Class 1 is red, (1, -1, -1); the other pixel was not labelled.
    assert term(torch.zeros(1, 3, 1, 2), batch) == 3


def test_a_loss_is_given_logits_and_no_critic_where_it_asks_for_none():
    term = own_term(lambda logits: logits.square().mean(), 2.0, None)
    assert term(torch.full((1, 2, 4, 4), 3.0), a_batch()) == 18


def test_a_module_is_asked_for_what_its_forward_takes(adversary):
    class Loss(nn.Module):
        def forward(self, scores):
            return scores.mean()

    made = adversary(SETTINGS, critic=Brightness(), encoding="one_hot")
    logits = torch.rand(2, 2, 8, 8)
    expected = made.score_map(a_batch().images, logits).mean()
    torch.testing.assert_close(own_term(Loss(), 1.0, made)(logits, a_batch()), expected)


def test_scores_without_a_critic_are_refused():
    class Trusting:
        def __call__(self, logits, scores):
            return scores.mean()

    with pytest.raises(SpecError, match="Trusting asks for a critic's scores, but the method has no critic"):
        own_term(Trusting(), 1.0, None)


def test_scores_are_those_of_the_encoded_prediction_under_its_image_at_the_size_of_the_image(adversary):
    made = adversary(SETTINGS, critic=Brightness(), encoding="one_hot")
    batch, logits = a_batch(), torch.rand(2, 2, 8, 8)
    seen = torch.cat([batch.images, logits.softmax(1)], 1)
    expected = functional.interpolate(Brightness()(seen), size=(8, 8), mode="bilinear", align_corners=False)
    torch.testing.assert_close(made.score_map(batch.images, logits), expected)


def test_scores_of_several_scales_are_averaged_and_classes_become_log_odds(adversary):
    class Scales(nn.Module):
        def forward(self, x):
            classes = torch.tensor([0.1, 0.3, 0.6]).log().view(1, 3, 1, 1).expand(len(x), 3, 4, 4)
            return [torch.full((len(x), 1, 1, 1), 1.0), classes]

    scores = adversary(SETTINGS, critic=Scales()).score_map(a_batch().images, torch.rand(2, 2, 8, 8))
    expected = (1 + torch.tensor(0.4 / 0.6).log()) / 2
    torch.testing.assert_close(scores, expected.expand(2, 1, 8, 8))


@pytest.mark.parametrize("encoding", ["one_hot", "straight_through"])
def test_gradients_reach_the_logits_through_the_scores_and_leave_none_at_the_critic(adversary, encoding):
    critic = nn.Conv2d(5, 1, 3, padding=1)
    made = adversary(SETTINGS, critic=critic, encoding=encoding)
    logits = torch.rand(2, 2, 8, 8, requires_grad=True)
    term = own_term(lambda scores: scores.mean(), 1.0, made)(logits, a_batch())
    (gradient,) = torch.autograd.grad(term, logits)
    assert gradient.abs().sum() > 0
    assert critic.weight.grad is None


# In the loop ---------------------------------------------------------------------------------------------------------


def entropy(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    return torch.special.entr(logits.softmax(1)).sum(1).mean()


def trained(training, recorder, path, term=None, **settings):
    made = training(**settings)
    if term is not None:
        made = replace(made, unlabelled=Unlabelled(made.batches, term))
    train(made, path, 1e9, recorder())
    return made


def parameters(module: nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def same(one, other) -> bool:
    return all(map(torch.equal, parameters(one.network), parameters(other.network)))


def test_a_term_changes_what_is_learnt(training, recorder, tmp_path):
    plain = trained(training, recorder, tmp_path / "plain")
    term = trained(training, recorder, tmp_path / "term", entropy)
    assert not same(plain, term)


def test_the_gradient_of_a_term_is_that_of_autograd(training, recorder, tmp_path):
    settings = {"schedule": "constant", "optimizer": {"use": "sgd", "lr": 0.5}, "budget": {"steps": 1}}
    network = nn.Conv2d(3, 2, 1)
    start = [parameter.detach().clone() for parameter in network.parameters()]
    ours = trained(training, recorder, tmp_path / "ours", entropy, network=network, **settings)

    plain = training(network=network, **settings)
    batch = plain.batches.at(0)
    weight, bias = (parameter.requires_grad_() for parameter in start)
    logits = functional.conv2d(batch.images, weight, bias)
    loss = functional.cross_entropy(logits, batch.labels, ignore_index=255) + entropy(logits, batch)
    for parameter, gradient in zip(start, torch.autograd.grad(loss, start), strict=True):
        parameter.data -= 0.5 * gradient
    for expected, parameter in zip(start, ours.network.parameters(), strict=True):
        torch.testing.assert_close(parameter, expected)


@pytest.mark.parametrize("protocol", [{}, {"precision": "bf16", "channels_last": True}], ids=["fp32", "bf16"])
def test_a_critic_of_weight_0_leaves_the_bits_of_the_twin_beside_an_unlabelled_term(
    training, recorder, tmp_path, protocol
):
    # The generator has dropout, which must not draw otherwise because a critic looks on.
    twin = trained(training, recorder, tmp_path / "twin", entropy, **protocol)
    other = trained(training, recorder, tmp_path / "other", entropy, adversary={"weight": 0.0}, **protocol)
    assert same(twin, other)


def test_a_stopped_training_with_a_term_resumes_bit_equal(training, recorder, tmp_path):
    whole = trained(training, recorder, tmp_path / "whole", entropy, adversary={})
    first = training(adversary={})
    first = replace(first, unlabelled=Unlabelled(first.batches, entropy))
    assert not train(first, tmp_path / "parts", 1e9, recorder(stop_after=5)).finished
    assert same(whole, trained(training, recorder, tmp_path / "parts", entropy, adversary={}))
