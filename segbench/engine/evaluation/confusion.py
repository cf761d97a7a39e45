"""Turn logits into labels, and label maps into confusion matrices, image by image."""

from __future__ import annotations

import torch

# From about this many classes on, a pixel's classes side by side in memory fill the CPU's vector registers.
_WIDE = 16
_BLOCK = 32_768  # elements that stay in the CPU's cache, and that torch does not split among threads
_WORD = 8  # bytes of an int64
_COPIES = 128  # of each bin on a GPU


def classify(logits: torch.Tensor) -> torch.Tensor:
    """Return the class of the largest logit of each pixel, of equal ones the first, as `torch.argmax` over dim 1 does.

    `logits` are (N, K, H, W) of any float type and memory format; the classes are (N, H, W), uint8 up to 256 classes,
    else int64. On the CPU, `torch.argmax` over planes that lie apart takes some 10 times as long.

    >>> classify(torch.tensor([0.2, 0.7, 0.7]).view(1, 3, 1, 1)).tolist()
    [[[1]]]
    """
    number, num_classes, height, width = logits.shape
    if num_classes > 256:
        return logits.argmax(dim=1)
    if logits.device.type != "cpu" or (_is_side_by_side(logits) and num_classes >= _WIDE):
        return logits.argmax(dim=1).to(torch.uint8)
    labels = torch.empty(number, height * width, dtype=torch.uint8)
    for image, target in zip(logits, labels, strict=True):
        planes = _as_planes(image) if _is_side_by_side(logits) else image.flatten(1)
        target.copy_(_first_top_plane(planes))
    return labels.view(number, height, width)


def _is_side_by_side(logits: torch.Tensor) -> bool:
    """Tell whether the classes of a pixel are neighbours in memory (channels_last)."""
    return logits.shape[1] > 1 and logits.is_contiguous(memory_format=torch.channels_last)


def _as_planes(image: torch.Tensor) -> torch.Tensor:
    """Return a channels_last image (K, H, W) as planes (K, H*W); block by block that is faster than `contiguous`."""
    num_classes = len(image)
    pixels = image.permute(1, 2, 0).view(-1, num_classes).t()
    planes = torch.empty(pixels.shape, dtype=image.dtype)
    length = max(1, _BLOCK // num_classes)
    for start in range(0, planes.shape[1], length):
        planes[:, start : start + length] = pixels[:, start : start + length]
    return planes


def _first_top_plane(planes: torch.Tensor) -> torch.Tensor:
    """Return the index of the first of the planes (K, pixels) that holds the maximum of its pixel, (pixels,) uint8.

    It is the number of planes before that one, each of which is below the maximum. Whole planes are compared at once,
    and the results, a byte a pixel, are combined eight pixels at a time.
    """
    top = planes.amax(dim=0)
    if top.sum().isnan():  # NaN is below nothing, yet argmax takes it for the maximum
        return planes.argmax(dim=0)
    pixels = len(top)
    below = torch.empty(len(planes), -(-pixels // _WORD) * _WORD, dtype=torch.bool)
    torch.lt(planes, top, out=below[:, :pixels])
    below[:, pixels:] = False
    index, *others = below.view(torch.int64).unbind()
    all_below = index.clone()
    for words in others:
        all_below &= words
        index += all_below  # no byte exceeds K - 1, so none carries into the next
    return index.view(torch.uint8)[:pixels]


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
    prediction, truth = prediction.flatten(1), truth.flatten(1)
    dtype = smallest_type(max((num_classes + 1) * num_classes - 1, ignore_index))
    count = _count_on_cpu if truth.device.type == "cpu" else _count_on_device
    counts = count(prediction, truth, num_classes, dtype)
    return counts.view(-1, num_classes + 1, num_classes)[:, :num_classes]


def smallest_type(largest: int) -> torch.dtype:
    """Return the integer type that holds 0 to `largest`: fewer bytes a pixel are counted faster."""
    types = (torch.uint8, torch.int16, torch.int32)
    return next((dtype for dtype in types if largest <= torch.iinfo(dtype).max), torch.int64)


def _bins(prediction: torch.Tensor, truth: torch.Tensor, num_classes: int, dtype: torch.dtype) -> torch.Tensor:
    """Return the bin of each pixel, truth * K + prediction; a further row of K bins takes what is ignored."""
    return truth.to(dtype, copy=True).clamp_(max=num_classes).mul_(num_classes).add_(prediction.to(dtype))


def _count_on_cpu(prediction: torch.Tensor, truth: torch.Tensor, num_classes: int, dtype: torch.dtype) -> torch.Tensor:
    """Count the bins of each image, a block at a time, which needs no other thread to be free."""
    counts = torch.zeros(len(truth), (num_classes + 1) * num_classes, dtype=torch.int64)
    for image, image_truth, image_counts in zip(prediction, truth, counts, strict=True):
        for block, block_truth in zip(image.split(_BLOCK), image_truth.split(_BLOCK), strict=True):
            bins = _bins(block, block_truth, num_classes, dtype)
            image_counts += torch.bincount(bins, minlength=len(image_counts))
    return counts


def _count_on_device(
    prediction: torch.Tensor, truth: torch.Tensor, num_classes: int, dtype: torch.dtype
) -> torch.Tensor:
    """Count the bins of all images at once."""
    return count_bins(_bins(prediction, truth, num_classes, dtype), (num_classes + 1) * num_classes)


def count_bins(bins: torch.Tensor, length: int) -> torch.Tensor:
    """Count the pixels of each bin; `bins` (N, P) are integers in [0, length), the counts int64 (N, length).

    >>> count_bins(torch.tensor([[0, 2, 2]]), 3).tolist()
    [[1, 0, 2]]
    """
    if bins.device.type == "cpu":
        return torch.stack([torch.bincount(image, minlength=length) for image in bins])
    return add_to_bins(bins, torch.ones_like(bins, dtype=torch.int64), length)


def sum_bins(bins: torch.Tensor, values: torch.Tensor, length: int) -> torch.Tensor:
    """Sum the values (N, P) of each bin in float64, (N, length); `bins` as `count_bins` takes them.

    >>> sum_bins(torch.tensor([[0, 2, 2]]), torch.tensor([[0.5, 0.25, 0.5]]), 3).tolist()
    [[0.5, 0.0, 0.75]]
    """
    values = values.double()
    if bins.device.type == "cpu":
        pairs = zip(bins, values, strict=True)
        return torch.stack([torch.bincount(image, weights, minlength=length) for image, weights in pairs])
    return add_to_bins(bins, values, length)


def add_to_bins(bins: torch.Tensor, values: torch.Tensor, length: int) -> torch.Tensor:
    """Return the sum of the values (N, P) of each bin, (N, length) of their type, as a GPU adds best.

    It is not waited for, as `bincount` would, to learn the largest bin. Most pixels are of one or two bins, for which
    additions would queue, so each has many copies, one beside the other for neighbours, that are added up at last.
    """
    images, pixels = bins.shape
    numbers = torch.arange(max(images, pixels), device=bins.device)
    places = bins.to(torch.int64, copy=True).add_(numbers[:images, None] * length)
    places.mul_(_COPIES).add_(numbers[:pixels] % _COPIES)
    sums = torch.zeros(images * length * _COPIES, dtype=values.dtype, device=bins.device)
    return sums.scatter_add_(0, places.flatten(), values.flatten()).view(images, length, _COPIES).sum(dim=2)
