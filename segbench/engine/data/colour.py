"""Changes of pixel values, each of a whole batch of images (N, C, H, W) in float32, as they are stored: 0 to `white`.

`white` is 255 or 65535. Of each change the arguments give one number an image, (N,), on the images' device.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import pad

if TYPE_CHECKING:
    from torch import Tensor


LUMA = (0.299, 0.587, 0.114)  # share of red, green and blue in luma, ITU-R BT.601


def jitter_colour(images: Tensor, factors: Tensor, white: int) -> Tensor:
    """Change brightness, then contrast, then saturation.

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


def turn_hue(images: Tensor, turns: Tensor, white: int) -> Tensor:
    """Turn the hue of RGB images by shares of the colour circle: a rotation about the line of greys.

    So in T. Karras et al., Training Generative Adversarial Networks with Limited Data, NeurIPS 2020, appendix B: the
    mean of the channels stays. HSV's hue, which costs several times as much, keeps the largest channel instead.
    """
    angle = (2 * math.pi * turns)[:, None, None]
    axis = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]).to(images.device, non_blocking=True) / math.sqrt(3)
    along = torch.full((3, 3), 1 / 3, device=images.device)
    # Rodrigues' formula for a rotation about the unit vector (1, 1, 1) / sqrt(3).
    rotation = angle.cos() * torch.eye(3, device=images.device) + (1 - angle.cos()) * along + angle.sin() * axis
    return (rotation @ images.flatten(2)).view_as(images).clamp_(0, white)


def apply_gamma(images: Tensor, exponents: Tensor, white: int) -> Tensor:
    """Raise values, as shares of white, to a power."""
    return white * (images / white) ** exponents.view(-1, 1, 1, 1)


def turn_grey(images: Tensor, chosen: Tensor) -> Tensor:
    """Take the colour out of the chosen RGB images, bool (N,)."""
    return torch.where(chosen.view(-1, 1, 1, 1), grey(images), images)


def blur(images: Tensor, deviations: Tensor, largest: float) -> Tensor:
    """Convolve with Gaussians of these standard deviations in pixels, none above `largest`; borders are repeated."""
    radius = math.ceil(3 * largest)
    places = torch.arange(-radius, radius + 1, device=images.device)
    weights = torch.exp(-0.5 * (places / deviations.clamp_min(1e-3)[:, None]) ** 2)
    weights = (weights / weights.sum(dim=1, keepdim=True)).T.reshape(-1, len(images), 1, 1, 1)
    for dim, margin in ((2, (0, 0, radius, radius)), (3, (radius, radius, 0, 0))):
        padded, length = pad(images, margin, mode="replicate"), images.shape[dim]
        images = padded.narrow(dim, 0, length) * weights[0]
        for place in range(1, 2 * radius + 1):
            images.addcmul_(padded.narrow(dim, place, length), weights[place])
    return images


def add_noise(images: Tensor, deviations: Tensor, seed: int, white: int) -> Tensor:
    """Add normal noise of these standard deviations as shares of white, drawn on the images' device."""
    generator = torch.Generator(images.device).manual_seed(seed)
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    return torch.addcmul(images, noise, white * deviations.view(-1, 1, 1, 1)).clamp_(0, white)
