"""Metrics of generated images: diversity, nearest training image, KID, precision and recall, pixel statistics."""

from __future__ import annotations

import math
import warnings
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


# Images on each side whose distances are taken at a time, and likewise points.
_BLOCK, _POINTS_AT_ONCE = 64, 256

# Random subsets of KID, the largest of them, and the seed that draws the same subsets for all methods.
KID_SUBSETS, LARGEST_KID_SUBSET, _SEED = 100, 1000, 0

# Which nearest other point of its set the ball around a point reaches to, for precision and recall.
NEIGHBOURS = 3

# Bins of the histogram over [-1, 1].
HISTOGRAM_BINS = 8

# Standard deviation below which a statistic varies by rounding alone.
_CONSTANT = 1e-6


def diversity(images: Tensor) -> Tensor:
    """Return the mean distance over all pairs of images, a scalar; NaN for a single image.

    The distance of two images is the root of the mean square of their difference, over pixels and channels. A generator
    whose images are all the same has 0.

    - images: (N, C, H, W)
    """
    # Distances do not change, and rounding stays small beside them however alike the images are.
    blocks = torch.split((images - images.mean(0)).flatten(1).float(), _BLOCK)
    total = images.new_zeros((), dtype=torch.float32)
    for one, other in combinations_with_replacement(range(len(blocks)), 2):
        distances = _distances(blocks[one], blocks[other])
        total += distances.triu(diagonal=1).sum() if one == other else distances.sum()
    pairs = len(images) * (len(images) - 1) / 2
    return total / pairs if pairs else total * torch.nan


def nearest(images: Tensor, training_images: Tensor) -> Tensor:
    """Return the mean, over images, of the distance to the nearest training image, a scalar.

    A generator that has memorised training images has 0.

    - images: (N, C, H, W)
    - training_images: (M, C, H, W)
    """
    return torch.cat([_nearest(block, training_images) for block in torch.split(images, _BLOCK)]).mean()


def find_nearest(images: Tensor, training_images: Tensor) -> Tensor:
    """Return for each image (N, C, H, W) its nearest training image, (N, C, H, W).

    Training images on another device, such as the host, are sent some at a time to that of the images.
    """
    centre, device = images.mean(0), images.device
    centred = (images - centre).flatten(1).float()
    rows = [
        _distances(centred, (block.to(device) - centre).flatten(1).float())
        for block in torch.split(training_images, _BLOCK)
    ]
    places = torch.cat(rows, dim=1).argmin(1)
    return training_images[places.to(training_images.device)].to(device)


def _nearest(images: Tensor, training_images: Tensor) -> Tensor:
    """Return the distance of each image to its nearest training image, (N,)."""
    found = find_nearest(images, training_images)
    # Computed again, since the distance to a copy must be exactly 0.
    return (images - found).float().square().flatten(1).mean(1).sqrt()


def _distances(one: Tensor, other: Tensor) -> Tensor:
    """Return all distances between images (N, P) and (M, P), (N, M)."""
    return torch.cdist(one, other) / math.sqrt(one.shape[1])


def kernel_distance(real: Tensor, fake: Tensor) -> tuple[float, float] | None:
    """Return mean and standard deviation of the KID over 100 random subsets; None if a set has under 4 images.

    The kernel inception distance (M. Binkowski et al., ICLR 2018) is the unbiased estimate of the squared maximum mean
    discrepancy with the kernel (x . y / D + 1)^3, so around 0 for two sets from one source, and often below. A subset
    takes half of the smaller set, at most 1000 images of each.

    - real, fake: features (N, D) and (M, D)
    """
    # Importing it takes as long as importing torch, and few cells generate images.
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(len(real), len(fake), 2 * LARGEST_KID_SUBSET) // 2
    if size < 2:
        return None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Metric `Kernel Inception Distance` will save all extracted features")
        metric = KernelInceptionDistance(nn.Identity(), subsets=KID_SUBSETS, subset_size=size)
    metric.to(real.device)
    metric.update(real.double(), real=True)
    metric.update(fake.double(), real=False)
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would also seed every GPU.
        torch.default_generator.manual_seed(_SEED)
        mean, deviation = metric.compute()
    return float(mean), float(deviation)


def precision_and_recall(real: Tensor, fake: Tensor) -> tuple[float, float] | None:
    """Return precision and recall in [0, 1] (T. Kynkaanniemi et al., NeurIPS 2019); None if a set has under 4 images.

    The manifold of a set is the union of balls around its points, each of which reaches to the 3rd nearest other point
    of the set. Precision is the share of generated images in the manifold of the real ones, recall the share of real
    images in that of the generated ones.

    - real, fake: features (N, D) and (M, D)
    """
    if min(len(real), len(fake)) <= NEIGHBOURS:
        return None
    return _share_inside(fake, real), _share_inside(real, fake)


def _share_inside(points: Tensor, manifold: Tensor) -> float:
    radii = _ball_radii(manifold)
    inside = [(_point_distances(block, manifold) <= radii).any(1) for block in torch.split(points, _POINTS_AT_ONCE)]
    return float(torch.cat(inside).double().mean())


def _ball_radii(manifold: Tensor) -> Tensor:
    """Return the distance of each point to its 3rd nearest other point, (N,)."""
    # The nearest of all is the point itself.
    return torch.cat(
        [
            _point_distances(block, manifold).kthvalue(NEIGHBOURS + 1).values
            for block in torch.split(manifold, _POINTS_AT_ONCE)
        ]
    )


def _point_distances(one: Tensor, other: Tensor) -> Tensor:
    # A matrix product would give points that coincide a distance above 0, by rounding.
    return torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist")


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

    or 0 if it does not vary; the distance is the mean over the statistics. It is symmetric. Two draws of N
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
    bins = ((pixels + 1) * (HISTOGRAM_BINS / 2)).long().clamp(0, HISTOGRAM_BINS - 1)
    return [(bins == index).float().mean(2) for index in range(HISTOGRAM_BINS)]
