"""Networks traced by torch.export: programs that need neither their classes nor segbench."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from segbench.errors import RecordError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from .model import LabelModel


# More than one, or torch takes the number for a constant; odd, so that no rule for some sizes is taken for all.
_TRACED_IMAGES = 2
_TRACED_BEYOND = (1, 3)  # pixels


def trace(model: LabelModel, image: torch.Tensor, fixed: bool) -> torch.export.ExportedProgram:
    """Return a model as a program of torch for any number of images like one (C, H, W), of any size unless `fixed`.

    Raises RecordError that names the layer at which that fails.
    """
    height, width = image.shape[1:]
    beyond = (0, 0) if fixed else _TRACED_BEYOND
    images = image.new_zeros(_TRACED_IMAGES, len(image), height + beyond[0], width + beyond[1])
    free = torch.export.Dim.DYNAMIC
    dimensions = {0: free} if fixed else {0: free, 2: free, 3: free}
    with name_layer(model, fixed):
        return torch.export.export(
            model, (images,), dynamic_shapes=(dimensions,), prefer_deferred_runtime_asserts_over_guards=True
        )


def trace_alone(network: nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.export.ExportedProgram:
    """Return a network as a program for inputs of these shapes alone; RecordError as `trace`."""
    with name_layer(network, fixed=True), torch.no_grad():
        return torch.export.export(network, inputs)


@contextmanager
def name_layer(model: nn.Module, fixed: bool) -> Iterator[None]:
    """Turn any error into a RecordError that names the layer that ran then."""
    running: list[str] = []
    hooks = []
    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(partial(_enter, running, name)))
        hooks.append(module.register_forward_hook(partial(_leave, running)))
    try:
        yield
    except Exception as error:
        where = f" in layer {running[-1]!r}" if running and running[-1] else ""
        raise RecordError(
            f"the network cannot be traced{where}: {type(error).__name__}: {first_line(error)}"
            + ("" if fixed else "; try it for images of one size, with --size HxW")
        ) from error
    finally:
        for hook in hooks:
            hook.remove()


def _enter(running: list[str], name: str, *_: Any) -> None:
    running.append(name)


def _leave(running: list[str], *_: Any) -> None:
    running.pop()
