"""Find which component made the losses of training NaN or infinite, and at which step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from segbench.engine.evaluation.finite import NOT_FINITE_CURE, describe_component
from segbench.engine.model.network import plugin_of
from segbench.errors import CellError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.engine.adversarial.adversary import Adversary


class FiniteWatch:
    """The first step at which each value of training was not finite, kept on the device without waiting for it.

    The values, in the order in which a step computes them: the generator's output, each loss of it, the adversarial
    loss, and the weighted sum of all losses. `losses` are (weight, loss), `component` is that of the generator.
    """

    def __init__(
        self, losses: Sequence[tuple[float, object]], adversary: Adversary | None, component: str | None
    ) -> None:
        self._losses, self._adversary, self._component = losses, adversary, component
        self._first: torch.Tensor | None = None

    def note(self, step: int, z: torch.Tensor, losses: Sequence[torch.Tensor], total: torch.Tensor) -> None:
        """Check a step, counted from 0; `losses` are unweighted values: the recipe's, then the adversarial one."""
        values = torch.stack([value.detach().float() for value in (z.sum(), *losses, total)])
        since = torch.where(values.isfinite(), torch.inf, float(step))
        self._first = since if self._first is None else torch.minimum(self._first, since)

    def error(self, total: float, step: int) -> CellError:
        """Return the error for a weighted sum of losses that is not finite after `step` steps.

        A plugin is blamed where nothing but its own code can be the reason: its network's first output, before
        anything was learnt, or its loss of a finite output.
        """
        assert self._first is not None, "there was a step"
        since = self._first.tolist()
        place = since.index(min(since))  # of what began in one step, that which comes first there
        if place == 0:
            what, plugin = self._blame_output(int(since[0]))
        elif place < len(since) - 1:
            what, plugin = self._blame_loss(place - 1, int(since[place]))
        else:
            what, plugin = "each loss is finite, but their weighted sum is not", None
        return CellError(f"the loss became {total} by step {step}: {what}; {NOT_FINITE_CURE}", plugin=plugin)

    def _blame_output(self, step: int) -> tuple[str, str | None]:
        what = f"the output of {describe_component('generator', self._component)} is not finite since step {step + 1}"
        return (what, plugin_of(self._component)) if step == 0 else (f"{what}, and all was finite before", None)

    def _blame_loss(self, place: int, step: int) -> tuple[str, str | None]:
        since = f"is not finite since step {step + 1}, of a finite output"
        if place < len(self._losses):
            component = getattr(self._losses[place][1], "component", None)
            return f"{describe_component('loss', component)} {since}", plugin_of(component)
        assert self._adversary is not None, "the only loss beside those of the recipe"
        return f"the adversarial loss {self._adversary.recipe.use} {since}", None
