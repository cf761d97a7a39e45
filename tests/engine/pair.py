"""Two processes that together train and evaluate what test_ranks.py does in one."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import torch

from segbench.engine.data.cache import pack
from segbench.engine.data.resident import ResidentSplit
from segbench.engine.evaluation.evaluate import evaluate, validation_miou
from segbench.engine.ranks import ALONE, Ranks, join
from segbench.engine.training.loop import train

from .conftest import CPU, Recorder, make_training, two_colours
from .training.short import NEVER, weights
from .training.test_micro_batches import WHAT, Auxiliary, Plain, make

STEPS = 20
TOGETHER = 2


class Normed(Plain):
    """One that normalises over the batch, in a layer with what a library has added to it."""

    def __init__(self, channels: int, made: int, dtype: torch.dtype) -> None:
        super().__init__(channels, made, dtype)
        self.layers[1] = Activated(8).to(dtype)


class Activated(torch.nn.BatchNorm2d):
    """As timm's, a layer of batch norm that ends with its activation."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).relu()


class Dropped(Plain):
    """One that draws random numbers."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.dropout(super().forward(x), 0.5, self.training)


class Uncertain(Auxiliary):
    """One whose own auxiliary loss learns its weight (Kendall et al. 2018)."""

    def __init__(self, channels: int, made: int, dtype: torch.dtype) -> None:
        super().__init__(channels, made, dtype)
        self.log_variance = torch.nn.Parameter(torch.zeros((), dtype=dtype))

    def auxiliary_loss(self, auxiliary: tuple[torch.Tensor, ...], target: torch.Tensor) -> torch.Tensor:
        return (-self.log_variance).exp() * super().auxiliary_loss(auxiliary, target) + self.log_variance


class Relativistic:
    """The relativistic average loss (Jolicoeur-Martineau 2019), whose means are over the batch."""

    boundary = None

    def discriminator(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        softplus = torch.nn.functional.softplus
        return softplus(fake.mean() - real) + softplus(fake - real.mean())

    def generator(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        return self.discriminator(real=fake, fake=real)


# What is trained, as in test_micro_batches.py.
CASES = {
    **WHAT,
    "weight 0": {"adversary": {"weight": 0.0, "d_steps": 2}},
    "batch norm": {"network": Normed},
    "micro-batches": {"network": Normed, "batch_size": 2, "accumulate": 2},
    "auxiliary loss with a weight of its own": {"network": Uncertain},
    "penalty through batch norm": {"adversary": {"discriminator": Normed}, "penalised": True},
    "relativistic": {"adversary": {"loss": Relativistic(), "discriminator": Normed}},
}


def make_case(name: str, ranks: Ranks = ALONE):
    """Return a training of so many processes."""
    settings = {"batch_size": 4, "budget": {"steps": STEPS}, **CASES[name]}
    if kind := settings.get("adversary", {}).get("discriminator"):
        settings["adversary"] = {**settings["adversary"], "discriminator": kind(5, 1, torch.float32)}
    made = make(make_training, torch.float32, **settings)
    if made.adversary is not None and made.adversary.penalty is not None:
        recipe = made.adversary.recipe
        mild = recipe.model_copy(update={"penalty": recipe.penalty.model_copy(update={"weight": 0.1})})
        made = replace(made, adversary=replace(made.adversary, recipe=mild))
    return with_ranks(made, ranks)


def with_ranks(made, ranks: Ranks):
    adversary = None if made.adversary is None else replace(made.adversary, ranks=ranks)
    return replace(made, ranks=ranks, adversary=adversary)


def learnt(made) -> dict[str, dict[str, torch.Tensor]]:
    """Return the weights of the networks of a training."""
    networks = {"network": made.network}
    if made.adversary is not None:
        networks["critic"] = made.adversary.discriminator
    return {name: weights(network) for name, network in networks.items()}


def split_of(name: str) -> ResidentSplit:
    return ResidentSplit(pack(two_colours(), name, "two colours"), CPU)


def evaluated(ranks: Ranks = ALONE, images: str = "train"):
    """Return the counts and the mIoU of a network that has learnt nothing."""
    made = make_training(batch_size=2)
    made.network.eval()
    arguments = made.network, split_of(images), made.protocol, two_colours(), ranks
    return evaluate(*arguments), validation_miou(*arguments)


def train_in_parts(folder: Path, ranks: Ranks) -> tuple[int, dict[str, torch.Tensor]]:
    """Stop a training when the leader is asked to, and resume it; return the steps of the first part, and what came."""
    settings = {"batch_size": 2, "adversary": {"weight": 0.5, "d_steps": 2}, "ema": 0.5}
    first = with_ranks(make_training(**settings), ranks)
    stopped = train(first, folder / "checkpoint", NEVER, Recorder(stop_after=3 if ranks.leads else None))
    assert not stopped.finished
    resumed = with_ranks(make_training(**settings), ranks)
    train(resumed, folder / "checkpoint", NEVER, Recorder())
    return stopped.steps, weights(resumed.network)


def train_at_once(folder: Path, ranks: Ranks) -> dict[str, torch.Tensor]:
    made = with_ranks(make_training(batch_size=2, adversary={"weight": 0.5, "d_steps": 2}, ema=0.5), ranks)
    train(made, folder / "none", NEVER, Recorder())
    return weights(made.network)


def train_for_a_while(folder: Path, ranks: Ranks) -> tuple[int, float]:
    made = make_training(batch_size=2, budget={"seconds": 0.3}, validations=3, validate=lambda network, step: None)
    outcome = train(with_ranks(made, ranks), folder / "none", NEVER, Recorder())
    return outcome.steps, outcome.seconds


def add_gradients(ranks: Ranks) -> list[torch.Tensor | None]:
    """Add up gradients of a layer that all use, one that the second process alone does, and one that learns nothing."""
    parameters = [torch.nn.Parameter(torch.zeros(2), requires_grad=learns) for learns in (True, True, False)]
    for parameter in parameters[: ranks.rank + 1]:
        parameter.grad = torch.full((2,), ranks.rank + 1.0)
    ranks.add_gradients(parameters)
    return [parameter.grad for parameter in parameters]


def listening() -> set[str]:
    """Return the addresses on which this process listens, as /proc writes them."""
    own = {os.readlink(file) for file in Path("/proc/self/fd").iterdir() if file.is_symlink() and file.exists()}
    fields = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return {one[1].partition(":")[0] for one in fields if one[3] == "0A" and f"socket:[{one[9]}]" in own}


def work(job: tuple[int, Path], channel: object) -> None:
    """Do everything as one of two processes, as its number and a folder say, and write there what came of it."""
    rank, folder = job
    torch.set_num_threads(1)
    ranks = join(rank, TOGETHER, str(folder), CPU)
    found = {"listens on": listening() if sys.platform == "linux" else {"0100007F"}, "learnt": {}}
    for name in CASES:
        made = make_case(name, ranks)
        train(made, folder / f"{name} of {rank}", NEVER, Recorder())
        found["learnt"][name] = learnt(made)
    found["evaluated"] = {images: evaluated(ranks, images) for images in ("train", "val")}
    found["in parts"] = train_in_parts(folder, ranks)
    found["at once"] = train_at_once(folder, ranks)
    found["for a while"] = train_for_a_while(folder, ranks)
    dropped = with_ranks(make(make_training, torch.float32, network=Dropped, batch_size=4), ranks)
    torch.manual_seed(0)
    output = ranks.spread(dropped.network.train())(torch.ones(4, 3, 8, 8))
    found["gradients"] = add_gradients(ranks)
    found["dropped"] = output.detach(), torch.rand(())
    torch.save(found, folder / f"{rank}.pt")
