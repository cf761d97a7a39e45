"""Where the pixels of a training batch come from: zoom, crop, mirroring, and turns, as one sampling grid.

Zoom, crop and mirroring treat rows and columns separately: each axis says where its output pixels come from, and the
two make a grid. The result is that of resizing an image by its factor, cropping it at a whole pixel, and mirroring it.
Turns (rotation, shear) and shifts move the crop over the zoomed image, about the crop's centre; they make of the two
axes one affine map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch.nn.functional import grid_sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from .resident import Range


class Placement(Protocol):
    """Where the output pixels of a batch come from: `rows` and `columns` are the windows of each image they need."""

    @property
    def rows(self) -> Sequence[Range]:
        """The rows of each image's window."""

    @property
    def columns(self) -> Sequence[Range]:
        """The columns of each image's window."""

    @property
    def is_plain(self) -> bool:
        """Whether the output is the windows, unchanged."""

    def grid(self, height: int, width: int, device: torch.device) -> Tensor:
        """Return the grid for `grid_sample` (align_corners=False) on windows of a height and width, (N, h, w, 2)."""

    def outside(self, device: torch.device) -> Tensor | None:
        """Return which output pixels lie outside their image, bool (N, h, w); None if none does."""


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


def draw_offsets(length: int, extents: Tensor, scales: Tensor, places: Tensor) -> Tensor:
    """Return where `length` pixels begin in zoomed images, in whole pixels, (N,): negative where they lie around one.

    `extents` are the images' pixels along the axis, `scales` their zoom factors; `places` in [0, 1) choose among all
    positions of the crop in the zoomed image, or of the zoomed image in the crop if that is larger. All float64 (N,).
    """
    slack = (extents * scales + 0.5).floor() - length
    return (places * (slack.abs() + 1)).floor() * slack.sign()


def random_axis(length: int, extents: Tensor, scales: Tensor, places: Tensor, mirrored: Tensor) -> Axis:
    """Choose where `length` output pixels come from, for a batch of N images.

    The arguments are those of `draw_offsets`; `mirrored`, bool (N,), tells which images to mirror. Pixel i of the
    zoomed image lies at (i + 0.5) / scale - 0.5, as in `interpolate` with align_corners=False.
    """
    pixels = torch.arange(length, dtype=torch.float64).expand(len(extents), length)
    pixels = torch.where(mirrored[:, None], length - 1 - pixels, pixels)
    offsets = draw_offsets(length, extents, scales, places)
    source = (pixels + offsets[:, None] + 0.5) / scales[:, None] - 0.5
    last = extents[:, None] - 1
    inside = (source >= -0.5) & (source <= last + 0.5)
    source = source.clamp(min=torch.zeros(()), max=last)
    first = source.amin(dim=1).floor()
    stop = source.amax(dim=1).ceil() + 1
    windows = list(zip(first.int().tolist(), stop.int().tolist(), strict=True))
    return Axis(windows, source - first[:, None], inside)


class Upright(NamedTuple):
    """A placement of which rows and columns can be told apart."""

    vertical: Axis
    horizontal: Axis

    @property
    def rows(self) -> Sequence[Range]:
        """The rows of each image's window."""
        return self.vertical.windows

    @property
    def columns(self) -> Sequence[Range]:
        """The columns of each image's window."""
        return self.horizontal.windows

    @property
    def is_plain(self) -> bool:
        """Whether the output is the windows, unchanged."""
        return self.vertical.is_plain and self.horizontal.is_plain

    def grid(self, height: int, width: int, device: torch.device) -> Tensor:
        """Return the grid for `grid_sample`; see `Placement`."""
        y = (2 * self.vertical.positions + 1) / height - 1
        x = (2 * self.horizontal.positions + 1) / width - 1
        both = torch.cat([x, y], dim=1).float().to(device, non_blocking=True)
        x, y = both[:, : x.shape[1]], both[:, x.shape[1] :]
        shape = (len(both), y.shape[1], x.shape[1])
        return torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], dim=1).permute(0, 2, 3, 1)

    def outside(self, device: torch.device) -> Tensor | None:
        """Return which output pixels lie outside their image; see `Placement`."""
        if self.vertical.inside.all() and self.horizontal.inside.all():
            return None
        row, column = (axis.inside.to(device, non_blocking=True) for axis in (self.vertical, self.horizontal))
        return ~(row[:, :, None] & column[:, None, :])


# How far beyond an image's edge a pixel may come to lie by rounding, in pixels.
_ROUNDING = 1e-3


