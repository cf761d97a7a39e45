"""Placebos: the adversarial game with one link broken on purpose, at the same cost.

A gain that stays with a placebo is none of the critic's knowledge. `frozen` (a critic that never learns) and `detached`
(a weight of 0) need no code of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from .pairing import Pair


def with_shuffled_labels(pair: Pair) -> Pair:
    """Return the pair with real and fake exchanged in half of the samples, drawn anew each time."""
    exchanged = (torch.rand(len(pair.real), 1, 1, 1) < 0.5).to(pair.real.device)
    real = torch.where(exchanged, pair.fake, pair.real)
    fake = torch.where(exchanged, pair.real, pair.fake)
    return pair._replace(real=real, fake=fake)


def noise_like(gradient: Tensor) -> Tensor:
    """Return normal noise in which every sample has the norm of the gradient's sample."""
    noise = torch.randn(gradient.shape).to(gradient)
    norms = torch.linalg.vector_norm(gradient.flatten(1), dim=1) / torch.linalg.vector_norm(noise.flatten(1), dim=1)
    scaled: Tensor = noise * norms.view(-1, *[1] * (gradient.ndim - 1))
    return scaled
