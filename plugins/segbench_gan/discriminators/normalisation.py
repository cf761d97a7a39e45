"""What keeps a discriminator in bounds: normalisation of its features, spectral norm of its weights."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


def normalisation(norm: str, channels: int) -> nn.Module:
    """Return batch or instance normalisation with a scale and a shift a channel, or for `none` the identity."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    return nn.Identity()


def finished(network: nn.Module, spectral: bool) -> nn.Module:
    """Return the network, with `spectral` each weight divided by its largest singular value (Miyato 2018).

    That value is estimated by one power iteration a forward pass in training, none in evaluation.
    """
    if spectral:
        for layer in list(network.modules()):
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                spectral_norm(layer)
    return network
