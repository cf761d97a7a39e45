"""The term of a recipe that learns from images without labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from segbench.errors import SpecError

from .adversary import asked

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
            given["scores"] = adversary.score_map(batch.images, logits)
        result: torch.Tensor = weight * loss(**given)
        return result

    return term
