"""Random scale, crop, flip and colour of a whole batch.

Scale, crop and flip are one affine map that treats rows and columns separately: each axis says where its output pixels
come from, and the two make one sampling grid. The result is that of resizing an image by its factor, cropping it at a
whole pixel, and mirroring it. Colour works on pixel values as they are stored, 0 to 255 or 65535.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.functional import grid_sample

if TYPE_CHECKING:
    from torch import Tensor

    from .resident import Range


LUMA = (0.299, 0.587, 0.114)  # share of red, green and blue in luma, ITU-R BT.601


class Axis(NamedTuple):
    """Where the rows, or the columns, of a batch's output come from.

    `windows` holds for each image the range of source pixels that is needed; `positions` (N, length) the place of each
    output pixel's centre in its window, in pixels (0 is the centre of the first one); `inside` (N, length) whether the
    output pixel lies in the image: those outside have the position of the image's border.
    """

    windows: list[Range]
    positions: Tensor
    inside: Tensor

    @property
    def is_plain(self) -> bool:
        """Whether the output is the window, unchanged."""
        length = self.positions.shape[1]
        straight = torch.arange(length, dtype=self.positions.dtype).expand_as(self.positions)
        return torch.equal(self.positions, straight)


def random_axis(length: int, extents: Tensor, scales: Tensor, places: Tensor, mirrored: Tensor) -> Axis:
    """Choose where `length` output pixels come from, for a batch of N images.

    `extents` are the images' pixels along this axis, `scales` their zoom factors; `places` in [0, 1) choose among all
    whole-pixel positions of the crop in the zoomed image, or of the zoomed image in the crop if that is larger;
    `mirrored` tells which images to mirror. All are (N,), float64 but the last, which is bool.

    Pixel i of the zoomed image lies at (i + 0.5) / scale - 0.5, as in `interpolate` with align_corners=False.
    """
    pixels = torch.arange(length, dtype=torch.float64).expand(len(extents), length)
    pixels = torch.where(mirrored[:, None], length - 1 - pixels, pixels)
    slack = (extents * scales + 0.5).floor() - length
    offsets = (places * (slack.abs() + 1)).floor() * slack.sign()
    source = (pixels + offsets[:, None] + 0.5) / scales[:, None] - 0.5
    last = extents[:, None] - 1
    inside = (source >= -0.5) & (source <= last + 0.5)
    source = source.clamp(min=torch.zeros(()), max=last)
    first = source.amin(dim=1).floor()
    stop = source.amax(dim=1).ceil() + 1
    windows = list(zip(first.int().tolist(), stop.int().tolist(), strict=True))
    return Axis(windows, source - first[:, None], inside)


def sampling_grid(rows: Axis, columns: Axis, height: int, width: int, device: torch.device) -> Tensor:
    """Return the grid for `grid_sample` (align_corners=False) on windows of a height and width, (N, h, w, 2)."""
    y = (2 * rows.positions + 1) / height - 1
    x = (2 * columns.positions + 1) / width - 1
    both = torch.cat([x, y], dim=1).float().to(device, non_blocking=True)
    x, y = both[:, : x.shape[1]], both[:, x.shape[1] :]
    shape = (len(both), y.shape[1], x.shape[1])
    return torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], dim=1).permute(0, 2, 3, 1)


def resample(images: Tensor, labels: Tensor, rows: Axis, columns: Axis) -> tuple[Tensor, Tensor]:
    """Sample windows where the axes say, in float32.

    Images (N, C, H, W) are interpolated bilinearly, labels (N, H, W) taken from the nearest pixel.
    """
    grid = sampling_grid(rows, columns, labels.shape[1], labels.shape[2], labels.device)
    labels = grid_sample(labels[:, None].float(), grid, mode="nearest", padding_mode="border", align_corners=False)
    return _interpolate(images, grid), labels[:, 0]


def interpolate(fields: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """Sample windows of fields (N, K, H, W) where the axes say, bilinearly, in float32."""
    return _interpolate(fields, sampling_grid(rows, columns, fields.shape[2], fields.shape[3], fields.device))


def _interpolate(fields: Tensor, grid: Tensor) -> Tensor:
    return grid_sample(fields.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)


def jitter_colour(images: Tensor, factors: Tensor, white: int) -> Tensor:
    """Change brightness, then contrast, then saturation of images (N, C, H, W), values 0 to `white`.

    `factors` (3, N) are the factors of each: pixel values are multiplied, then moved away from the mean grey of their
    image, then, in images of three channels (taken as RGB), from their own grey. Grey is BT.601 luma, and in images of
    another number of channels the mean over channels.
    """
    brightness, contrast, saturation = factors.view(3, -1, 1, 1, 1)
    images = images * brightness
    images = torch.lerp(grey(images).mean(dim=(1, 2, 3), keepdim=True), images, contrast)
    if images.shape[1] == 3:
        images = torch.lerp(grey(images), images, saturation)
    return images.clamp_(0, white)


def grey(images: Tensor) -> Tensor:
    """Return the luma of RGB images, the mean over channels of others, (N, 1, H, W)."""
    if images.shape[1] != 3:
        return images.mean(dim=1, keepdim=True)
    red, green, blue = images[:, 0:1], images[:, 1:2], images[:, 2:3]
    return (LUMA[0] * red).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])
