"""From logits to labels, and from label maps to confusion matrices."""

from __future__ import annotations

import torch

# From about this many classes on, a pixel's classes side by side in memory fill the CPU's vector registers.
_WIDE = 16
_WORD = 8  # bytes of an int64


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
    return torch.stack([_planes_before_the_top(image.contiguous()) for image in logits])


def _planes_before_the_top(planes: torch.Tensor) -> torch.Tensor:
    """Return the index of the first of the planes (K, H, W) that holds the maximum of its pixel, (H, W) uint8.

    It is the number of planes before that one, each of which is below the maximum. Whole planes are compared at once,
    and the results, a byte a pixel, are combined eight pixels at a time.
    """
    top = planes.amax(dim=0)
    if top.sum().isnan():  # NaN is below nothing, yet argmax takes it for the maximum
        return planes.argmax(dim=0).to(torch.uint8)
    pixels = top.numel()
    below = torch.zeros(len(planes), -(-pixels // _WORD) * _WORD, dtype=torch.bool)
    torch.lt(planes.flatten(1), top.flatten(), out=below[:, :pixels])
    first, *others = below.view(torch.int64)
    all_below = first.clone()
    index = first.clone()
    for words in others:
        all_below &= words
        index += all_below  # no byte exceeds K - 1, so none carries into the next
    return index.view(torch.uint8)[:pixels].view(top.shape)


def confusion_matrices(
    prediction: torch.Tensor, truth: torch.Tensor, num_classes: int, ignore_index: int
) -> torch.Tensor:
    """Count the pixels of each image by true and predicted class; return int64 (N, K, K), [image, truth, prediction].

    `prediction` and `truth` are (N, H, W) integers on one device: class ids in [0, K), and in `truth` also
    `ignore_index`, which is K or more; those pixels are left out. Counts are integers, so they are exact and do not
    depend on the order of additions; a CUDA device is not waited for.

    >>> confusion_matrices(torch.tensor([[[0, 1, 1]]]), torch.tensor([[[0, 1, 255]]]), 2, 255).tolist()
    [[[1, 0], [0, 1]]]
    """
    bins = (num_classes + 1) * num_classes  # the last row takes what is ignored
    dtype = _smallest_type(max(bins - 1, ignore_index))
    rows = truth.clone() if truth.dtype == dtype else truth.to(dtype)
    index = rows.clamp_(max=num_classes).mul_(num_classes).add_(prediction.to(dtype)).flatten(1)
    counts = _count_on_cpu(index, bins) if index.device.type == "cpu" else _count_on_device(index, bins)
    return counts.view(-1, num_classes + 1, num_classes)[:, :num_classes]


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
