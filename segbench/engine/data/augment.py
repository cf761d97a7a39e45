"""Random changes of training batches, from the draws to the pixels; where a new one is added.

Each change draws from a sequence of its own name, so that another one changes nothing of what it draws. What moves
pixels makes the placement of the crops (sampling.py), the rest changes values (colour.py), in the order given here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from segbench.engine.numerics import derive, random_generator
from segbench.errors import DataError

from .colour import add_noise, apply_gamma, blur, jitter_colour, turn_grey, turn_hue
from .sampling import Upright, random_axis, turn

if TYPE_CHECKING:
    from torch import Tensor

    from segbench.config.augment import Augment

    from .sampling import Placement


class Draws:
    """Uniform random numbers in [0, 1) for the images of one step, by the name of what they are for."""

    def __init__(self, seed: int, stream: str, step: int, number: int) -> None:
        self._seed, self._stream, self._step, self.number = seed, stream, step, number

    def seed(self, name: str) -> int:
        """Return a seed for this purpose."""
        return derive(self._seed, f"{name}{self._stream}", self._step)

    def uniform(self, name: str, rows: int) -> Tensor:
        """Return numbers in so many rows, float64 (rows, N)."""
        generator = random_generator(self._seed, f"{name}{self._stream}", self._step)
        return torch.rand((rows, self.number), generator=generator, dtype=torch.float64)

    def signed(self, name: str, largest: float, rows: int = 1) -> Tensor:
        """Return numbers between -`largest` and `largest`, float64 (rows, N)."""
        return largest * (2 * self.uniform(name, rows) - 1)


# What was drawn first came from one sequence; scale, row, column, mirror, brightness, contrast, saturation.
_FIRST, _PLACES = "augmentation", 4


def check_augment(augment: Augment, channels: int) -> None:
    """Raise DataError for changes of colour where images are not RGB."""
    for name in ("hue", "grey"):
        if channels != 3 and getattr(augment, name):
            raise DataError(
                f"augment.{name} changes the colours of RGB images, and these have {channels} "
                f"channel{'s' * (channels != 1)}; remove it, or use gamma, blur and noise, which any channels take"
            )


def place_crops(augment: Augment, size: tuple[int, int], extents: Tensor, draws: Draws) -> Placement:
    """Return where the pixels of crops of a size come from, given the heights and widths of their images, (N, 2)."""
    zoom, row, column, mirror = draws.uniform(_FIRST, 7)[:_PLACES]
    smallest, largest = augment.scale
    scales = smallest + (largest - smallest) * zoom
    left_right = mirror < (0.5 if augment.mirrors_columns else 0.0)
    upside_down = torch.zeros_like(left_right)
    if augment.mirrors_rows:
        upside_down = draws.uniform("vertical mirror", 1)[0] < 0.5
    if not augment.turns:
        rows = random_axis(size[0], extents[:, 0], scales, row, upside_down)
        return Upright(rows, random_axis(size[1], extents[:, 1], scales, column, left_right))
    shifts = torch.round(draws.signed("translation", augment.translate, 2).T * torch.tensor(size, dtype=torch.float64))
    turns = draw_turns(augment, draws) * torch.where(torch.stack([upside_down, left_right], dim=1), -1.0, 1.0)[:, None]
    return turn(size, extents, scales, torch.stack([row, column], dim=1), turns, shifts)


def draw_turns(augment: Augment, draws: Draws) -> Tensor:
    """Return rotation after shear after quarter turns, float64 (N, 2, 2), of (row, column)."""
    angle = torch.deg2rad(draws.signed("rotation", augment.rotate)[0])
    slope = torch.deg2rad(draws.signed("shear", augment.shear)[0]).tan()
    one, none = torch.ones_like(slope), torch.zeros_like(slope)
    rotation = _matrices(angle.cos(), -angle.sin(), angle.sin(), angle.cos())
    turns: Tensor = rotation @ _matrices(one, none, slope, one)
    if not augment.rotate90:
        return turns
    quarters = (4 * draws.uniform("quarter turns", 1)[0]).long()
    cosine, sine = (torch.tensor(values, dtype=torch.float64)[quarters] for values in ([1, 0, -1, 0], [0, 1, 0, -1]))
    return turns @ _matrices(cosine, -sine, sine, cosine)


def _matrices(*entries: Tensor) -> Tensor:
    """Return matrices of (N,) entries row by row, (N, 2, 2)."""
    return torch.stack(entries, dim=1).view(-1, 2, 2)


def change_values(augment: Augment, images: Tensor, white: int, draws: Draws) -> Tensor:
    """Return images (N, C, H, W) with their values changed: in float32, or as they are if nothing does."""

    def on_device(values: Tensor) -> Tensor:
        return values.float().to(images.device, non_blocking=True)

    if augment.changes_values:
        images = images.float()
    if augment.jitter:
        factors = 1 + augment.jitter * (2 * draws.uniform(_FIRST, 7)[_PLACES:] - 1)
        images = jitter_colour(images, on_device(factors), white)
    if augment.hue:
        images = turn_hue(images, on_device(draws.signed("hue", augment.hue)[0]), white)
    if augment.gamma:
        strength = draws.signed("gamma", 1.0)[0]
        images = apply_gamma(images, on_device((1 + augment.gamma) ** strength), white)
    if augment.grey:
        images = turn_grey(images, (draws.uniform("grey", 1)[0] < augment.grey).to(images.device, non_blocking=True))
    if augment.blur:
        images = blur(images, on_device(augment.blur * draws.uniform("blur", 1)[0]), augment.blur)
    if augment.noise:
        deviations = on_device(augment.noise * draws.uniform("noise", 1)[0])
        images = add_noise(images, deviations, draws.seed("noise of pixels"), white)
    return images


def draw_patches(augment: Augment, size: tuple[int, int], draws: Draws, device: torch.device) -> Tensor:
    """Draw the rectangles of CutMix (S. Yun et al., ICCV 2019) for a share `cutmix` of the images, bool (N, h, w).

    The area is a uniform share of the image, the centre lies anywhere in it; what reaches beyond is cut off.
    """
    chosen, area, *centre = draws.uniform("cutmix", 4)
    inside: list[Tensor] = []
    for length, middle in zip(size, centre, strict=True):
        half = torch.where(chosen < augment.cutmix, length * area.sqrt() / 2, -1.0)
        places = torch.arange(length, dtype=torch.float64) + 0.5
        reached = (places - length * middle[:, None]).abs() < half[:, None]
        inside.append(reached.to(device, non_blocking=True))
    return inside[0][:, :, None] & inside[1][:, None, :]


def paste(maps: Tensor, patches: Tensor) -> Tensor:
    """Return maps (N, ..., h, w) that show within each patch the map before them, and the first one the last."""
    return torch.where(patches if maps.ndim == 3 else patches[:, None], maps.roll(1, dims=0), maps)
