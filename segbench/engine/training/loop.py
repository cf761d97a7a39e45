"""The training loop, to be read top to bottom."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from segbench.engine.adversarial.monitor import observe_gradient, observe_step
from segbench.engine.model.cost import PeakMemory
from segbench.engine.model.optimizers import learning_rate_factor, set_learning_rate
from segbench.engine.numerics import autocast, derive, name_norm_errors
from segbench.engine.ranks import ALONE, Ranks
from segbench.errors import RecordError
from segbench.files import set_aside
from segbench.stats.health import judge

from .capture import prepare_forward
from .clock import PartTimer, TrainingClock
from .finite import FiniteWatch
from .micro_batches import GeneratorPass, carry_back, split_inputs
from .state import TrainingState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from segbench.config.protocol import Budget, TrainingProtocol
    from segbench.engine.adversarial.adversary import Adversary, DiscriminatorUpdate
    from segbench.engine.adversarial.pairing import Pair
    from segbench.engine.data.batches import BatchSource
    from segbench.engine.job import Channel
    from segbench.engine.model.mapping import GeneratorMapping
    from segbench.engine.model.network import Segmenter, Synthesizer
    from segbench.store.record import Health

    from .clock import TrainingPart
    from .setup import Unlabelled

    Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


_REPORT_SECONDS = 0.5


@dataclass(frozen=True)
class Training:
    """A network, what it learns from, and the protocol.

    - losses: (weight, loss); a network without any learns from its adversary alone
    - validate: returns the mIoU of a network on val at a step, or None where it has none
    - class_weights: those of losses that have them by name, (K,) each
    - deep_supervision: the loss of auxiliary outputs (N, K, H, W) and labels (N, H, W), if it is not the network's own
    - ranks: the processes that train it together
    """

    network: Segmenter | Synthesizer
    mapping: GeneratorMapping
    losses: Sequence[tuple[float, Loss]]
    batches: BatchSource
    validate: Callable[[torch.nn.Module, int], float | None]
    protocol: TrainingProtocol
    seed: int
    device: torch.device
    adversary: Adversary | None = None
    unlabelled: Unlabelled | None = None
    class_weights: Mapping[str, list[float]] | None = None
    deep_supervision: Callable[[Sequence[torch.Tensor], torch.Tensor], torch.Tensor] | None = None
    ranks: Ranks = ALONE


@dataclass(frozen=True)
class Outcome:
    """How training ended.

    - finished: False if it was asked to stop early
    - shares: of the time of a step, by part
    - seconds_to_best: seconds of training until the best validation
    - health: that of adversarial training
    - weights: of the adversarial gradient at each step, (steps,), where a ratio set them
    - peak_bytes, reserved_bytes: of memory; see `PeakMemory`
    - capture: "captured", or why the generator's passes were no CUDA graphs, where the protocol asks for these
    """

    finished: bool
    steps: int
    seconds: float
    images_per_second: float | None
    shares: dict[TrainingPart, float] | None = None
    seconds_to_best: float | None = None
    health: Health | None = None
    weights: torch.Tensor | None = None
    peak_bytes: int | None = None
    reserved_bytes: int | None = None
    capture: str | None = None


@name_norm_errors()
def train(training: Training, checkpoint: Path, checkpoint_seconds: float, channel: Channel) -> Outcome:
    """Train until the budget is spent or the channel asks to stop; continue from `checkpoint` where it exists.

    The network ends with the selected weights, the discriminator with its last. Raises CellError when the loss is no
    longer finite, or a norm layer sees a single value.
    """
    protocol, network, mapping, device = training.protocol, training.network, training.mapping, training.device
    adversary, ranks = training.adversary, training.ranks
    state = TrainingState.start(network, adversary, protocol, device, ranks)
    total_steps = steps_in(protocol.budget, training.batches.images_per_epoch, protocol.images_per_step)
    with ranks.leader_first():
        resume(state, checkpoint, total_steps, channel)
    progress, generator = state.progress, state.generator
    forward, capture = prepare_forward(training, progress.step)
    if adversary is not None and protocol.compile:
        adversary = adversary.compile()
    clock, timer, memory = TrainingClock(device, already=progress.seconds), PartTimer(device), PeakMemory(device)
    finite = FiniteWatch(training.losses, adversary, network.component)
    saved_at = reported_at = time.monotonic()
    first_unreported, unreported_loss = progress.step, torch.zeros((), device=device)
    network.train()
    while (done := fraction_spent(protocol.budget, total_steps, state)) < 1:
        if ranks.agree(channel.stop_requested()):
            if ranks.leads:
                state.save(checkpoint)
            return build_outcome(state, clock, timer, memory, capture, finished=False)

        if clock.is_just_warm:
            memory.forget()
        timer.begin()
        factor = learning_rate_factor(protocol.schedule, progress.step, done)
        set_learning_rate(generator.optimizer, protocol.optimizer.lr * factor)
        if adversary is not None:
            set_learning_rate(state.discriminator_of(adversary).optimizer, adversary.recipe.optimizer.lr * factor)
            for _ in range(adversary.extra_steps(progress.step)):
                take_extra_discriminator_step(training, adversary, state)
            timer.end("critic")

        # With and without a discriminator, all random draws of the generator come from this seed.
        batch = training.batches.at(progress.step)
        generator.optimizer.zero_grad(set_to_none=True)
        labelled = GeneratorPass(training, forward, batch, progress.step, "noise", learns_auxiliary=True)
        timer.end("data")

        # The step is cut at the generator's output z: every term gives its gradient there, then one backward pass
        # carries their sum through the network.
        z = labelled.run().detach().float().requires_grad_()  # (N, K, H, W)
        if training.losses:
            target = mapping.target(batch)
            values = [function(z, target) for _, function in training.losses]
            loss = weighted_sum(training.losses, values)
            (gradient,) = torch.autograd.grad(generator.scaler.scale(loss), z)
        else:
            values, loss, gradient = [], torch.zeros((), device=device), torch.zeros_like(z)

        if adversary is not None:
            torch.manual_seed(derive(training.seed, "critic", progress.step))
            pair = adversary.pair(batch, z)
            timer.end("generator")
            update = update_discriminator(adversary, state, pair, batch.labels) if adversary.shares_batches else None
            timer.end("critic")
            adversarial_loss = adversary.generator_loss(pair, batch.labels)
            values.append(adversarial_loss)
            adversarial = adversary.gradient(generator.scaler.scale(adversarial_loss), z)
            weight = weigh(adversary, state, gradient, adversarial)
            if state.health.is_due(progress.step, total_steps):
                supervised = gradient if training.losses else None
                scale = generator.scaler.get_scale()
                observed = observe_step(adversary, network, training.seed, progress.step, batch, pair, update, z)
                observed |= observe_gradient(supervised, weight * adversarial, adversarial_loss, scale)
                observed |= {"weight": weight} if isinstance(weight, torch.Tensor) else {}
                state.health.add(progress.step, observed)
            # At a weight of 0 nothing is added, not even 0 times the gradient: results equal the twin's bit by bit.
            # One that is set at each step lies on the device, and to look at it would wait for that.
            if isinstance(weight, torch.Tensor) or weight > 0:
                gradient = gradient + weight * adversarial
                loss = loss + weight * adversarial_loss.detach()

        finite.note(progress.step, z, values, loss)
        labelled.gradient = gradient
        passes = [labelled]
        if training.unlabelled is not None:
            passes.append(run_unlabelled(training, training.unlabelled, forward, state))
        carry_back(passes, generator.scaler, protocol.accumulate)

        generator.step(protocol.clip_gradient)
        if state.average is not None:
            state.average.update_parameters(network)
        timer.end("generator")
        progress.step += 1
        unreported_loss += loss.detach()
        progress.seconds = clock.step(len(batch.indices))

        now = time.monotonic()
        last = fraction_spent(protocol.budget, total_steps, state) >= 1
        if last or now - reported_at > _REPORT_SECONDS:
            steps = progress.step - first_unreported
            mean_loss = unreported_loss.item() / steps
            if not math.isfinite(mean_loss):
                raise finite.error(mean_loss, progress.step)
            report(channel, clock, state, total_steps, mean_loss)
            # Reading the loss has waited for all steps so far, so these are their full seconds.
            progress.seconds = clock.seconds()
            reported_at, first_unreported = now, progress.step
            unreported_loss.zero_()
        progress.seconds = ranks.agree(progress.seconds)
        if validation_is_due(protocol, total_steps, state):
            with clock.paused(), memory.paused():
                validate(training, state, channel)
        if ranks.leads and now - saved_at > checkpoint_seconds:
            with clock.paused():
                state.save(checkpoint)
            saved_at = now

    for learner in state.learners.values():
        ranks.check_alike(learner.network)
    network.load_state_dict(state.best or state.evaluated_network.state_dict())
    return build_outcome(state, clock, timer, memory, capture, finished=True)


def weigh(
    adversary: Adversary, state: TrainingState, supervised: torch.Tensor, adversarial: torch.Tensor
) -> float | torch.Tensor:
    """Return the weight of the adversarial gradient in this step, given both gradients at the generator's output."""
    step = state.progress.step
    if state.balance is None:
        return adversary.weight(step)
    scale = state.generator.scaler.scale(torch.ones((), device=adversarial.device))
    return state.balance.weigh(supervised, adversarial, scale, adversary.warmth(step))