class Turned(NamedTuple):
    """A placement by an affine map: output pixel (i, j) comes from `maps @ (i, j, 1)`, a row and a column.

    `maps` (N, 2, 3) lead into the whole image, float64; `extents` (N, 2) are the heights and widths of the images,
    `size` is that of the output. `first` and `stop` (N, 2) are the first row and column of each image's window, and
    those after its last, whole numbers.
    """

    maps: Tensor
    extents: Tensor
    size: tuple[int, int]
    first: Tensor
    stop: Tensor

    @property
    def rows(self) -> Sequence[Range]:
        """The rows of each image's window."""
        return self._ranges(0)

    @property
    def columns(self) -> Sequence[Range]:
        """The columns of each image's window."""
        return self._ranges(1)

    def _ranges(self, axis: int) -> list[Range]:
        return list(zip(self.first[:, axis].int().tolist(), self.stop[:, axis].int().tolist(), strict=True))

    @property
    def is_plain(self) -> bool:
        """Whether the output is the windows, unchanged: not known to be."""
        return False

    def grid(self, height: int, width: int, device: torch.device) -> Tensor:
        """Return the grid for `grid_sample`; see `Placement`."""
        maps = self.maps.clone()
        maps[:, :, 2] -= self.first
        last = (self.stop - self.first - 1).float().to(device, non_blocking=True)
        positions = torch.minimum(self._positions(maps, device).clamp_(min=0), last[:, None, None])
        sizes = torch.tensor([height, width], dtype=torch.float32).to(device, non_blocking=True)
        return ((2 * positions + 1) / sizes - 1).flip(-1)

    def outside(self, device: torch.device) -> Tensor | None:
        """Return which output pixels lie outside their image; see `Placement`."""
        positions = self._positions(self.maps, device)
        end = (self.extents - 0.5).float().to(device, non_blocking=True)[:, None, None]
        return ((positions < -0.5 - _ROUNDING) | (positions > end + _ROUNDING)).any(dim=-1)

    def _positions(self, maps: Tensor, device: torch.device) -> Tensor:
        """Return where a map leads each output pixel, float32 (N, h, w, 2)."""
        maps = maps.float().to(device, non_blocking=True)[:, None, None]
        rows, columns = (torch.arange(length, dtype=torch.float32, device=device) for length in self.size)
        return rows[:, None, None] * maps[..., 0] + columns[:, None] * maps[..., 1] + maps[..., 2]


def turn(
    size: tuple[int, int], extents: Tensor, scales: Tensor, places: Tensor, turns: Tensor, shifts: Tensor
) -> Turned:
    """Choose where the pixels of crops of a size come from that are turned about their centres and shifted.

    - extents: heights and widths of the images, (N, 2)
    - scales: their zoom factors, (N,)
    - places: in [0, 1), see `draw_offsets`, (N, 2)
    - turns: what (row, column) from the crop's centre becomes in the zoomed image, (N, 2, 2)
    - shifts: in pixels of the zoomed image, (N, 2)
    """
    lengths = torch.tensor(size, dtype=torch.float64)
    offsets = [draw_offsets(size[axis], extents[:, axis], scales, places[:, axis]) for axis in (0, 1)]
    centre = (lengths - 1) / 2
    start = centre - turns @ centre + shifts + torch.stack(offsets, dim=1)
    zoom = scales[:, None]
    maps = torch.cat([turns / zoom[..., None], ((start + 0.5) / zoom - 0.5)[..., None]], dim=2)
    return Turned(maps, extents, size, *_find_windows(maps, extents, size))


def _find_windows(maps: Tensor, extents: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the first row and column of what maps reach of each image, at least a pixel, and those after the last."""
    height, width = size
    corners = [[0, 0, 1], [0, width - 1, 1], [height - 1, 0, 1], [height - 1, width - 1, 1]]
    reached = maps @ torch.tensor(corners, dtype=torch.float64).T  # (N, 2, 4)
    first = reached.amin(dim=2).floor().clamp(min=torch.zeros(()), max=extents - 1)
    return first, (reached.amax(dim=2).ceil() + 1).clamp(min=first + 1, max=extents)


def resample(images: Tensor, labels: Tensor, placement: Placement) -> tuple[Tensor, Tensor]:
    """Sample windows where a placement says, in float32.

    Images (N, C, H, W) are interpolated bilinearly, labels (N, H, W) taken from the nearest pixel.
    """
    grid = placement.grid(labels.shape[1], labels.shape[2], labels.device)
    labels = grid_sample(labels[:, None].float(), grid, mode="nearest", padding_mode="border", align_corners=False)
    return _interpolate(images, grid), labels[:, 0]


def interpolate(fields: Tensor, placement: Placement) -> Tensor:
    """Sample windows of fields (N, K, H, W) where a placement says, bilinearly, in float32."""
    return _interpolate(fields, placement.grid(fields.shape[2], fields.shape[3], fields.device))


def _interpolate(fields: Tensor, grid: Tensor) -> Tensor:
    return grid_sample(fields.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
