"""Training in micro-batches is training on their batch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from segbench.config.recipe import Penalty
from segbench.engine.training.loop import train
from segbench.engine.training.setup import Unlabelled, deep_supervision
from segbench.engine.training.upstream import SyntheticBatches

from .short import NEVER, assert_equal, entropy, trained, weights


class Plain(torch.nn.Module):
    """A network without batch normalisation that computes in a precision of its own."""

    def __init__(self, channels: int, made: int, dtype: torch.dtype) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(channels, 8, 3, padding=1),
            torch.nn.GroupNorm(2, 8),
            torch.nn.Tanh(),
            torch.nn.Conv2d(8, made, 1),
        ).to(dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x.to(self.layers[0].weight.dtype))


class Auxiliary(Plain):
    """One with an auxiliary output."""

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        made = super().forward(x)
        return (made, 2 * made) if self.training else made

    def auxiliary_loss(self, auxiliary: tuple[torch.Tensor, ...], target: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(auxiliary[0], target)


def dice(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return a loss of the whole batch that is no mean over pixels."""
    given, true = output.softmax(1)[:, 1], (target == 1).float()
    return 1 - (2 * (given * true).sum() + 1) / (given.sum() + true.sum() + 1)


class Painter(Plain):
    """One from one-hot labels and noise to images."""

    def __init__(self, channels: int, made: int, dtype: torch.dtype) -> None:
        super().__init__(made, channels, dtype)

    def forward(self, labels: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return super().forward(labels) * noise[:, :, None, None]


def penalise_between(score, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Return the squared gradient at a point that is drawn between real and fake of each sample."""
    share = torch.rand(len(real), 1, 1, 1)
    point = (share * real + (1 - share) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(score(point).sum(), point, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def negative(batch, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    return -batch.images, batch.labels


# What is trained: keys of the protocol, and further arguments of `make`.
WHAT = {
    "supervised": {},
    "a loss of the whole batch": {"loss": dice},
    "auxiliary outputs": {"network": Auxiliary},
    "deep supervision": {"network": Auxiliary, "loss": dice, "auxiliary_weight": 0.5},
    "augmented": {"augment": {"scale": (0.8, 1.2), "flip": True, "jitter": 0.2, "cutmix": 0.5}, "crop": (12, 12)},
    "unlabelled": {"term": entropy},
    "synthetic": {"synthetic": 0.5},
    "discriminator": {"adversary": {"d_steps": 2}},
    "penalty that draws": {"adversary": {}, "penalised": True},
    "shuffled": {"adversary": {"placebo": "shuffled"}},
    "noise": {"adversary": {"placebo": "noise", "alternate": 2}},
    "ratio of gradients": {"adversary": {"weight": {"ratio": 0.3}}},
    "clipped and averaged": {"clip_gradient": 0.01, "ema": 0.5},
    "frozen": {"optimizer": {"use": "sgd", "lr": 0.05, "freeze": "0.*"}},
}


def make(training, dtype, *, adversary=None, network=Plain, term=None, synthetic=None, penalised=False, **settings):
    """Return a training by SGD whose networks compute in `dtype`."""
    sgd = {"use": "sgd", "lr": 0.05}
    if adversary is not None:
        adversary = {"weight": 0.5, "optimizer": sgd, "discriminator": Plain(5, 1, dtype), **adversary}
    settings = {"budget": {"epochs": 4}, "optimizer": sgd, **settings}
    made = training(network=network(3, 2, dtype), adversary=adversary, **settings)
    made = replace(made, deep_supervision=deep_supervision(made.mapping, made.losses, made.protocol.auxiliary_weight))
    if penalised:
        recipe = made.adversary.recipe.model_copy(update={"penalty": Penalty(use="test/penalty", every=2)})
        made = replace(made, adversary=replace(made.adversary, penalty=penalise_between, recipe=recipe))
    if term is not None:
        made = replace(made, unlabelled=Unlabelled(made.batches, term))
    if synthetic is not None:
        made = replace(made, batches=SyntheticBatches(made.batches, made.batches, synthetic, negative))
    return made


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("what", WHAT)
def test_micro_batches_train_as_one_batch_does(training, recorder, tmp_path, what, dtype):
    whole = make(training, dtype, batch_size=6, **WHAT[what])
    parts = make(training, dtype, batch_size=2, accumulate=3, **WHAT[what])
    before = weights(whole.network)
    outcomes = [train(one, tmp_path / str(place), NEVER, recorder()) for place, one in enumerate((whole, parts))]
    assert [outcome.steps for outcome in outcomes] == [4, 4]
    tolerance = {"rtol": 1e-9, "atol": 1e-12} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-6}
    torch.testing.assert_close(weights(parts.network), weights(whole.network), **tolerance)
    assert any(not torch.allclose(tensor, before[name], rtol=1e-3) for name, tensor in weights(whole.network).items())
    if whole.adversary is not None:
        critics = [weights(one.adversary.discriminator) for one in (parts, whole)]
        torch.testing.assert_close(*critics, **tolerance)


def test_micro_batches_of_generated_images_train_as_one_batch_does(training, recorder, tmp_path):
    made = [
        replace(one, mapping=replace(one.mapping, maps="labels -> image"), losses=[(1.0, torch.nn.functional.l1_loss)])
        for one in (
            make(training, torch.float64, network=Painter, batch_size=6),
            make(training, torch.float64, network=Painter, batch_size=2, accumulate=3),
        )
    ]
    for place, one in enumerate(made):
        one.network.channels = 3
        train(one, tmp_path / str(place), NEVER, recorder())
    torch.testing.assert_close(weights(made[0].network), weights(made[1].network), rtol=1e-9, atol=1e-12)


def test_running_statistics_move_once_for_each_micro_batch(training, recorder, tmp_path):
    made = training(batch_size=2, accumulate=3, budget={"steps": 4})
    train(made, tmp_path / "checkpoint", NEVER, recorder())
    assert made.network.state_dict()["network.1.num_batches_tracked"] == 12


@pytest.mark.parametrize("protocol", [{}, {"precision": "bf16", "channels_last": True, "ema": 0.5}])
@pytest.mark.parametrize("game", [None, {"weight": 0.0, "d_steps": 2}])
def test_a_stopped_training_in_micro_batches_resumes_bit_equal(training, recorder, tmp_path, protocol, game):
    settings = {"batch_size": 2, "accumulate": 2, **protocol}
    whole, _ = trained(training, recorder, tmp_path / "whole", **settings)
    train(training(adversary=game, **settings), tmp_path / "parts", NEVER, recorder(stop_after=3))
    resumed, outcome = trained(training, recorder, tmp_path / "parts", adversary=game, **settings)
    assert outcome.steps == 8
    # At weight 0 the discriminator leaves the bits of its twin.
    assert_equal(weights(whole.network), weights(resumed.network))
