"""What several generators are made of: normalisation by name, and the first weights of the GAN papers."""

from __future__ import annotations

from typing import Literal

from torch import nn

Norm = Literal["batch", "instance"]

# Standard deviation of DCGAN's first weights (Radford 2016, section 4), which pix2pix and CycleGAN took over.
STANDARD_DEVIATION = 0.02


def normalisation(norm: Norm, channels: int) -> nn.Module:
    """Return the normalisation with a learnt scale and shift a channel; a convolution before it needs no bias."""
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.InstanceNorm2d(channels, affine=True)


def plain_normalisation(norm: Norm, channels: int) -> nn.Module:
    """Return the normalisation to mean 0 and variance 1 a channel, without weights."""
    return (nn.BatchNorm2d if norm == "batch" else nn.InstanceNorm2d)(channels, affine=False)


def draw_weights(network: nn.Module) -> None:
    """Draw weights from N(0, 0.02^2) and scales of normalisations from N(1, 0.02^2); biases and shifts become 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, STANDARD_DEVIATION)
        elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
            nn.init.normal_(module.weight, 1.0, STANDARD_DEVIATION)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
