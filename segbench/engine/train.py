"""The training loop, to be read top to bottom."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from segbench.errors import CellError, RecordError

from .checkpoint import set_aside
from .optimizers import set_learning_rate
from .precision import autocast
from .schedules import learning_rate_factor
from .seeds import derive
from .training_clock import TrainingClock
from .training_state import TrainingState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from segbench.spec.protocol import Budget, Protocol

    from .data.batches import TrainingBatches
    from .job import Channel
    from .network import Segmenter

    Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

_REPORT_SECONDS = 0.5


@dataclass(frozen=True)
class Training:
    """What is trained on what: the losses are (weight, loss), `validate` returns the mIoU of a network on val."""

    network: Segmenter
    losses: Sequence[tuple[float, Loss]]
    batches: TrainingBatches
    validate: Callable[[torch.nn.Module], float]
    protocol: Protocol
    seed: int
    ignore_index: int
    device: torch.device


@dataclass(frozen=True)
class Outcome:
    """How training ended; `finished` is False if it was asked to stop early."""

    finished: bool
    steps: int
    seconds: float
    images_per_second: float | None


def train(training: Training, checkpoint: Path, checkpoint_seconds: float, channel: Channel) -> Outcome:
    """Train until the budget is spent or the channel asks to stop; continue from `checkpoint` where it exists.

    The network ends with the selected weights. Raises CellError when the loss is no longer finite.
    """
    protocol, network, device = training.protocol, training.network, training.device
    state = TrainingState.start(network, protocol, device)
    resume(state, checkpoint, channel)
    progress = state.progress
    total_steps = steps_in(protocol.budget, training.batches.images_per_epoch, protocol.batch_size)
    forward = torch.compile(network) if protocol.compile else network
    clock = TrainingClock(device, already=progress.seconds)
    saved_at = reported_at = time.monotonic()
    first_unreported, unreported_loss = progress.step, torch.zeros((), device=device)
    network.train()
    while (done := fraction_spent(protocol.budget, total_steps, state)) < 1:
        if channel.stop_requested():
            state.save(checkpoint)
            return Outcome(False, progress.step, progress.seconds, clock.images_per_second())

        set_learning_rate(
            state.optimizer,
            protocol.optimizer.lr * learning_rate_factor(protocol.schedule, progress.step, done),
        )
        batch = training.batches.at(progress.step)
        torch.manual_seed(derive(training.seed, "noise", progress.step))
        state.optimizer.zero_grad(set_to_none=True)
        with autocast(device, protocol.precision):
            logits, auxiliary_loss = network.split(forward(batch.images), batch.labels, training.ignore_index)

        # The step is cut at the generator's output z: every term gives its gradient there, then one backward pass
        # carries their sum through the network.
        z = logits.detach().float().requires_grad_()  # (N, K, H, W)
        loss = weighted_sum(training.losses, z, batch.labels)
        (gradient,) = torch.autograd.grad(state.scaler.scale(loss), z)
        roots, gradients = [logits], [gradient.to(logits.dtype)]
        if auxiliary_loss is not None:
            roots.append(state.scaler.scale(auxiliary_loss))
            gradients.append(torch.ones_like(roots[-1]))
        torch.autograd.backward(roots, gradients)

        if protocol.clip_gradient is not None:
            state.scaler.unscale_(state.optimizer)
            torch.nn.utils.clip_grad_norm_(network.parameters(), protocol.clip_gradient)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        if state.average is not None:
            state.average.update_parameters(network)
        progress.step += 1
        unreported_loss += loss.detach()
        progress.seconds = clock.step(len(batch.indices))

        now = time.monotonic()
        last = fraction_spent(protocol.budget, total_steps, state) >= 1
        if last or now - reported_at > _REPORT_SECONDS:
            steps = progress.step - first_unreported
            report(channel, clock, state, total_steps, check_finite(unreported_loss.item() / steps, progress.step))
            reported_at, first_unreported = now, progress.step
            unreported_loss.zero_()
        if validation_is_due(protocol, total_steps, state):
            with clock.paused():
                validate(training, state, channel)
        if now - saved_at > checkpoint_seconds:
            with clock.paused():
                state.save(checkpoint)
            saved_at = now

    network.load_state_dict(state.best or state.evaluated_network.state_dict())
    return Outcome(True, progress.step, progress.seconds, clock.images_per_second())


def steps_in(budget: Budget, images_per_epoch: int, batch_size: int) -> int | None:
    """Return the optimiser steps of a budget, or None for a budget in seconds."""
    if budget.epochs is not None:
        return math.ceil(budget.epochs * images_per_epoch / batch_size)
    return budget.steps


def fraction_spent(budget: Budget, total_steps: int | None, state: TrainingState) -> float:
    """Return the part of the budget that is spent, from 0 to 1 or more."""
    if total_steps is not None:
        return state.progress.step / total_steps
    assert budget.seconds is not None
    return state.progress.seconds / budget.seconds


def weighted_sum(losses: Sequence[tuple[float, Loss]], z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the weighted sum of the losses of logits z (N, K, H, W) against labels (N, H, W)."""
    return torch.stack([weight * loss(z, labels) for weight, loss in losses]).sum()


def check_finite(loss: float, step: int) -> float:
    """Return the loss; raise CellError if it is NaN or infinite."""
    if not math.isfinite(loss):
        raise CellError(
            f"the loss became {loss} by step {step}; lower optimizer.lr, set clip_gradient, or use precision: fp32"
        )
    return loss


def resume(state: TrainingState, checkpoint: Path, channel: Channel) -> None:
    """Restore the state from a checkpoint; a corrupt one is reported and set aside, and training begins anew."""
    if not checkpoint.exists():
        return
    try:
        state.restore(checkpoint)
    except RecordError as error:
        channel.emit("warning", message=f"{error}; set aside as {set_aside(checkpoint).name}, training begins anew")
    else:
        channel.emit("resumed", step=state.progress.step)


def report(channel: Channel, clock: TrainingClock, state: TrainingState, total_steps: int | None, loss: float) -> None:
    """Tell the parent process how far training has come."""
    speed = clock.recent_images_per_second()
    channel.emit(
        "step",
        step=state.progress.step,
        steps=total_steps,
        seconds=round(state.progress.seconds, 3),
        loss=loss,
        images_per_second=speed,
    )


def validation_is_due(protocol: Protocol, total_steps: int | None, state: TrainingState) -> bool:
    """Tell whether the next of the evenly spread validations is due."""
    spent = min(1.0, fraction_spent(protocol.budget, total_steps, state))
    return int(spent * protocol.validations) > state.progress.validations


def validate(training: Training, state: TrainingState, channel: Channel) -> None:
    """Score the evaluated weights on val and remember the best where the protocol selects by it."""
    miou = training.validate(state.evaluated_network)
    training.network.train()
    state.progress.validations += 1
    channel.emit("validation", step=state.progress.step, miou=miou)
    if training.protocol.select == "best":
        state.keep_as_best(miou)
