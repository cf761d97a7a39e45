"""Observe adversarial training at some of its steps, and keep a log of the observations.

An observation is a 0-dim float32 tensor on the device, by the name of a field of `HealthPoint`. Nothing here waits for
the device: the log brings observations to the host in one transfer when it is read. Observing draws no random numbers
and changes no weights. The rules that assess a finished curve are in segbench/stats/health.py.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from segbench.engine.evaluation.confusion import sum_bins
from segbench.engine.generation.metrics import diversity, nearest
from segbench.engine.numerics import autocast
from segbench.store.record import HealthPoint

from .adversary import log_odds, masked_mean
from .balance import SMALLEST_NORM, norm
from .pairing import MATCHED_TO_PREDICTION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from segbench.engine.data.batches import Batch
    from segbench.engine.model.mapping import GeneratorMapping

    from .adversary import Adversary, DiscriminatorOutput, DiscriminatorUpdate
    from .pairing import Pair

    Observations = dict[str, Tensor]
    Scores = Tensor | Sequence[Tensor]


# An observation costs an eighth of a step, most of it the discriminator's pass over reals of the validation split
# (U-Net R18, PatchGAN, batch 8, measured on a CPU); at one step in ten that is 1.2 %, and 3 % is allowed.
STEPS_PER_OBSERVATION = 10

# When a log is full every second point goes and observations become half as frequent, so that a checkpoint stays small.
MOST_POINTS = 1024

# Added to both entropies of class histograms: where both truth and prediction have one class, their ratio is 1.
ENTROPY_OFFSET = 1e-3

OBSERVED_NAMES = frozenset(HealthPoint.model_fields) - {"step"}


def observe_step(
    adversary: Adversary,
    network: nn.Module,
    seed: int,
    step: int,
    batch: Batch,
    pair: Pair,
    update: DiscriminatorUpdate | None,
    z: Tensor,
) -> Observations:
    """Observe scores and outputs of a step; `update` is the discriminator's own step on this batch.

    `network` is the generator, `z` its output for the batch, `seed` that of the cell.
    """
    seen: Observations = {}
    if adversary.compares_scores:
        with keep_buffers(adversary.discriminator):
            seen = observe_discriminator(adversary, network, seed, step, pair, update, z)
    if update is not None:
        seen |= {"critic_loss": update.loss, "critic_gradient": gradient_norm(adversary.discriminator.parameters())}
    return {**seen, **observe_output(adversary.mapping, batch, z)}


def observe_discriminator(
    adversary: Adversary,
    network: nn.Module,
    seed: int,
    step: int,
    pair: Pair,
    update: DiscriminatorUpdate | None,
    z: Tensor,
) -> Observations:
    """Observe mean scores and accuracies on reals, fakes, and reals that the discriminator never trains on."""
    if update is not None and adversary.recipe.placebo != "shuffled":
        real, fake = update.real, update.fake
    else:
        real, fake = _discriminate(adversary, pair, pair.real), _discriminate(adversary, pair, pair.fake)
    unseen = score_unseen_reals(adversary, network, seed, step, z)
    return observe_scores(
        real.scores,
        fake.scores,
        adversary.boundary,
        mask=pair.mask,
        validation=None if unseen is None else unseen[0].scores,
        validation_mask=None if unseen is None else unseen[1],
    )


def score_unseen_reals(
    adversary: Adversary, network: nn.Module, seed: int, step: int, z: Tensor
) -> tuple[DiscriminatorOutput, Tensor] | None:
    """Return the discriminator's output for reals that it never trains on, and their mask; None where there are none.

    The discriminator stays in training mode, as it was for the others, so that the scores can be compared.
    """
    if adversary.validation is None:
        return None
    batch = adversary.validation.at(step)
    output = z.new_zeros((len(batch.images), *z.shape[1:2], *batch.images.shape[-2:]))
    if adversary.mapping.form.encoding.use in MATCHED_TO_PREDICTION:
        network.eval()
        with torch.no_grad(), autocast(adversary.device, adversary.precision):
            output = network(*adversary.mapping.inputs(batch, seed, step)).float()
        network.train()
    pair = adversary.pair(batch, output)
    return _discriminate(adversary, pair, pair.real), pair.mask


@contextmanager
def keep_buffers(network: nn.Module) -> Iterator[None]:
    """Restore what a pass in training mode changes: running statistics, the vectors of a spectral norm."""
    kept = [(buffer, buffer.clone()) for buffer in network.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)


def _discriminate(adversary: Adversary, pair: Pair, field: Tensor) -> DiscriminatorOutput:
    with torch.no_grad():
        return adversary.discriminate(pair.condition, field)


def observe_output(mapping: GeneratorMapping, batch: Batch, z: Tensor) -> Observations:
    """Observe how confident predictions are, and how generated images differ; `z` is the generator's output."""
    maps, channels = mapping.maps, batch.images.shape[1]
    seen: Observations = {}
    if maps.startswith("noise"):
        images = z.detach()[:, :channels]
        seen["nearest"] = nearest(images, batch.images)
        if len(images) > 1:
            seen |= {"diversity": diversity(images), "real_diversity": diversity(batch.images)}
    logits = z[:, channels:] if maps == "noise -> image, labels" else z
    if maps.endswith("labels"):
        seen |= observe_confidence(logits)
    if maps in ("image -> labels", "image, labels -> labels"):
        seen |= observe_classes(logits, batch.labels, mapping.form.ignore_index)
    return seen


