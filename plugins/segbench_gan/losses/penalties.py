"""Penalties on the critic's gradient: (critic, real, fake) -> scalar, to be weighed by the recipe.

`critic` maps a field (N, F, H, W) to scores (N, 1, h, w) or to a list of such maps; any condition is already bound to
it, so that the gradient is that of the field. The gradient taken is that of a sample's mean score (with several maps,
the mean of their means): this is the critic whose difference the adversarial loss averages, and the number of patches
does not change the penalty's scale. The critic must score each sample by itself, hence without batch norm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    Critic = Callable[[Tensor], Tensor | Sequence[Tensor]]


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """Return the mean over samples of (norm - 1)^2, the norm being the gradient's between real and fake.

    It is taken at e real + (1 - e) fake with one e of each sample, uniform on [0, 1) from torch's global generator;
    between one-hot labels and probabilities these are probabilities again (Gulrajani 2017, equation 3).
    """
    share = torch.rand(len(real), 1, 1, 1, dtype=real.dtype, device=real.device)
    norms = torch.linalg.vector_norm(_gradients(critic, share * real + (1 - share) * fake), dim=1)
    return ((norms - 1) ** 2).mean()


def r1(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """Return half the mean over samples of the gradient's squared norm at the reals (Mescheder 2018, equation 9)."""
    return (_gradients(critic, real) ** 2).sum(1).mean() / 2


def _gradients(critic: Critic, field: Tensor) -> Tensor:
    """Return the gradient of each sample's mean score, (N, F H W), differentiable by the critic's weights."""
    field = field.detach().requires_grad_()
    # Summed over the batch: a sample's score depends on this sample alone.
    (gradient,) = torch.autograd.grad(_mean_scores(critic(field)).sum(), field, create_graph=True)
    return gradient.flatten(1)


def _mean_scores(scores: Tensor | Sequence[Tensor]) -> Tensor:
    maps = [scores] if isinstance(scores, torch.Tensor) else scores
    return torch.stack([scores.flatten(1).mean(1) for scores in maps]).mean(0)
