"""What a sampled training step tells of the adversarial game; nothing here waits for the device."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from .encodings import MATCHED_TO_PREDICTION
from .generation.distances import diversity, nearest
from .health import (
    gradient_norm,
    observe_classes,
    observe_confidence,
    observe_gradients,
    observe_scores,
)
from .precision import autocast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from .adversary import Adversary, CriticUpdate, Reading
    from .data.batches import Batch
    from .pairing import Pair
    from .train import Training

    Numbers = dict[str, Tensor]


def observe_step(
    training: Training,
    adversary: Adversary,
    step: int,
    batch: Batch,
    pair: Pair,
    update: CriticUpdate | None,
    z: Tensor,
) -> Numbers:
    """Return what scores and outputs tell, by names of `CriticPoint`; `update` is the critic's step on this batch."""
    seen = {}
    if adversary.scores_count:
        with buffers_kept(adversary.critic):
            seen = observe_critic(training, adversary, step, pair, update, z)
    if update is not None:
        seen |= {"critic_loss": update.loss, "critic_gradient": gradient_norm(adversary.critic.parameters())}
    return {**seen, **observe_output(training, batch, z)}


def observe_critic(
    training: Training, adversary: Adversary, step: int, pair: Pair, update: CriticUpdate | None, z: Tensor
) -> Numbers:
    """Return the critic's mean scores and accuracies on reals, fakes, and reals that it never trains on."""
    real, fake = (
        (update.real, update.fake)
        if update is not None and adversary.recipe.placebo != "shuffled"
        else (_reading(adversary, pair, pair.real), _reading(adversary, pair, pair.fake))
    )
    unseen = unseen_reading(training, adversary, step, z)
    return observe_scores(
        real.scores,
        fake.scores,
        adversary.boundary,
        mask=pair.mask,
        validation=None if unseen is None else unseen[0].scores,
        validation_mask=None if unseen is None else unseen[1],
    )


def observe_output(training: Training, batch: Batch, z: Tensor) -> Numbers:
    """Return how sure predictions are, and how generated images differ."""
    maps, channels = training.mapping.maps, batch.images.shape[1]
    made: Numbers = {}
    if maps.startswith("noise"):
        images = z.detach()[:, :channels]
        made["nearest"] = nearest(images, batch.images)
        if len(images) > 1:
            made |= {"diversity": diversity(images), "real_diversity": diversity(batch.images)}
    logits = z[:, channels:] if maps == "noise -> image, labels" else z
    if maps.endswith("labels"):
        made |= observe_confidence(logits)
    if maps in ("image -> labels", "image, labels -> labels"):
        made |= observe_classes(logits, batch.labels, training.mapping.form.ignore_index)
    return made


def observe_pull(supervised: Tensor | None, adversarial: Tensor, loss: Tensor, scale: float) -> Numbers:
    """Return how the adversarial gradient at the output compares with the supervised one, both times `scale`."""
    unscaled = None if supervised is None else supervised / scale
    return {"generator_loss": loss, **observe_gradients(unscaled, adversarial / scale)}


def unseen_reading(training: Training, adversary: Adversary, step: int, z: Tensor) -> tuple[Reading, Tensor] | None:
    """Return the critic's reading of reals that it never trains on, and their mask; None where there are none.

    The critic stays in training mode, as it was for the others, so that the scores can be compared.
    """
    if adversary.validation is None:
        return None
    batch = adversary.validation.at(step)
    output = z.new_zeros((len(batch.images), *z.shape[1:2], *batch.images.shape[-2:]))
    if adversary.mapping.form.encoding.use in MATCHED_TO_PREDICTION:
        training.network.eval()
        with torch.no_grad(), autocast(training.device, training.protocol.precision):
            output = training.network(*training.mapping.inputs(batch, training.seed, step)).float()
        training.network.train()
    pair = adversary.pair(batch, output)
    return _reading(adversary, pair, pair.real), pair.mask


@contextmanager
def buffers_kept(critic: nn.Module) -> Iterator[None]:
    """Put back what a pass in training mode moves on: running statistics, the vectors of a spectral norm."""
    kept = [(buffer, buffer.clone()) for buffer in critic.buffers()]
    yield
    with torch.no_grad():
        for buffer, value in kept:
            buffer.copy_(value)


def _reading(adversary: Adversary, pair: Pair, shown: Tensor) -> Reading:
    with torch.no_grad():
        return adversary.read(pair.condition, shown)