def run_unlabelled(
    training: Training, unlabelled: Unlabelled, forward: Callable[..., Any], state: TrainingState
) -> GeneratorPass:
    """Return the pass of a batch of unlabelled images, with the scaled gradient of their loss at its output."""
    step = state.progress.step
    batch = unlabelled.batches.at(step)
    made = GeneratorPass(training, forward, batch, step, "unlabelled noise", learns_auxiliary=False)
    z = made.run().detach().float().requires_grad_()
    (made.gradient,) = torch.autograd.grad(state.generator.scaler.scale(unlabelled.loss(z, batch)), z)
    return made


def update_discriminator(
    adversary: Adversary, state: TrainingState, pair: Pair, labels: torch.Tensor
) -> DiscriminatorUpdate:
    """Take one optimiser step of the discriminator on a pair; no gradient reaches the generator."""
    discriminator = state.discriminator_of(adversary)
    discriminator.optimizer.zero_grad(set_to_none=True)
    update = adversary.discriminator_loss(pair, labels, state.progress.critic_step)
    discriminator.scaler.scale(update.loss).backward()  # type: ignore[no-untyped-call]  # torch does not type it
    discriminator.step()
    adversary.clip_weights()
    state.progress.critic_step += 1
    return update


def take_extra_discriminator_step(training: Training, adversary: Adversary, state: TrainingState) -> None:
    """Take a discriminator step on a separate batch; the generator does not change, nor do its running statistics."""
    step, seed = state.progress.critic_step, derive(training.seed, "critic apart")
    assert adversary.batches is not None
    batch = adversary.batches.at(step)
    torch.manual_seed(derive(seed, "noise", step))
    training.network.eval()
    with torch.no_grad(), autocast(training.device, training.protocol.precision):
        inputs = split_inputs(training.mapping.inputs(batch, seed, step), training.protocol.accumulate)
        forward = training.ranks.spread(training.network)
        output = torch.cat([forward(*part) for part in inputs])
    training.network.train()
    update_discriminator(adversary, state, adversary.pair(batch, output.float()), batch.labels)


