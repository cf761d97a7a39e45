"""The exponential moving average of a network's weights."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch.optim.swa_utils import AveragedModel

if TYPE_CHECKING:
    from torch import Tensor, nn


class WeightAverage(AveragedModel):
    """A copy of a network with the moving average of its weights and buffers, of which `decay` is kept at each step.

    Its state and its numbers are those of torch's AveragedModel with torch's own EMA. That one sends its count of steps
    to the device twice a step and averages each whole number, such as a batch norm's count of batches, by itself.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__(network, use_buffers=True)
        self._decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take the weights of a step into the average; the first ones are copied."""
        own, new = _tensors(self.module), _tensors(model)
        if self.n_averaged == 0:
            torch._foreach_copy_(own, new)
        else:
            for dtype in dict.fromkeys(tensor.dtype for tensor in own):
                averaged, following = ([one for one in all_ if one.dtype == dtype] for all_ in (own, new))
                if dtype.is_floating_point or dtype.is_complex:
                    torch._foreach_lerp_(averaged, following, 1 - self._decay)
                else:
                    self._average_whole_numbers(averaged, following)
        self.n_averaged += 1

    def _average_whole_numbers(self, averaged: list[Tensor], following: list[Tensor]) -> None:
        """Average all at once: they are many and small."""
        before, after = (torch.cat([one.flatten() for one in all_]) for all_ in (averaged, following))
        means = (before * self._decay + after * (1 - self._decay)).to(before.dtype)
        parts = torch.split(means, [one.numel() for one in averaged])
        torch._foreach_copy_(averaged, [part.view_as(one) for part, one in zip(parts, averaged, strict=True)])


def _tensors(network: nn.Module) -> list[Tensor]:
    return [tensor.detach() for tensor in chain(network.parameters(), network.buffers())]
