"""What a network makes of one image: the scores of its classes, their probabilities, and the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from .confusion import classify
from .data.batches import normalise
from .inference import class_scores
from .precision import memory_format

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from segbench.spec.protocol import Protocol

    from .inference import Network


@dataclass(frozen=True)
class Prediction:
    """One image as the network received it, (1, C, H, W) in [-1, 1], and what its classes scored, (1, K, H, W).

    The scores are logits, or `averaged` probabilities of a sliding window (`inference.class_scores`).
    """

    images: Tensor
    scores: Tensor
    averaged: bool

    @property
    def labels(self) -> NDArray[np.integer[Any]]:
        """The class of the highest score of each pixel, (H, W)."""
        labels: NDArray[np.integer[Any]] = classify(self.scores)[0].cpu().numpy()
        return labels

    @property
    def probabilities(self) -> Tensor:
        """The class probabilities, (1, K, H, W), which add up to 1."""
        return self.scores if self.averaged else self.scores.softmax(dim=1)

    @property
    def logits(self) -> Tensor:
        """Numbers whose softmax are the class probabilities, (1, K, H, W)."""
        return self.scores.clamp_min(torch.finfo(self.scores.dtype).tiny).log() if self.averaged else self.scores


def predict_image(network: Network, image: Tensor, white: int, protocol: Protocol) -> Prediction:
    """Apply a network to one image (C, H, W) of pixel values 0 to `white`.

    Image and network are on one device, the network in evaluation mode.
    """
    images = normalise(image[None], white, memory_format(protocol.channels_last))
    scores = class_scores(network, images, precision=protocol.precision, window=protocol.window)
    return Prediction(images, scores, averaged=protocol.window is not None)
