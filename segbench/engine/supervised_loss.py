"""A supervised loss of a recipe, which knows whose it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from segbench.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable

    from segbench.registry import Offer


@dataclass(frozen=True)
class SupervisedLoss:
    """A callable of output (N, K, H, W) and target that returns a scalar; PluginError if the component does not."""

    offer: Offer
    function: Callable[[torch.Tensor, torch.Tensor], Any]

    @property
    def component(self) -> str:
        """The full name of the component."""
        return self.offer.full_name

    def __call__(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss."""
        value = self.function(output, target)
        if not isinstance(value, torch.Tensor) or value.ndim != 0:
            found = f"a tensor {tuple(value.shape)}" if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"
            raise PluginError(
                f"loss {self.offer.full_name} returned {found} for an output {tuple(output.shape)}; expected a scalar "
                "tensor",
                plugin=self.offer.plugin,
            )
        return value
