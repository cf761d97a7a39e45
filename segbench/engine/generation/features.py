"""Named features of images, by which generated images are compared with real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .pixel_statistics import PixelStatistics

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from segbench.spec import protocol

PIXEL_STATISTICS = "pixel statistics"

# Images that pass through a network at a time.
_BATCH = 32


class Features:
    """A function from images to vectors, and the name under which scores made with it are reported.

    - images: (N, C, H, W), float in [-1, 1]
    - returns: (N, D), float32, on the device of the images

        features = Features.of(setting, device)
        vectors = features(images)
    """

    def __init__(self, name: str, extract: Callable[[Tensor], Tensor]) -> None:
        self.name = name
        self._extract = extract

    @classmethod
    def of(cls, setting: protocol.Features, device: torch.device) -> Features:
        """Return the features that a protocol asks for.

        Raises SpecError for an unknown model, WeightsError for weights that are missing or do not fit.
        """
        if setting.use == PIXEL_STATISTICS.replace(" ", "_"):
            return cls.of_pixels()
        # Few cells look at images through a network of timm.
        from .network_features import network_features

        name, network = network_features(setting.use, setting.weights)
        return cls(name, network.to(device))

    @classmethod
    def of_pixels(cls) -> Features:
        """Return statistics of the pixels, which need no network and are no FID or KID."""
        return cls(PIXEL_STATISTICS, PixelStatistics())

    def __call__(self, images: Tensor) -> Tensor:
        """Return the features of each image."""
        with torch.inference_mode():
            return torch.cat([self._extract(part.float()).float() for part in torch.split(images, _BATCH)])
