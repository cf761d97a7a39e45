"""What is said where a number is NaN or infinite: what it was, and in which component, as far as that can be known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from segbench.errors import CellError

from .network import plugin_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .train import Training

_CURE = (
    "lower optimizer.lr or the weight of an adversarial loss, set clip_gradient, or use precision: fp32, if it is no "
    "fault of the component"
)


class FiniteWatch:
    """Since when what a training step computes is not finite, noted on the device without waiting for it.

    In the order in which a step computes them: the generator's output, each loss of it, the adversarial loss, and the
    weighted sum of all losses.
    """

    def __init__(self, training: Training) -> None:
        self._training = training
        self._first: torch.Tensor | None = None

    def note(self, step: int, z: torch.Tensor, losses: Sequence[torch.Tensor], total: torch.Tensor) -> None:
        """Look at a step, counted from 0; `losses` are those of the recipe and the adversarial one, unweighted."""
        values = torch.stack([value.detach().float() for value in (z.sum(), *losses, total)])
        since = torch.where(values.isfinite(), torch.inf, float(step))
        self._first = since if self._first is None else torch.minimum(self._first, since)

    def error(self, total: float, step: int) -> CellError:
        """Return the error of a sum of losses that is not finite, as it is seen after so many steps (from 1).

        A plugin is blamed where nothing but its own code can be the reason: its network's first output, before
        anything was learnt, or its loss of a finite output.
        """
        assert self._first is not None, "there was a step"
        since = self._first.tolist()
        place = since.index(min(since))  # of what began in one step, that which comes first there
        if place == 0:
            what, plugin = self._of_output(int(since[0]))
        elif place < len(since) - 1:
            what, plugin = self._of_loss(place - 1, int(since[place]))
        else:
            what, plugin = "each loss is finite, but not the sum of all, each times its weight", None
        return CellError(f"the loss became {total} by step {step}: {what}; {_CURE}", plugin=plugin)

    def _of_output(self, step: int) -> tuple[str, str | None]:
        component = self._training.network.component
        what = f"the output of {_named('generator', component)} is not finite since step {step + 1}"
        return (what, plugin_of(component)) if step == 0 else (f"{what}, and all was finite before", None)

    def _of_loss(self, place: int, step: int) -> tuple[str, str | None]:
        losses, adversary = self._training.losses, self._training.adversary
        since = f"is not finite since step {step + 1}, of a finite output"
        if place < len(losses):
            component = getattr(losses[place][1], "component", None)
            return f"{_named('loss', component)} {since}", plugin_of(component)
        assert adversary is not None, "the only loss beside those of the recipe"
        return f"the adversarial loss {adversary.recipe.use} {since}", None


def nan_images(scores: torch.Tensor) -> torch.Tensor:
    """Return which images of a batch (N, K, H, W) have a score that is NaN, (N,) bool; the device is not waited for."""
    return scores.amax(dim=(1, 2, 3)).isnan()  # NaN is the maximum of all that it is among


def check_scores(nan: torch.Tensor, ids: Sequence[str], split: str, network: torch.nn.Module) -> None:
    """Raise CellError if scores of any image of a split are NaN; `nan` is (n,), bool.

    The plugin of the network is blamed if all weights and running statistics are finite.
    """
    places = nan.nonzero().flatten().tolist()
    if not places:
        return
    component = getattr(network, "component", None)
    sound = all(bool(value.isfinite().all()) for value in network.state_dict().values())
    why = "though its weights are finite" if sound else "and its weights or running statistics are not finite either"
    raise CellError(
        f"{_named('generator', component)} returned NaN in evaluation, for {len(places)} of {len(ids)} images of "
        f"{split}, first {ids[places[0]]!r}, {why}; {_CURE}",
        plugin=plugin_of(component) if sound else None,
    )


def _named(kind: str, component: str | None) -> str:
    return f"{kind} {component}" if component else {"generator": "the network", "loss": "a loss"}[kind]
