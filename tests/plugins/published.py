"""Weights and inputs by a formula, and what is kept of outputs, to compare networks with their authors' code.

The numbers in the tests were computed once with that code under the same weights. All is in double precision, so that
they hold on every processor.
"""

from __future__ import annotations

import math

import torch
from torch import nn


def pattern(*shape, salt=0.5):
    """Return numbers in [-1, 1) that look random and depend on no generator."""
    places = torch.arange(math.prod(shape), dtype=torch.float64)
    return ((torch.sin(12.9898 * places + 78.233 * salt) * 43758.5453) % 1 * 2 - 1).reshape(shape)


def filled(network):
    """Give a network weights and statistics by their place in its state dict, and no dropout; return it."""
    slopes = {id(module.weight) for module in network.modules() if isinstance(module, nn.PReLU)}
    slopes = {name for name, weight in network.named_parameters() if id(weight) in slopes}
    state = network.double().state_dict()
    for salt, (name, tensor) in enumerate(state.items(), start=1):
        if tensor.is_floating_point():
            tensor.copy_(_values(name, pattern(*tensor.shape, salt=salt)) * (0.25 if name in slopes else 1))
    for module in network.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
    return network


def _values(name, numbers):
    if numbers.ndim > 1:
        return math.sqrt(6 / numbers[0].numel()) * numbers
    if name.endswith(("bias", "running_mean")):
        return 0.1 * numbers
    return 1 + 0.2 * numbers  # scales, variances, slopes


def outlined(output):
    """Return the mean, the standard deviation and three values of an output."""
    flat = output.flatten()
    values = [flat.mean(), flat.std(), *flat[[len(flat) // 7, len(flat) // 3, -1]]]
    return [value.item() for value in values]


@torch.no_grad()
def outlines(network, *inputs):
    """Return what is kept of each output of a filled network, in training (batch statistics), then in evaluation."""
    training, evaluation = network.train()(*inputs), network.eval()(*inputs)
    return [outlined(output) for outputs in (training, evaluation) for output in _tuple(outputs)]


def _tuple(outputs):
    return outputs if isinstance(outputs, tuple) else (outputs,)
