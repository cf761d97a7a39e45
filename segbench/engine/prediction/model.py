"""The network of a recorded cell as a plain module: pixel values in, labels out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from segbench.engine.data.batches import normalise
from segbench.engine.evaluation.inference import score_pixels
from segbench.engine.model.network import Decoded, Segmenter, padded_length
from segbench.engine.numerics import memory_format

if TYPE_CHECKING:
    from torch import Tensor

    from segbench.engine.recorded import RecordedNetwork


class LabelModel(nn.Module):
    """The network of a recorded cell with what its protocol does before and after it: resizing, windows, views.

    - images: (N, C, H, W), uint8 or uint16, 0 to the largest value of the type, of any size
    - returns: labels (N, H, W), int64, the ids of `classes`

    `classes` are their names by id, `palette` a colour for each (0 to 255), `key` is that of the cell. It has no
    gradients and is in evaluation mode.
    """

    def __init__(self, recorded: RecordedNetwork) -> None:
        super().__init__()
        self.key = recorded.key
        self.classes = recorded.dataset.classes
        self.palette = recorded.dataset.palette
        self.network = recorded.network
        self._protocol = recorded.protocol
        self._multiple, self._minimum = self._needed_padding()
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the label of each pixel."""
        height, width = images.shape[2:]
        white, layout = torch.iinfo(images.dtype).max, memory_format(self._protocol.channels_last)
        seen = normalise(self._resize(images), white, layout)
        padded = self._pad(seen)
        size = (height, width) if padded is seen else (padded.shape[2], padded.shape[3])
        labels = score_pixels(self.network, padded, self._protocol, size).argmax(dim=1)
        return labels if padded is seen else _cut(labels, height, width)

    def _needed_padding(self) -> tuple[int, int]:
        """Return the multiple and minimum of the size of images, (1, 1) where they cannot be padded beforehand.

        A `Segmenter` pads by itself, but by a rule that depends on the size, which a traced network must not.
        """
        network = self.network.generator if isinstance(self.network, Decoded) else self.network
        if self._protocol.window or self._protocol.tta or self._protocol.resize or not isinstance(network, Segmenter):
            return 1, 1
        return network.size_multiple, network.minimum_size

    def _resize(self, images: Tensor) -> Tensor:
        """Return images (N, C, h, w) as the protocol resizes them, in whole values, antialiased as Pillow's are."""
        if self._protocol.resize is None:
            return images
        size = self._protocol.seen_size((images.shape[2], images.shape[3]))
        return functional.interpolate(images.float(), size, mode="bilinear", antialias=True).round()

    def _pad(self, images: Tensor) -> Tensor:
        if (self._multiple, self._minimum) == (1, 1):
            return images
        height, width = images.shape[2:]
        bottom, right = (padded_length(one, self._minimum, self._multiple) - one for one in (height, width))
        return functional.pad(images, (0, right, 0, bottom))


def _cut(labels: Tensor, height: int, width: int) -> Tensor:
    """Return the first rows and columns of labels (N, H, W); a traced slice would fail where nothing is cut."""
    rows, columns = (torch.arange(length, device=labels.device) for length in (height, width))
    return labels.index_select(1, rows).index_select(2, columns)
