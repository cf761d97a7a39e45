"""The generator's forward pass in training as the protocol asks for it: as it is, compiled, or as CUDA graphs.

A small network keeps a GPU waiting for the host, which launches several hundred kernels a step. As CUDA graphs the
forward and the backward pass are one launch each (PyTorch: partial-network capture); losses, discriminator and
optimiser, some tens of launches, stay as they are. The graphs read their input, and write outputs and gradients, where
the first ones lay, so a step may pass through the generator only once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from segbench.engine.adversarial.monitor import keep_buffers
from segbench.engine.numerics import autocast
from segbench.store.record import CAPTURED

if TYPE_CHECKING:
    from collections.abc import Callable

    from .loop import Training

    Forward = Callable[..., Any]


def prepare_forward(training: Training, step: int) -> tuple[Forward, str | None]:
    """Return the generator's forward pass for training from a step on.

    With it comes how a capture that the protocol asks for went: "captured", or why not; None where none was asked for.
    """
    protocol, network = training.protocol, training.network
    eager = training.ranks.spread(torch.compile(network) if protocol.compile else network)
    if protocol.capture == "off":
        return eager, None
    if reason := why_not_captured(training):
        return eager, reason
    try:
        return capture(training, step), CAPTURED
    except Exception as error:  # what is wrong with the network itself, the eager pass will say
        return eager, f"capturing failed: {error}".splitlines()[0]


def why_not_captured(training: Training) -> str | None:
    """Return what in a training is in the way of a capture; None if nothing is."""
    protocol = training.protocol
    obstacles = {
        f"the device is {training.device.type}, and CUDA graphs are of GPUs": training.device.type != "cuda",
        "compile: true": protocol.compile,
        f"processes: {protocol.processes}": training.ranks.count > 1,
        f"accumulate: {protocol.accumulate}, so each image passes twice": protocol.accumulate > 1,
        "unlabelled images pass beside the labelled ones": training.unlabelled is not None,
    }
    return next((text for text, found in obstacles.items() if found), None)


def capture(training: Training, step: int) -> Forward:
    """Return the forward pass in training mode as a CUDA graph, which makes another one of the backward pass.

    Running statistics are as before. Raises what torch does of a network that cannot be captured, because it waits for
    the device or returns something else than tensors.
    """
    inputs = training.mapping.inputs(training.batches.at(step), training.seed, step)
    with keep_buffers(training.network), autocast(training.device, training.protocol.precision, keeps_casts=False):
        graphs: Forward = torch.cuda.make_graphed_callables(
            Pass(training.network).train(), inputs, allow_unused_input=True
        )
    return graphs


class Pass(nn.Module):
    """A network as the only part of a module.

    Capturing changes the forward pass of the module that is captured; the network itself is still called for what is
    observed between the forward and the backward pass of a step.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Return the network's output."""
        return self.network(*inputs)
