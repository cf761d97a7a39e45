"""The state of training, and how it is saved in and restored from a checkpoint."""

from __future__ import annotations

import reprlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from pydantic import TypeAdapter, ValidationError

from segbench.engine.adversarial.monitor import HealthLog
from segbench.engine.model.checkpoint import (
    Tensors,
    expected_optimizer_tensors,
    load_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_tensors,
    with_prefix,
    without_prefix,
)
from segbench.engine.model.network import PluginNetwork
from segbench.engine.model.optimizers import build_optimizer
from segbench.engine.model.parameters import freeze
from segbench.engine.ranks import ALONE, Ranks
from segbench.errors import RecordError, SpecError
from segbench.store.json_file import describe_error
from segbench.weights import misfit

from .average import WeightAverage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from segbench.config.optimizer import Optimizer
    from segbench.config.protocol import TrainingProtocol
    from segbench.engine.adversarial.adversary import Adversary
    from segbench.engine.adversarial.balance import Balance

_BEYOND = 2**63  # no count of steps and no time reaches this


@dataclass
class Progress:
    """How far training has come, by the names of a checkpoint.

    - step, critic_step: optimiser steps of generator and discriminator
    - seconds: of training
    - validations: their number
    - best_miou, best_seconds: the best mIoU on val, and the seconds of training until it
    """

    step: int = 0
    critic_step: int = 0
    seconds: float = 0.0
    validations: int = 0
    best_miou: float | None = None
    best_seconds: float | None = None

    def is_best(self, miou: float) -> bool:
        """Tell whether a validation is better than all before, and remember it if so."""
        if self.best_miou is not None and miou <= self.best_miou:
            return False
        self.best_miou, self.best_seconds = miou, self.seconds
        return True


@dataclass
class Learner:
    """A network with its optimiser and gradient scaler, and the processes that train it."""

    network: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    ranks: Ranks = ALONE

    def step(self, clip_gradient: float | None = None) -> None:
        """Take one optimiser step with the gradients of all processes, their norm bounded by `clip_gradient`."""
        self.ranks.add_gradients(self.network.parameters())
        if clip_gradient is not None:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), clip_gradient)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def tensors(self) -> Tensors:
        """Return all tensors of the state."""
        weights = with_prefix("weights", self.network.state_dict())
        return {**weights, **with_prefix("optimizer", optimizer_tensors(self.optimizer))}

    def restore(self, tensors: Tensors, scaler: dict[str, Any]) -> None:
        """Put back what `tensors` returned, and the state of the scaler."""
        self.network.load_state_dict(without_prefix("weights", tensors))
        restore_optimizer(self.optimizer, without_prefix("optimizer", tensors))
        self.scaler.load_state_dict(scaler)


