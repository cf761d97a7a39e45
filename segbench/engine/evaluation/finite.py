"""Find NaN in the scores of a network, and name the component in the error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.engine.model.network import plugin_of
from segbench.errors import CellError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch


NOT_FINITE_CURE = (
    "lower optimizer.lr or the weight of an adversarial loss, set clip_gradient, or use precision: fp32, if it is no "
    "fault of the component"
)


def find_nan_images(scores: torch.Tensor) -> torch.Tensor:
    """Return which images of a batch (N, K, H, W) have a score that is NaN, (N,) bool; the device is not waited for."""
    return scores.amax(dim=(1, 2, 3)).isnan()  # NaN is the maximum of all that it is among


def check_scores(nan: torch.Tensor, ids: Sequence[str], split: str, network: torch.nn.Module) -> None:
    """Raise CellError if scores of any image of a split are NaN; `nan` is (n,), bool.

    The error names the plugin of the network as its cause if all weights and running statistics are finite.
    """
    places = nan.nonzero().flatten().tolist()
    if not places:
        return
    component = getattr(network, "component", None)
    sound = all(bool(value.isfinite().all()) for value in network.state_dict().values())
    why = "though its weights are finite" if sound else "and its weights or running statistics are not finite either"
    raise CellError(
        f"{describe_component('generator', component)} returned NaN in evaluation, for {len(places)} of {len(ids)} "
        f"images of {split}, first {ids[places[0]]!r}, {why}; {NOT_FINITE_CURE}",
        plugin=plugin_of(component) if sound else None,
    )


def describe_component(kind: str, component: str | None) -> str:
    """Return the kind and the full name of a component for error messages; a general word if it has no name."""
    return f"{kind} {component}" if component else {"generator": "the network", "loss": "a loss"}[kind]
