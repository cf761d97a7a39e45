"""The term of a recipe that learns from images without labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from segbench.errors import SpecError

from .adversary import asked, resized_to
from .health import log_odds
from .pairing import predicted_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from .adversary import Adversary
    from .data.batches import Batch, BatchSource
    from .mapping import Mapping

    Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Unlabelled:
    """Where unlabelled images come from, and the weighted loss of their logits (N, K, H, W)."""

    batches: BatchSource
    loss: Callable[[torch.Tensor, Batch], torch.Tensor]


def pseudo_label_term(
    mapping: Mapping, losses: Sequence[tuple[float, Loss]], weight: float
) -> Callable[[Any, Batch], torch.Tensor]:
    """Return the weighted supervised losses against the labels that came with the batch, or their palette colours."""

    def term(output: torch.Tensor, batch: Batch) -> torch.Tensor:
        target = mapping.target(batch)
        total = sum(loss_weight * loss(output, target) for loss_weight, loss in losses)
        return weight * total  # type: ignore[return-value]  # a recipe has at least one loss

    return term


def own_term(loss: Any, weight: float, adversary: Adversary | None) -> Callable[[Any, Batch], torch.Tensor]:
    """Return a loss of the role "unlabelled", weighted; SpecError if it asks for a critic that the recipe lacks.

    It is given by name what it asks for of `logits` and `scores`, the critic's scores of the encoded predictions,
    resized to the images (bilinear, align_corners=False).
    """
    names = asked(loss.forward if isinstance(loss, nn.Module) else loss)
    if "scores" in names and adversary is None:
        raise SpecError(
            f"the unlabelled loss {type(loss).__name__} asks for a critic's scores, but the method has no critic; "
            "give it a discriminator and an adversarial loss, or pseudo_labels_from"
        )

    def term(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        given = {"logits": logits} if "logits" in names else {}
        if adversary is not None and "scores" in names:
            given["scores"] = resized_scores(adversary, logits, batch)
        result: torch.Tensor = weight * loss(**given)
        return result

    return term


def resized_scores(adversary: Adversary, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return the critic's scores of predictions at the size of the images, (N, 1, H, W), several maps averaged."""
    mapping = adversary.mapping
    condition, fake = predicted_fields(mapping.maps, batch.images, logits, mapping.form)
    maps = adversary.read(condition, fake, features=False).scores
    resized = [resized_to(log_odds(scores), logits) for scores in maps]
    return sum(resized[1:], resized[0]) / len(resized)
