"""The discriminator, its loss and penalty, and how they enter a training step.

A placebo is adversarial training with one link broken on purpose: `shuffled` exchanges real and fake in half of the
samples, `noise` replaces the gradient by noise, `frozen` never trains the discriminator, and `detached` gives its
gradient the weight 0. A gain that a placebo has too does not come from what the discriminator has learnt. All cost what
the method costs but `frozen`, which saves the discriminator's steps; what they draw is drawn on the device.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from segbench.contract import AdversarialLoss, Discriminator
from segbench.engine.batch_norm import batch_norm_by_formula
from segbench.engine.numerics import autocast
from segbench.engine.ranks import ALONE, Ranks
from segbench.errors import PluginError, SpecError

from .balance import Balance
from .pairing import encode_prediction, make_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from torch import Tensor

    from segbench.config.recipe import Adversarial
    from segbench.contract import Penalty
    from segbench.engine.data.batches import Batch, TrainingBatches
    from segbench.engine.model.mapping import GeneratorMapping

    from .pairing import Pair


# Parameters by which the methods of an adversarial loss ask for scores and features.
SCORE_ARGUMENTS = frozenset({"real", "fake"})
FEATURE_ARGUMENTS = frozenset({"real_features", "fake_features"})


class DiscriminatorOutput(NamedTuple):
    """Score maps and features of a discriminator for one field; empty where they were not asked for."""

    scores: Sequence[Tensor] = ()
    features: Sequence[Tensor] = ()


class DiscriminatorUpdate(NamedTuple):
    """A discriminator's loss, penalty included, and its outputs for the real and fake fields that it comes from."""

    loss: Tensor
    real: DiscriminatorOutput
    fake: DiscriminatorOutput


