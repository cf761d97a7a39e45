"""The three stages of inference, each as one iteration that can be timed again and again.

"forward" is the network alone on images that lie on the device, "labels" also resizes to the size of the images, as
evaluation does, and takes the class of the largest logit, "loading" also reads and decodes the images from the dataset
and brings them to the device.
"""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from .confusion import classify
from .data.batches import normalise
from .inference import class_scores, window_slices
from .network import Decoded, Refined, Segmenter
from .precision import autocast, memory_format

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segbench.contracts import Split
    from segbench.spec.protocol import Protocol

    Network = Callable[..., torch.Tensor]
    Step = Callable[[], torch.Tensor]


class Unfitted(nn.Module):
    """A segmenter without what resizes its logits to the size of the images."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Return the output of the network, of whatever size."""
        return self.segmenter.unfitted(*inputs)


def network_alone(network: nn.Module) -> nn.Module:
    """Return a network without what comes after it: resizing of logits, decoding of colours to labels.

    Of a refiner behind its base only the refiner ends so: the base's logits are resized for it in any case.
    """
    match network:
        case Segmenter():
            return Unfitted(network)
        case Refined():
            return Refined(network.base, network_alone(network.refiner))
        case Decoded():
            return network_alone(network.generator)
        case _:
            return network


def forward_step(network: Network, inputs: Sequence[torch.Tensor], protocol: Protocol) -> Step:
    """Return the stage "forward" of a network alone; `inputs` are what it takes, fields (N, C, H, W) or noise (N, Z).

    With a sliding window it is applied to every window of the first input.
    """
    first, *others = (_in_layout(tensor, protocol) for tensor in inputs)
    windows = [...] if protocol.window is None else [(..., *at) for at in window_slices(_size(first), protocol.window)]

    def step() -> torch.Tensor:
        with torch.inference_mode(), autocast(first.device, protocol.precision):
            for window in windows:
                output = network(first[window], *others)
            return output

    return step


def labels_step(network: Network, images: torch.Tensor, protocol: Protocol) -> Step:
    """Return the stage "labels" of a segmenter for images (N, C, H, W) in [-1, 1]."""
    images = _in_layout(images, protocol)
    return lambda: labels_of(network, images, protocol)


def loading_step(network: Network, images: ImageReader, batch: int, protocol: Protocol) -> Step:
    """Return the stage "loading" of a segmenter, which reads other images in each iteration."""
    return lambda: labels_of(network, images.read(batch, memory_format(protocol.channels_last)), protocol)


def labels_of(network: Network, images: torch.Tensor, protocol: Protocol) -> torch.Tensor:
    """Return the classes (N, H, W) that evaluation would see in images."""
    return classify(class_scores(network, images, precision=protocol.precision, window=protocol.window))


class ImageReader:
    """Reads images of one size from a dataset, one after the other, again from the start after the last.

    `places` are those of the images to read. The dataset decodes the labels of each too: it offers both together.
    """

    def __init__(self, split: Split, places: Sequence[int], channels: int, device: torch.device) -> None:
        self._split, self._channels, self._device = split, channels, device
        self._places = cycle(places)

    def read(self, number: int, layout: torch.memory_format) -> torch.Tensor:
        """Return the next images (N, C, H, W) on the device, in [-1, 1]."""
        pixels = np.stack([self._decoded(next(self._places)) for _ in range(number)])
        white = np.iinfo(pixels.dtype).max
        images = torch.from_numpy(np.ascontiguousarray(pixels)).to(self._device)
        return normalise(images, int(white), layout)

    def _decoded(self, place: int) -> np.ndarray[Any, Any]:
        image = self._split[place].image
        return image.reshape(*image.shape[:2], self._channels).transpose(2, 0, 1)


def _in_layout(tensor: torch.Tensor, protocol: Protocol) -> torch.Tensor:
    return tensor.to(memory_format=memory_format(protocol.channels_last)) if tensor.ndim == 4 else tensor


def _size(images: torch.Tensor) -> tuple[int, int]:
    height, width = images.shape[-2:]
    return height, width
