"""From logits to labels, and from label maps to confusion matrices."""

from __future__ import annotations

import torch

# From about this many classes on, a pixel's classes side by side in memory fill the CPU's vector registers.
_WIDE = 16


def classify(logits: torch.Tensor) -> torch.Tensor:
    """Return the class of the largest logit of each pixel, of equal ones the first, as `torch.argmax` over dim 1 does.

    `logits` are (N, K, H, W) of any float type and memory format; the classes are (N, H, W), uint8 up to 256 classes,
    else int64. On the CPU, `torch.argmax` over planes that lie apart takes some 15 times as long.

    >>> classify(torch.tensor([0.2, 0.7, 0.7]).view(1, 3, 1, 1)).tolist()
    [[[1]]]
    """
    num_classes = logits.shape[1]
    if num_classes > 256:
        return logits.argmax(dim=1)
    side_by_side = logits.stride(1) == 1 and num_classes >= _WIDE
    if logits.device.type != "cpu" or side_by_side:
        return logits.argmax(dim=1).to(torch.uint8)
    return torch.stack([_leading_planes_below_top(image.contiguous()) for image in logits])


def _leading_planes_below_top(planes: torch.Tensor) -> torch.Tensor:
    """Return the index of the first of the planes (K, H, W) that holds the maximum, (H, W) uint8.

    It is the number of planes before it, each of which is below the maximum: whole planes are compared and added, which
    the CPU does many pixels at a time.
    """
    top = planes.amax(dim=0)
    if top.sum().isnan():  # NaN is below nothing, yet argmax takes it for the maximum
        return planes.argmax(dim=0).to(torch.uint8)
    all_below = torch.ones_like(top, dtype=torch.bool)
    below = torch.empty_like(all_below)
    index = torch.zeros_like(top, dtype=torch.uint8)
    for plane in planes[:-1]:
        torch.lt(plane, top, out=below)
        all_below.logical_and_(below)
        index.add_(all_below.view(torch.uint8))
    return index


def confusion_matrices(
    prediction: torch.Tensor, truth: torch.Tensor, num_classes: int, ignore_index: int
) -> torch.Tensor:
    """Count the pixels of each image by true and predicted class; return int64 (N, K, K), [image, truth, prediction].

    `prediction` and `truth` are (N, H, W) integers on one device, class ids in [0, K). Pixels whose truth is
    `ignore_index` are left out, whatever is predicted there. Counts are integers, so they are exact and do not depend
    on the order of additions; a CUDA device is not waited for.

    >>> confusion_matrices(torch.tensor([[[0, 1, 1]]]), torch.tensor([[[0, 1, 255]]]), 2, 255).tolist()
    [[[1, 0], [0, 1]]]
    """
    bins = num_classes**2 + 1  # the last one takes what is ignored
    index = _bins_of_pixels(prediction, truth, num_classes, ignore_index).flatten(1)
    counts = _count_on_cpu(index, bins) if index.device.type == "cpu" else _count_on_device(index, bins)
    return counts[:, :-1].reshape(-1, num_classes, num_classes)


def _bins_of_pixels(prediction: torch.Tensor, truth: torch.Tensor, num_classes: int, ignore_index: int) -> torch.Tensor:
    """Return truth * K + prediction, and K * K where ignored, in the smallest type that holds all of it."""
    dtype = _smallest_type(max(num_classes**2, ignore_index))
    truth = truth.to(dtype)
    index = (truth * num_classes).add_(prediction.to(dtype))
    return index.masked_fill_(truth == ignore_index, num_classes**2)


def _smallest_type(largest: int) -> torch.dtype:
    """Return the integer type that holds 0 to `largest`: fewer bytes a pixel are counted faster."""
    types = (torch.uint8, torch.int16, torch.int32)
    return next((dtype for dtype in types if largest <= torch.iinfo(dtype).max), torch.int64)


def _count_on_cpu(index: torch.Tensor, bins: int) -> torch.Tensor:
    return torch.stack([torch.bincount(image, minlength=bins) for image in index])


def _count_on_device(index: torch.Tensor, bins: int) -> torch.Tensor:
    """Count without `bincount`, which on CUDA would wait for the device to learn the largest value."""
    index = index.long()
    counts = torch.zeros(index.shape[0], bins, dtype=torch.int64, device=index.device)
    return counts.scatter_add_(1, index, torch.ones_like(index))
