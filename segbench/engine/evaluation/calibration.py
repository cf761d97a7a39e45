"""Calibration counts by image: confidence and accuracy in bins, negative log likelihood and Brier score."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, NamedTuple

import torch

from segbench.store.counts import CALIBRATION_BINS

from .confusion import count_bins, sum_bins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Measure = Callable[[torch.Tensor, torch.Tensor], "PixelCalibration"]


# No probability counts as less than the smallest normal float32, so -log p is at most 87.3 nats and never infinite.
_LEAST = torch.finfo(torch.float32).tiny
_WORST_BRIER = 2.0
_BLOCK = 32_768  # pixels


class PixelCalibration(NamedTuple):
    """Of each pixel, float32 (N, ...): the top probability, -log p of the true class in nats, and the Brier score.

    The Brier score is the sum over classes of (p - [class is the true one])^2. The values of a pixel without a true
    class have no meaning.
    """

    top: torch.Tensor
    nll: torch.Tensor
    brier: torch.Tensor


def measure_logits(logits: torch.Tensor, truth: torch.Tensor) -> PixelCalibration:
    """Measure the softmax of logits (N, K, ...); `truth` is (N, ...), any number where ignored."""
    at_truth = _class_index(truth, logits.shape[1])
    peak = logits.amax(dim=1, keepdim=True)
    true_logit = (logits.gather(1, at_truth) - peak).squeeze(1)
    weights = (logits - peak).exp_()
    total = weights.sum(dim=1)
    true_share = true_logit.exp() / total
    squares = weights.square_().sum(dim=1) / total.square()
    return _clamp(1 / total, total.log() - true_logit, squares - 2 * true_share + 1)


def measure_probabilities(probabilities: torch.Tensor, truth: torch.Tensor) -> PixelCalibration:
    """Measure probabilities (N, K, ...) that add up to 1; `truth` as for logits."""
    true_share = probabilities.gather(1, _class_index(truth, probabilities.shape[1])).squeeze(1)
    squares = probabilities.square().sum(dim=1)
    return _clamp(probabilities.amax(dim=1), -true_share.log(), squares - 2 * true_share + 1)


class CalibrationCounter:
    """Counts the labelled pixels of images by their top probability; given some rows at a time, from top to bottom.

    A bin of the top probability holds its upper edge and not its lower one (C. Guo et al., ICML 2017). On the CPU a
    block of pixels is counted at a time, wherever the rows end, so the sums do not depend on that.
    """

    def __init__(self, ignore_index: int, measure: Measure) -> None:
        self._ignore_index, self._measure = ignore_index, measure
        self._counted: list[list[tuple[torch.Tensor, torch.Tensor]]] = []  # by block, of each image
        self._rest: Pixels | None = None

    def add(self, class_scores: torch.Tensor, prediction: torch.Tensor, truth: torch.Tensor) -> None:
        """Count rows of all images: what `measure` takes (N, K, h, W), predicted and true label maps (N, h, W)."""
        pixels = Pixels(class_scores.flatten(2), prediction.flatten(1), truth.flatten(1))
        if class_scores.device.type != "cpu":
            self._counted.append([_count(pixels, self._ignore_index, self._measure)])
            return
        *blocks, rest = (pixels if self._rest is None else self._rest.followed_by(pixels)).split(_BLOCK, dim=-1)
        for block in blocks:
            self._count_block(block)
        self._rest = rest.copied()

    def _count_block(self, block: Pixels) -> None:
        """Count a block copied with each class contiguous: it then fits into the CPU's cache."""
        images = block.copied().split(1, dim=0)
        self._counted.append([_count(image, self._ignore_index, self._measure) for image in images])

    def counts(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return `Counts.calibration` (N, 15, 3) and `Counts.likelihood` (N, 2), float64, of all that was added."""
        if self._rest is not None:
            self._count_block(self._rest)
        images = list(zip(*self._counted, strict=True))
        bins, sums = (
            torch.cat([torch.stack([block[part] for block in image]).sum(dim=0) for image in images]) for part in (0, 1)
        )
        return bins, sums


class Pixels(NamedTuple):
    """Logits or probabilities (N, K, P) with predicted and true classes (N, P)."""

    class_scores: torch.Tensor
    prediction: torch.Tensor
    truth: torch.Tensor

    def split(self, length: int, dim: int) -> Iterator[Pixels]:
        """Yield parts of some images or, along the last axis, of some pixels."""
        parts = (torch.split(values, length, dim) for values in self)
        return (Pixels(*part) for part in zip(*parts, strict=True))

    def followed_by(self, others: Pixels) -> Pixels:
        """Return these pixels and those that come after them."""
        return Pixels(*(torch.cat(pair, dim=-1) for pair in zip(self, others, strict=True)))

    def copied(self) -> Pixels:
        """Return a copy with each class contiguous."""
        return Pixels(*(values.clone(memory_format=torch.contiguous_format) for values in self))


def _count(pixels: Pixels, ignore_index: int, measure: Measure) -> tuple[torch.Tensor, torch.Tensor]:
    """Count all pixels at once."""
    measured, valid = measure(pixels.class_scores, pixels.truth), pixels.truth != ignore_index
    bins = (measured.top * CALIBRATION_BINS).ceil_().sub_(1).clamp_(min=0).to(torch.uint8)
    bins = torch.where(valid, bins, CALIBRATION_BINS)  # one more bin takes the ignored pixels
    length = CALIBRATION_BINS + 1
    by_right = count_bins(bins + length * (pixels.prediction == pixels.truth), 2 * length).view(-1, 2, length)
    # Numbers of one magnitude add up exactly in float64, so the order of the pixels has no effect.
    tops = sum_bins(bins, measured.top, length)
    calibration = torch.stack([by_right.sum(dim=1).double(), tops, by_right[:, 1].double()], dim=2)
    sums = [(values * valid).sum(dim=1, dtype=torch.float64) for values in (measured.nll, measured.brier)]
    return calibration[:, :CALIBRATION_BINS], torch.stack(sums, dim=1)


def _class_index(truth: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return the true classes as indices along the axis of classes."""
    return truth.clamp(0, num_classes - 1).unsqueeze(1)


def _clamp(top: torch.Tensor, nll: torch.Tensor, brier: torch.Tensor) -> PixelCalibration:
    """Keep each value in its range despite rounding; NaN counts as full confidence in a wrong class."""
    worst = -log(_LEAST)
    return PixelCalibration(
        top.clamp_(max=1).nan_to_num_(nan=1.0),
        nll.clamp_(0, worst).nan_to_num_(nan=worst),
        brier.clamp_(0, _WORST_BRIER).nan_to_num_(nan=_WORST_BRIER),
    )
