"""Everything that training changes, and how it is checkpointed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from .checkpoint import (
    Tensors,
    load_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_tensors,
    with_prefix,
    without_prefix,
)
from .optimizers import build_optimizer

if TYPE_CHECKING:
    from pathlib import Path

    from segbench.spec.protocol import Protocol


@dataclass
class Progress:
    """How far training has come: optimiser steps, seconds of training, validations, and the best mIoU on val."""

    step: int = 0
    seconds: float = 0.0
    validations: int = 0
    best_miou: float | None = None


@dataclass
class TrainingState:
    """Network, optimiser, gradient scaler, averaged weights, progress, and the weights that were best on val."""

    network: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: AveragedModel | None
    progress: Progress = field(default_factory=Progress)
    best: Tensors = field(default_factory=dict)

    @classmethod
    def start(cls, network: torch.nn.Module, protocol: Protocol, device: torch.device) -> TrainingState:
        """Return the state before the first step."""
        average = None
        if protocol.ema is not None:
            update = get_ema_multi_avg_fn(protocol.ema)  # type: ignore[no-untyped-call]  # torch does not type it
            average = AveragedModel(network, multi_avg_fn=update, use_buffers=True)
        scaler = torch.amp.GradScaler(device.type, enabled=protocol.precision == "fp16")
        return cls(network, build_optimizer(protocol.optimizer, network.parameters()), scaler, average)

    @property
    def evaluated_network(self) -> torch.nn.Module:
        """The network whose weights are validated: the averaged one where the protocol asks for averaging."""
        return self.network if self.average is None else self.average.module

    def save(self, path: Path) -> None:
        """Write a checkpoint; raise RecordError if the disk is full or read-only."""
        tensors = {
            **with_prefix("network", self.network.state_dict()),
            **with_prefix("optimizer", optimizer_tensors(self.optimizer)),
            **with_prefix("best", self.best),
            **with_prefix("average", {} if self.average is None else self.average.state_dict()),
        }
        save_tensors(path, tensors, {"progress": asdict(self.progress), "scaler": self.scaler.state_dict()})

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint; raise RecordError if it cannot be read."""
        tensors, state = load_tensors(path)
        self.network.load_state_dict(without_prefix("network", tensors))
        restore_optimizer(self.optimizer, without_prefix("optimizer", tensors))
        if self.average is not None:
            self.average.load_state_dict(without_prefix("average", tensors))
        self.scaler.load_state_dict(state["scaler"])
        self.best = without_prefix("best", tensors)
        self.progress = Progress(**state["progress"])

    def keep_as_best(self, miou: float) -> None:
        """Remember the evaluated weights as the best so far if `miou` says so."""
        if self.progress.best_miou is None or miou > self.progress.best_miou:
            self.progress.best_miou = miou
            self.best = {name: tensor.detach().clone() for name, tensor in self.evaluated_network.state_dict().items()}
