"""What the discriminators are put together from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from .normalisation import normalisation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

SLOPE = 0.2


def block(
    in_channels: int,
    out_channels: int,
    norm: str,
    *,
    kernel_size: int = 4,
    stride: int = 2,
    activation: type[nn.Module] = nn.LeakyReLU,
) -> nn.Sequential:
    """Return convolution, normalisation and activation (LeakyReLU of slope 0.2, Radford 2016, or ReLU).

    Even kernels of stride 2 halve height and width, rounded down; odd ones halve them, rounded up.
    """
    return nn.Sequential(
        # A normalisation brings its own shift, which makes a bias useless.
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, (kernel_size - 1) // 2, bias=norm == "none"),
        normalisation(norm, out_channels),
        nn.LeakyReLU(SLOPE, inplace=True) if activation is nn.LeakyReLU else activation(inplace=True),
    )


def outputs_of(blocks: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """Return what each of a chain of blocks makes of x."""
    outputs = []
    for each in blocks:
        x = each(x)
        outputs.append(x)
    return outputs