def observe_gradient(supervised: Tensor | None, adversarial: Tensor, loss: Tensor, scale: float) -> Observations:
    """Observe the generator's adversarial loss, and its gradient at the output beside the supervised one.

    Both gradients are multiplied by `scale`, that of the gradient scaler.
    """
    unscaled = None if supervised is None else supervised / scale
    return {"generator_loss": loss, **compare_gradients(unscaled, adversarial / scale)}


def observe_scores(
    real: Scores,
    fake: Scores,
    boundary: float | None,
    *,
    validation: Scores | None = None,
    mask: Tensor | None = None,
    validation_mask: Tensor | None = None,
) -> Observations:
    """Observe mean score and accuracy of a discriminator on reals, fakes and, if given, reals of the validation split.

    A real score is right above the boundary and a fake one below, a score on it counts half. Where the loss has no
    boundary of its own (None) it is the midpoint between the mean real and the mean fake score. Several score maps
    (multiscale) count alike, each with its own midpoint. With validation scores the heuristic `overfit` is added.

    - real, fake, validation: raw scores (N, 1, h, w) or (N, K+1, h, w), see `log_odds`, or lists of them
    - mask, validation_mask: (N, 1, H, W), bool; a score weighs as much as the share of its pixels that count
    """
    groups = {"real": (_maps(real), mask), "fake": (_maps(fake), mask)}
    if validation is not None:
        groups["validation"] = (_maps(validation), validation_mask)
    means = {name: torch.stack([_masked_mean(one, where) for one in maps]) for name, (maps, where) in groups.items()}
    middle = (means["real"] + means["fake"]) / 2 if boundary is None else torch.full_like(means["real"], boundary)
    observed = {}
    for name, (maps, where) in groups.items():
        shares = [_share_above(one, at, where) for one, at in zip(maps, middle, strict=True)]
        share = torch.stack(shares).mean()
        observed[name] = means[name].mean()
        observed[f"{name}_accuracy"] = 1 - share if name == "fake" else share
    if validation is not None:
        observed["overfit"] = overfit(observed["real"], observed["fake"], observed["validation"])
    return observed


def overfit(real: Tensor, fake: Tensor, validation: Tensor) -> Tensor:
    """Return the heuristic r_v (Karras 2020), (real - validation) / (real - fake) of mean scores; 0 where undefined."""
    gap = real - fake
    return torch.where(gap == 0, 0.0, (real - validation) / torch.where(gap == 0, 1.0, gap))


def compare_gradients(supervised: Tensor | None, adversarial: Tensor) -> Observations:
    """Observe the norms of both gradients at the generator's output, their ratio and their cosine.

    Both gradients have the same shape and no loss scale; the adversarial one is multiplied by its weight. `ratio` is
    adversarial / supervised norm; the cosine is 0 where one of the norms is. Without a supervised term there is the
    adversarial norm only.
    """
    own = norm(adversarial)
    if supervised is None:
        return {"adversarial_gradient": own}
    other = norm(supervised)
    product = (supervised.detach().float() * adversarial.detach().float()).sum()
    return {
        "supervised_gradient": other,
        "adversarial_gradient": own,
        "ratio": own / other.clamp_min(SMALLEST_NORM),
        "cosine": product / (own.clamp_min(SMALLEST_NORM) * other.clamp_min(SMALLEST_NORM)),
    }


def observe_confidence(logits: Tensor) -> Observations:
    """Observe the mean top probability and the mean entropy [nats] of logits (N, K, H, W) over their pixels."""
    probabilities = logits.detach().float().softmax(1)
    return {
        "top_probability": probabilities.amax(1).mean(),
        "entropy": torch.special.entr(probabilities).sum(1).mean(),
    }


def observe_classes(logits: Tensor, labels: Tensor, ignore_index: int) -> Observations:
    """Observe the entropy of the histogram of predicted classes over that of the true ones; 0 is one class everywhere.

    - logits: (N, K, H, W)
    - labels: (N, H, W), int64; pixels of ignore_index count in neither histogram
    """
    num_classes = logits.shape[1]
    weights = (labels != ignore_index).flatten().float()
    predicted = _histogram(logits.detach().max(1).indices.flatten(), weights, num_classes)
    true = _histogram(labels.flatten().clamp(0, num_classes - 1), weights, num_classes)
    return {"class_entropy": (_entropy(predicted) + ENTROPY_OFFSET) / (_entropy(true) + ENTROPY_OFFSET)}


