"""Counts and sums by bin, image by image; a CUDA device is not waited for."""

from __future__ import annotations

import torch


def count_bins(bins: torch.Tensor, length: int) -> torch.Tensor:
    """Count the pixels of each bin; `bins` (N, P) are integers in [0, length), the counts int64 (N, length).

    >>> count_bins(torch.tensor([[0, 2, 2]]), 3).tolist()
    [[1, 0, 2]]
    """
    if bins.device.type == "cpu":
        return torch.stack([torch.bincount(image, minlength=length) for image in bins])
    # `bincount` would wait for the device to learn the largest value.
    bins = bins.long()
    counts = torch.zeros(len(bins), length, dtype=torch.int64, device=bins.device)
    return counts.scatter_add_(1, bins, torch.ones_like(bins))


def sum_bins(bins: torch.Tensor, values: torch.Tensor, length: int) -> torch.Tensor:
    """Sum the values (N, P) of each bin in float64, (N, length); `bins` as `count_bins` takes them.

    >>> sum_bins(torch.tensor([[0, 2, 2]]), torch.tensor([[0.5, 0.25, 0.5]]), 3).tolist()
    [[0.5, 0.0, 0.75]]
    """
    values = values.double()
    if bins.device.type == "cpu":
        pairs = zip(bins, values, strict=True)
        return torch.stack([torch.bincount(image, weights, minlength=length) for image, weights in pairs])
    sums = torch.zeros(len(bins), length, dtype=torch.float64, device=bins.device)
    return sums.scatter_add_(1, bins.long(), values)
