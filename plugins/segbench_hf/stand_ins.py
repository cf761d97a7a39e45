"""Modules that take the place of one of transformers' own, where segbench needs something else of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class AuxiliaryHead(nn.Module):
    """An auxiliary head that keeps its logits for the loss in training, and costs nothing in evaluation.

    transformers runs it always and hands out nothing but the loss.
    """

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head
        self.logits: Tensor | None = None

    def forward(self, features: Tensor | Sequence[Tensor]) -> Tensor:
        """Return the logits, in evaluation a single 0."""
        if self.training:
            self.logits = self.head(features)
            return self.logits
        some = features if isinstance(features, torch.Tensor) else features[0]
        return some.new_zeros(1, 1, 1, 1)

    def taken(self) -> Tensor:
        """Return the logits of the last images, and keep them no longer."""
        assert self.logits is not None, "the head runs before its logits are taken"
        logits, self.logits = self.logits, None
        return logits


class GridNeck(nn.Module):
    """DPT's neck, told the grid of patches; without it transformers takes every image for a square."""

    def __init__(self, neck: nn.Module, patch_size: int) -> None:
        super().__init__()
        self.neck = neck
        self.patch_size = patch_size
        self.grid = (1, 1)

    def expect(self, images: Tensor) -> None:
        """Note the grid of the images (N, C, H, W) that the network is about to see."""
        height, width = images.shape[-2:]
        self.grid = (height // self.patch_size, width // self.patch_size)

    def forward(self, hidden_states: list[Tensor]) -> list[Tensor]:
        """Return the fused feature maps."""
        return self.neck(hidden_states, *self.grid)