def build_outcome(
    state: TrainingState,
    clock: TrainingClock,
    timer: PartTimer,
    memory: PeakMemory,
    capture: str | None,
    *,
    finished: bool,
) -> Outcome:
    """Return how training ended."""
    progress = state.progress
    health = None if state.discriminator is None else judge(state.health.points(), state.health.non_finite())
    return Outcome(
        finished=finished,
        steps=progress.step,
        seconds=progress.seconds,
        images_per_second=clock.images_per_second(),
        shares=timer.shares(),
        seconds_to_best=progress.best_seconds,
        health=health,
        weights=None if state.balance is None else state.balance.course,
        peak_bytes=memory.bytes(),
        reserved_bytes=memory.reserved_bytes(),
        capture=capture,
    )


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


def weighted_sum(losses: Sequence[tuple[float, Loss]], values: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the sum of the values of losses, each times its weight."""
    return torch.stack([weight * value for (weight, _), value in zip(losses, values, strict=True)]).sum()


def resume(state: TrainingState, checkpoint: Path, total_steps: int | None, channel: Channel) -> None:
    """Restore the state from a checkpoint; one that is damaged or does not fit is told and set aside, to begin anew."""
    if not checkpoint.exists():
        return
    try:
        state.restore(checkpoint, total_steps)
    except RecordError as error:
        channel.emit("warning", message=f"{error}; set aside as {set_aside(checkpoint).name}, training begins anew")
    else:
        channel.emit("resumed", step=state.progress.step)


def report(channel: Channel, clock: TrainingClock, state: TrainingState, total_steps: int | None, loss: float) -> None:
    """Tell the parent process how far training has come."""
    speed = clock.recent_images_per_second()
    weights = {} if state.balance is None else {"adversarial_weight": state.balance.course[-1].item()}
    channel.emit(
        "step",
        step=state.progress.step,
        steps=total_steps,
        seconds=round(state.progress.seconds, 3),
        loss=loss,
        images_per_second=speed,
        **weights,
    )


def validation_is_due(protocol: TrainingProtocol, total_steps: int | None, state: TrainingState) -> bool:
    """Tell whether the next of the evenly spread validations is due."""
    spent = min(1.0, fraction_spent(protocol.budget, total_steps, state))
    return int(spent * protocol.validations) > state.progress.validations


def validate(training: Training, state: TrainingState, channel: Channel) -> None:
    """Score the evaluated weights on val and remember the best where the protocol selects by it."""
    miou = training.validate(state.evaluated_network, state.progress.step)
    training.network.train()
    state.progress.validations += 1
    if miou is None:
        return
    channel.emit("validation", step=state.progress.step, miou=miou)
    if state.progress.is_best(miou) and training.protocol.select == "best":
        state.keep_as_best()