def gradient_norm(parameters: Iterable[torch.nn.Parameter]) -> Tensor:
    """Return the norm of the gradients that parameters hold, all of them as one vector; 0 if none holds any."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients).float()


class HealthLog:
    """The observations of a run by step, kept on their device until they are read.

    if log.is_due(step):
        log.add(step, {**observe_scores(...), "critic_loss": loss})
    """

    def __init__(self) -> None:
        self.every = STEPS_PER_OBSERVATION
        self._on_host: dict[int, dict[str, float | None]] = {}
        self._on_device: dict[int, tuple[list[str], Tensor]] = {}

    def is_due(self, step: int, steps: int | None = None) -> bool:
        """Tell whether to observe a step, counted from 0: the first, every tenth, and the last if `steps` is known.

        So a run of any length has a first and a last point; in long runs observations become less frequent.
        """
        return step % self.every == 0 or step + 1 == steps

    def add(self, step: int, observed: Mapping[str, Tensor]) -> None:
        """Keep the observations of a step, 0-dim tensors by names of `HealthPoint`; those of one step are merged."""
        if unknown := sorted(observed.keys() - OBSERVED_NAMES):
            raise ValueError(f"no such fields of HealthPoint: {', '.join(unknown)}")
        if not observed:
            return
        names, values = list(observed), torch.stack([value.detach().float() for value in observed.values()])
        if step in self._on_device:
            earlier_names, earlier = self._on_device[step]
            names, values = earlier_names + names, torch.cat([earlier, values])
        self._on_device[step] = (names, values)
        if len(self._on_host.keys() | self._on_device.keys()) > MOST_POINTS:
            self._thin()

    def points(self) -> list[HealthPoint]:
        """Return the points in the order of their steps; what was not finite is null (see `non_finite`)."""
        self._fetch()
        return [HealthPoint(step=step, **self._on_host[step]) for step in sorted(self._on_host)]

    def non_finite(self) -> list[int]:
        """Return the steps at which something observed was NaN or infinite."""
        self._fetch()
        return sorted(step for step, values in self._on_host.items() if None in values.values())

    def state(self) -> dict[str, Any]:
        """Return the log as plain values that JSON can hold."""
        self._fetch()
        return {"every": self.every, "points": [[step, self._on_host[step]] for step in sorted(self._on_host)]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> HealthLog:
        """Return the log whose `state` was kept; raise KeyError, TypeError or ValueError for anything else."""
        log = cls()
        log.every = int(state["every"])
        if log.every < 1:
            raise ValueError(f"a log of every {log.every} steps")
        log._on_host = {int(step): dict(values) for step, values in state["points"]}
        log.points()  # whose names and types are checked
        return log

    def _fetch(self) -> None:
        """Copy new observations from the device to the host, all at once."""
        if not self._on_device:
            return
        fetched = iter(torch.cat([values for _, values in self._on_device.values()]).tolist())
        for step, (names, _) in self._on_device.items():
            values = {name: value if math.isfinite(value := next(fetched)) else None for name in names}
            self._on_host[step] = {**self._on_host.get(step, {}), **values}
        self._on_device.clear()

    def _thin(self) -> None:
        """Observe half as often from now on, and drop the points that would not have been taken at that pace."""
        self.every *= 2
        for points in (self._on_host, self._on_device):
            for step in [step for step in points if step % self.every]:
                del points[step]


def _maps(scores: Scores) -> list[Tensor]:
    return [log_odds(one.detach()) for one in ([scores] if isinstance(scores, torch.Tensor) else scores)]


def _masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    return values.mean() if mask is None else masked_mean(values, mask)


def _share_above(scores: Tensor, boundary: Tensor, mask: Tensor | None) -> Tensor:
    """Return the share of scores above the boundary, those on it counted half; NaN if a score is."""
    distance = scores - boundary
    # The sign of NaN is 0 in torch, which would count as half right.
    return _masked_mean(((distance.sign() + 1) / 2).masked_fill(distance.isnan(), torch.nan), mask)


def _histogram(classes: Tensor, weights: Tensor, num_classes: int) -> Tensor:
    """Return the share of each class (num_classes,) among weighted pixels."""
    counts = sum_bins(classes[None], weights[None], num_classes)[0]
    return counts / counts.sum().clamp_min(1)


def _entropy(shares: Tensor) -> Tensor:
    entropy: Tensor = torch.special.entr(shares).sum()
    return entropy.float()
