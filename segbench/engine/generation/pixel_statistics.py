"""Statistics of an image's pixels, and a distance between two sets of images that rests on them alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

# Bins of the histogram over [-1, 1].
BINS = 8

# Standard deviation below which a statistic does not vary but by rounding.
_CONSTANT = 1e-6


class PixelStatistics(nn.Module):
    """Mean, standard deviation, histogram, and mean and standard deviation of the gradient's magnitude, by channel.

    The histogram holds the shares of pixels in 8 equal bins over [-1, 1]; the gradient is that of forward differences.

    - images: (N, C, H, W), float in [-1, 1], H and W at least 2
    - returns: (N, 12 C)
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return the statistics of each image."""
        pixels, gradient = images.flatten(2), _gradient_magnitude(images).flatten(2)
        moments = [statistic for field in (pixels, gradient) for statistic in (field.mean(2), field.std(2, False))]
        return torch.cat([*moments, *_histogram(pixels)], dim=1)


def pixel_statistics_distance(real: Tensor, fake: Tensor) -> float:
    """Return the distance of two sets of images by their pixel statistics: 0 if these agree, at most 4; never an FID.

    Each statistic counts as normally distributed over the images of a set, with mean m and standard deviation s, and
    contributes the squared Frechet distance of the two distributions in units of their pooled variance,

        ((m_r - m_f)^2 + (s_r - s_f)^2) / ((s_r^2 + s_f^2) / 2 + (m_r - m_f)^2 / 4),

    or 0 if it does not vary at all; the distance is the mean over the statistics. It is symmetric. Two draws of N
    images from one source are about 3 / N apart if statistics are normal, more where they have outliers.

    - real, fake: (N, D) and (M, D), statistics of images
    """
    real, fake = real.double(), fake.double()
    means = (real.mean(0) - fake.mean(0)).square()
    deviations = (real.std(0, False) - fake.std(0, False)).square()
    pooled = (real.var(0, False) + fake.var(0, False)) / 2 + means / 4
    contributions = torch.where(pooled <= _CONSTANT**2, 0, (means + deviations) / pooled)
    return float(contributions.mean())


def _gradient_magnitude(images: Tensor) -> Tensor:
    """Return the magnitude of the gradient, (N, C, H - 1, W - 1)."""
    here = images[..., :-1, :-1]
    return torch.hypot(images[..., 1:, :-1] - here, images[..., :-1, 1:] - here)


def _histogram(pixels: Tensor) -> list[Tensor]:
    """Return the share of pixels (N, C, P) in each bin, a list of (N, C)."""
    bins = ((pixels + 1) * (BINS / 2)).long().clamp(0, BINS - 1)
    return [(bins == index).float().mean(2) for index in range(BINS)]