@dataclass(frozen=True)
class Adversary:
    """A discriminator with its loss and penalty, the batches it sees and the settings of its training.

    - batches: those of extra discriminator steps; None where nothing is trained
    - validation: real samples that are never trained on; None where there are none
    - weights: the weight at each step, (steps,), where it is taken over from another cell
    - compiled: the discriminator's compiled forward pass, where it is to be used
    - ranks: the processes that share the discriminator's passes
    """

    discriminator: nn.Module
    loss: AdversarialLoss
    penalty: Penalty | None
    recipe: Adversarial
    mapping: GeneratorMapping
    device: torch.device
    precision: str
    batches: TrainingBatches | None = None
    validation: TrainingBatches | None = None
    weights: Tensor | None = None
    compiled: Callable[[Tensor], Any] | None = None
    ranks: Ranks = ALONE

    def compile(self) -> Adversary:
        """Return the same adversary with a compiled forward pass of its discriminator."""
        return replace(self, compiled=torch.compile(self.discriminator))

    @property
    def boundary(self) -> float | None:
        """The score between real and fake; None where the loss defines none."""
        boundary: float | None = getattr(self.loss, "boundary", AdversarialLoss.boundary)
        return boundary

    @property
    def is_trained(self) -> bool:
        """Whether the discriminator learns."""
        return self.recipe.placebo != "frozen"

    @property
    def compares_scores(self) -> bool:
        """Whether the discriminator learns to score real against fake; that of SegAN, for one, compares features."""
        return bool(SCORE_ARGUMENTS & parameter_names(self.loss.discriminator))

    @property
    def shares_batches(self) -> bool:
        """Whether one discriminator step uses the batch, and the output, of the generator's step."""
        return self.is_trained and self.recipe.alternate is None

    def extra_steps(self, step: int) -> int:
        """Return how many discriminator steps come before the generator's step (from 0), each on a separate batch."""
        if not self.is_trained:
            return 0
        if self.recipe.alternate is not None:
            return self.recipe.alternate if step % self.recipe.alternate == 0 else 0
        return self.recipe.d_steps - 1

    def balance(self) -> Balance | None:
        """Return what sets the weight by a ratio of gradients; None where the recipe does not ask for it."""
        if self.recipe.ratio is None or self.recipe.placebo == "detached":
            return None
        return Balance(self.recipe.ratio, self.device)

    def weight(self, step: int) -> float | Tensor:
        """Return the weight of the adversarial gradient where no ratio of gradients sets it.

        It rises linearly over the warm-up. One that is taken over from another cell is what it was there at the same
        step, and after the last step of that cell it stays as it is.
        """
        if self.recipe.placebo == "detached":
            return 0.0
        if self.weights is not None:
            return self.weights[min(step, len(self.weights) - 1)]
        assert isinstance(self.recipe.weight, float)
        return self.recipe.weight * self.warmth(step)

    def warmth(self, step: int) -> float:
        """Return the share of the weight that a step of the warm-up has."""
        return min(1.0, (step + 1) / (self.recipe.warmup_steps + 1))

    def pair(self, batch: Batch, output: Tensor) -> Pair:
        """Return the fields that the discriminator compares, given the generator's output for a batch."""
        return make_pair(self.mapping.maps, batch, output, self.mapping.form)

    def discriminate(
        self, condition: Tensor | None, field: Tensor, names: AbstractSet[str] = SCORE_ARGUMENTS
    ) -> DiscriminatorOutput:
        """Return the discriminator's output, float32, for a field (N, F, H, W) under its condition.

        `names` are the parameters of a loss; scores and features are computed where it has one for them.
        """
        inputs = join_condition(condition, field)
        with autocast(self.device, self.precision):
            scores = self._score(inputs) if SCORE_ARGUMENTS & names else []
            features = self._features(inputs) if FEATURE_ARGUMENTS & names else []
        return DiscriminatorOutput([score.float() for score in scores], [feature.float() for feature in features])

    def _score(self, inputs: Tensor) -> list[Tensor]:
        score = self.ranks.spread(self.compiled or self.discriminator)
        return check_score_maps(score(inputs), len(inputs), self.discriminator)

    def _features(self, inputs: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.ranks.spread(partial(compute_features, self.discriminator))(inputs)
        return features

    def discriminator_loss(self, pair: Pair, labels: Tensor, discriminator_step: int) -> DiscriminatorUpdate:
        """Return the discriminator's loss at its own step (from 0); no gradient reaches the generator."""
        pair = pair._replace(real=pair.real.detach(), fake=pair.fake.detach())
        if self.recipe.placebo == "shuffled":
            pair = shuffle_labels(pair)
        names = parameter_names(self.loss.discriminator)
        real = self.discriminate(pair.condition, pair.real, names)
        fake = self.discriminate(pair.condition, pair.fake, names)
        loss = mean_loss(self.loss.discriminator, real, fake, labels, pair.mask)
        settings = self.recipe.penalty
        if settings is not None and discriminator_step % settings.every == 0:
            loss = loss + settings.weight * settings.every * self.penalty_value(pair)
        return DiscriminatorUpdate(loss, real, fake)

    def penalty_value(self, pair: Pair) -> Tensor:
        """Return the unweighted penalty, in float32 whatever the precision: it takes a gradient's gradient."""
        assert self.penalty is not None
        condition = None if pair.condition is None else pair.condition.float()
        score = self.ranks.spread(self.discriminator, batch_norm_by_formula)
        with torch.autocast(self.device.type, enabled=False):
            return self.penalty(
                lambda field: score(join_condition(condition, field)),
                pair.real.float(),
                pair.fake.float(),
            )

    def clip_weights(self) -> None:
        """Clip the discriminator's weights where the recipe asks for it (WGAN, Arjovsky 2017)."""
        if self.recipe.clip is not None:
            with torch.no_grad():
                torch._foreach_clamp_min_(list(self.discriminator.parameters()), -self.recipe.clip)
                torch._foreach_clamp_max_(list(self.discriminator.parameters()), self.recipe.clip)

    def generator_loss(self, pair: Pair, labels: Tensor) -> Tensor:
        """Return the adversarial loss of the generator, whose gradient reaches it through pair.fake only."""
        names = parameter_names(self.loss.generator)
        # On the CPU a compiled pass stays as it is: another one might round otherwise.
        spares = self.compiled is not None and self.device.type != "cpu"
        with without_own_gradients(self.discriminator) if spares else nullcontext():
            fake = self.discriminate(pair.condition, pair.fake, names & {"fake", "fake_features"})
        with torch.no_grad():
            real = self.discriminate(pair.condition, pair.real, names & {"real", "real_features"})
        return mean_loss(self.loss.generator, real, fake, labels, pair.mask)

    def gradient(self, loss: Tensor, z: Tensor) -> Tensor:
        """Return the gradient of the generator's adversarial loss at its output z, or the placebo's noise."""
        (gradient,) = torch.autograd.grad(loss, z)
        return draw_noise_like(gradient) if self.recipe.placebo == "noise" else gradient

    def score_map(self, images: Tensor, logits: Tensor) -> Tensor:
        """Return how real logits (N, K, H, W) of images look to the discriminator at each pixel, (N, 1, H, W).

        Scores are resized to the images (bilinear, align_corners=False) and several maps averaged. Gradients are kept.
        """
        condition, fake = encode_prediction(self.mapping.maps, images, logits, self.mapping.form)
        maps = [log_odds(scores) for scores in self.discriminate(condition, fake).scores]
        size = images.shape[-2:]
        resized = [functional.interpolate(scores, size, mode="bilinear", align_corners=False) for scores in maps]
        return torch.stack(resized).mean(dim=0)

    def evaluate_score_map(self, images: Tensor, logits: Tensor) -> Tensor:
        """Return the `score_map` of a finished discriminator, in evaluation mode, without gradients and by itself."""
        self.discriminator.eval()
        with torch.no_grad():
            return replace(self, ranks=ALONE).score_map(images, logits)


@contextmanager
def without_own_gradients(network: nn.Module) -> Iterator[None]:
    """Have passes inside the block give gradients of their inputs, and none of the network's own weights.

    A compiled pass has one backward pass for all gradients, where the usual one leaves out what nobody asks for.
    """
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_()


def join_condition(condition: Tensor | None, field: Tensor) -> Tensor:
    """Return condition and field side by side, as a discriminator takes them."""
    return field if condition is None else torch.cat([condition, field], dim=1)


def parameter_names(function: Callable[..., Any]) -> frozenset[str]:
    """Return the names of a function's parameters, by which a loss says what it is to be given."""
    return frozenset(inspect.signature(function).parameters)


def check_score_maps(scores: Any, number: int, discriminator: nn.Module) -> list[Tensor]:
    """Return a discriminator's output as a list of score maps; raise PluginError if it is something else."""
    maps = list(scores) if isinstance(scores, (list, tuple)) else [scores]
    if not maps or not all(isinstance(one, torch.Tensor) and one.ndim == 4 and len(one) == number for one in maps):
        shapes = ", ".join(str(tuple(one.shape)) if isinstance(one, torch.Tensor) else str(type(one)) for one in maps)
        raise PluginError(
            f"discriminator {type(discriminator).__qualname__} returned {shapes} for {number} samples; expected raw "
            f"scores ({number}, 1, h, w) or ({number}, K + 1, h, w), or a list of such maps"
        )
    return maps


def compute_features(discriminator: nn.Module, inputs: Tensor) -> list[Tensor]:
    """Return a discriminator's features; raise PluginError if it has none."""
    features = getattr(discriminator, "features", Discriminator.features)
    if features is None:
        raise PluginError(
            f"discriminator {type(discriminator).__qualname__} has no method features(x), whose result this "
            "adversarial loss compares; choose another discriminator or loss"
        )
    return list(features(inputs))


def mean_loss(
    method: Callable[..., Tensor], real: DiscriminatorOutput, fake: DiscriminatorOutput, labels: Tensor, mask: Tensor
) -> Tensor:
    """Return a loss over all score maps: each map's values averaged over the pixels that count, then over the maps.

    Raises SpecError if scores of classes meet a loss of single scores.

    - labels: (N, H, W), nearest taken at the scores' resolution
    - mask: (N, 1, H, W), bool; a score weighs as much as the share of its pixels that count
    """
    names = parameter_names(method)
    given: dict[str, Any] = {"real_features": real.features, "fake_features": fake.features}
    if not SCORE_ARGUMENTS & names:
        return masked_mean(method(**{name: value for name, value in given.items() if name in names}), mask)
    losses = []
    for place in range(max(len(real.scores), len(fake.scores))):
        score = (fake.scores or real.scores)[place]
        if "labels" not in names:
            check_single_score(score)
        if real.scores:
            given["real"] = real.scores[place]
        if fake.scores:
            given["fake"] = fake.scores[place]
        if "labels" in names:
            given["labels"] = functional.interpolate(labels[:, None].float(), score.shape[-2:])[:, 0].long()
        values = method(**{name: value for name, value in given.items() if name in names})
        losses.append(masked_mean(values, mask))
    return torch.stack(losses).mean()


def check_single_score(score: Tensor) -> None:
    """Raise SpecError if a discriminator's scores are of classes, (N, K + 1, h, w)."""
    if score.shape[1] > 1:
        raise SpecError(
            f"the discriminator returns {score.shape[1]} scores a pixel, one for each class, but the adversarial loss "
            "takes a single score; choose a loss of classes (gan/per_pixel_classes) or another discriminator"
        )


def log_odds(scores: Tensor) -> Tensor:
    """Return one score a pixel (N, 1, h, w), float32, the greater the more real.

    A single score stays as it is. Of K+1 classes (N, K+1, h, w), the last one fake, it is logsumexp(classes) - fake:
    the log odds of being real.
    """
    scores = scores.float()
    if scores.shape[1] == 1:
        return scores
    return scores[:, :-1].logsumexp(1, keepdim=True) - scores[:, -1:]


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of values (N, 1, h, w) or (N, h, w), each weighted by the share of its pixels that count.

    - values: a scalar is returned as it is
    - mask: (N, 1, H, W), bool, true where a pixel counts
    """
    if values.ndim == 0:
        return values
    if values.ndim == 3:
        values = values[:, None]
    height, width = values.shape[-2:]
    share = functional.adaptive_avg_pool2d(mask.float(), (height, width))
    return (values * share).sum() / (share.sum() * values.shape[1]).clamp_min(torch.finfo(share.dtype).tiny)


def shuffle_labels(pair: Pair) -> Pair:
    """Return the pair with real and fake exchanged in half of the samples, drawn anew each time."""
    exchanged = torch.rand(len(pair.real), 1, 1, 1, device=pair.real.device) < 0.5
    real = torch.where(exchanged, pair.fake, pair.real)
    fake = torch.where(exchanged, pair.real, pair.fake)
    return pair._replace(real=real, fake=fake)


def draw_noise_like(gradient: Tensor) -> Tensor:
    """Return normal noise in which every sample has the norm of the gradient's sample."""
    noise = torch.randn(gradient.shape, device=gradient.device).to(gradient)
    norms = torch.linalg.vector_norm(gradient.flatten(1), dim=1) / torch.linalg.vector_norm(noise.flatten(1), dim=1)
    scaled: Tensor = noise * norms.view(-1, *[1] * (gradient.ndim - 1))
    return scaled