@dataclass
class TrainingState:
    """Generator and discriminator, averaged weights, progress, health, and the weights that were best on val.

    `balance` is what sets the weight of the adversarial gradient, where a ratio does.
    """

    generator: Learner
    discriminator: Learner | None
    average: WeightAverage | None
    progress: Progress = field(default_factory=Progress)
    health: HealthLog = field(default_factory=HealthLog)
    best: Tensors = field(default_factory=dict)
    balance: Balance | None = None

    @classmethod
    def start(
        cls,
        network: torch.nn.Module,
        adversary: Adversary | None,
        protocol: TrainingProtocol,
        device: torch.device,
        ranks: Ranks = ALONE,
    ) -> TrainingState:
        """Return the state before the first step."""
        ranks.start_alike(network)
        average = None if protocol.ema is None else WeightAverage(network, protocol.ema)

        def learner(module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Learner:
            scaler = torch.amp.GradScaler(device.type, enabled=protocol.precision == "fp16")
            return Learner(module, optimizer, scaler, ranks)

        generator = learner(network, prepare_parameters(network, protocol.optimizer, "protocol.optimizer"))
        discriminator = None
        if adversary is not None:
            settings, critic = adversary.recipe.optimizer, adversary.discriminator
            ranks.start_alike(critic)
            discriminator = learner(critic, prepare_parameters(critic, settings, "adversarial.optimizer"))
        return cls(generator, discriminator, average, balance=adversary.balance() if adversary else None)

    @property
    def evaluated_network(self) -> torch.nn.Module:
        """The network whose weights are validated: the averaged one where the protocol asks for averaging."""
        return self.generator.network if self.average is None else self.average.module

    def discriminator_of(self, adversary: Adversary) -> Learner:
        """Return the learner that trains the discriminator of an adversary."""
        assert self.discriminator is not None
        assert self.discriminator.network is adversary.discriminator
        return self.discriminator

    @property
    def learners(self) -> dict[str, Learner]:
        """Generator and discriminator, by their names in a checkpoint."""
        learners = {"generator": self.generator}
        return learners if self.discriminator is None else {**learners, "critic": self.discriminator}

    def save(self, path: Path) -> None:
        """Write a checkpoint; raise RecordError if the disk is full or read-only."""
        state = {
            "progress": asdict(self.progress),
            "scalers": {name: learner.scaler.state_dict() for name, learner in self.learners.items()},
            "health": self.health.state(),
        }
        save_tensors(path, self._tensors(), state)

    def _tensors(self) -> Tensors:
        """Return all tensors, by their names in a checkpoint."""
        return {
            **{
                name: tensor
                for who, learner in self.learners.items()
                for name, tensor in with_prefix(who, learner.tensors()).items()
            },
            **with_prefix("best", self.best),
            **with_prefix("average", {} if self.average is None else self.average.state_dict()),
            **with_prefix("balance", {} if self.balance is None else self.balance.tensors()),
        }

    def restore(self, path: Path, total_steps: int | None = None) -> None:
        """Continue from a checkpoint; raise RecordError, with nothing changed, if it is damaged or of another training.

        `total_steps` are those of the budget, if it is one of steps.
        """
        tensors, state = load_tensors(path)
        try:
            progress, health = _read_progress(state, total_steps), HealthLog.from_state(state["health"])
            self._check_tensors(tensors, progress.step)
            scalers = self._read_scalers(state)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            cause = describe_error(error) if isinstance(error, ValidationError) else error
            raise RecordError(f"{path} does not fit what is trained here: {cause}") from error
        for name, learner in self.learners.items():
            learner.restore(without_prefix(name, tensors), scalers[name])
        if self.average is not None:
            self.average.load_state_dict(without_prefix("average", tensors))
        if self.balance is not None:
            self.balance.restore(without_prefix("balance", tensors))
        self.best, self.progress, self.health = without_prefix("best", tensors), progress, health

    def _check_tensors(self, tensors: Tensors, steps: int) -> None:
        """Raise ValueError for tensors that are not, by name, shape and type, those of this state after some steps."""
        expected = self._tensors()
        for name, learner in self.learners.items():
            start = f"{name}/optimizer"
            expected |= with_prefix(
                start, expected_optimizer_tensors(learner.optimizer, without_prefix(start, tensors))
            )
        if without_prefix("best", tensors):
            expected |= with_prefix("best", self.evaluated_network.state_dict())
        if self.balance is not None:
            expected |= with_prefix("balance", self.balance.tensors(steps))
        if _forms(tensors) != _forms(expected):
            raise ValueError(misfit(tensors, expected) or "tensors are missing or of other types")

    def _read_scalers(self, state: Mapping[str, Any]) -> dict[str, dict[str, float]]:
        """Return the states of the gradient scalers; raise ValueError for those of another precision."""
        scalers = TypeAdapter(dict[str, dict[str, int | float]]).validate_python(state["scalers"])
        for name, learner in self.learners.items():
            if scalers[name].keys() != learner.scaler.state_dict().keys():
                raise ValueError(f"its scaler of the {name} is of another precision")
        return scalers

    def keep_as_best(self) -> None:
        """Remember the evaluated weights as those of the best validation so far."""
        self.best = {name: tensor.detach().clone() for name, tensor in self.evaluated_network.state_dict().items()}


def prepare_parameters(network: torch.nn.Module, settings: Optimizer, key: str) -> torch.optim.Optimizer:
    """Freeze what the settings freeze in a network, and return the optimiser of the other parameters.

    `key` is where the settings are written, for the message of a SpecError.
    """
    own = network.network if isinstance(network, PluginNetwork) else network
    try:
        frozen = freeze(settings.freeze, own)
        if isinstance(network, PluginNetwork):
            network.frozen = frozen
        return build_optimizer(settings, own)
    except SpecError as error:
        raise SpecError(f"{key}.{error}") from error


def _read_progress(state: Mapping[str, Any], total_steps: int | None) -> Progress:
    """Return the progress that a checkpoint states; raise ValueError for one that no training of this budget has."""
    progress = TypeAdapter(Progress).validate_python(state["progress"])
    numbers = [number for number in vars(progress).values() if number is not None]
    if not all(0 <= number < _BEYOND for number in numbers) or progress.step > (total_steps or _BEYOND):
        raise ValueError(f"it is at step {reprlib.repr(progress.step)}, and the budget is {total_steps} steps")
    return progress


def _forms(tensors: Tensors) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
