"""The kernel inception distance (M. Binkowski et al., ICLR 2018), on any features."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

SUBSETS = 100
LARGEST_SUBSET = 1000

# The subsets are the same for all methods.
_SEED = 0


def kernel_distance(real: Tensor, fake: Tensor) -> tuple[float, float] | None:
    """Return mean and standard deviation of the KID over 100 random subsets; None if either set has less than 4 images.

    It is the unbiased estimate of the squared maximum mean discrepancy with the kernel (x . y / D + 1)^3, so around 0
    for two sets from one source, and often below. A subset takes half of the smaller set, at most 1000 images of each.

    - real, fake: features (N, D) and (M, D)
    """
    # Importing it takes as long as importing torch, and few cells generate images.
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(len(real), len(fake), 2 * LARGEST_SUBSET) // 2
    if size < 2:
        return None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Metric `Kernel Inception Distance` will save all extracted features")
        metric = KernelInceptionDistance(nn.Identity(), subsets=SUBSETS, subset_size=size)
    metric.to(real.device)
    metric.update(real.double(), real=True)
    metric.update(fake.double(), real=False)
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would also seed every GPU.
        torch.default_generator.manual_seed(_SEED)
        mean, deviation = metric.compute()
    return float(mean), float(deviation)
