"""How label fields reach the critic: truth is hard and predictions are soft, and a critic must not win on that alone.

With Y the one-hot truth and s the softmax of the logits, both (N, K, H, W), y the true class of a pixel:

    encoding             real                                           fake
    one_hot              Y                                              s
    smoothed             (1 - e) Y + e / K, e = `smoothing`             s
    scaled               max(tau, s_y) at y, the others s_c scaled      s            Luc 2016, section 3.2
                         so that all add up to 1
    product              Y_c x_i for every class and image channel      s_c x_i      Luc 2016; the masking of SegAN
    confidence_matched   s with its top value moved to y: the values    s
                         of y and of the top class change places
    straight_through     Y                                              one-hot of argmax s, gradient of s

Where the prediction is right, the last two make real and fake equal, so whatever a critic then tells apart is not
sharpness. `segbench probe` measures what any of them gives away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from segbench.spec.recipe import Encoding

# Encodings whose real field depends on the prediction.
MATCHED_TO_PREDICTION = frozenset({"scaled", "confidence_matched"})


def encode_real(encoding: Encoding, truth: Tensor, probabilities: Tensor, images: Tensor) -> Tensor:
    """Return what stands for the truth.

    - truth: one-hot (N, K, H, W); pixels without a class are zero in it and may be anything in the result
    - probabilities: the prediction at the same pixels, (N, K, H, W); it gets no gradient
    - images: (N, C, H, W)
    """
    match encoding.use:
        case "smoothed":
            return truth * (1 - encoding.smoothing) + encoding.smoothing / truth.shape[1]
        case "scaled":
            return _scaled(truth, probabilities.detach(), encoding.tau)
        case "confidence_matched":
            return _confidence_matched(truth, probabilities.detach())
        case "product":
            return _product(truth, images)
        case _:
            return truth


def encode_fake(encoding: Encoding, probabilities: Tensor, images: Tensor) -> Tensor:
    """Return what stands for the prediction; gradients pass to the probabilities (N, K, H, W)."""
    match encoding.use:
        case "product":
            return _product(probabilities, images)
        case "straight_through":
            return _straight_through(probabilities)
        case _:
            return probabilities


def encoded_channels(encoding: Encoding, num_classes: int, image_channels: int) -> int:
    """Return the channels of an encoded label field."""
    return num_classes * image_channels if encoding.use == "product" else num_classes


def _scaled(truth: Tensor, probabilities: Tensor, tau: float) -> Tensor:
    at_truth = (truth * probabilities).sum(dim=1, keepdim=True)
    raised = at_truth.clamp_min(tau)
    # Where the truth has all the probability there is nothing to scale.
    others = probabilities * (1 - raised) / (1 - at_truth).clamp_min(torch.finfo(probabilities.dtype).eps)
    return torch.where(truth > 0, raised, others)


def _confidence_matched(truth: Tensor, probabilities: Tensor) -> Tensor:
    true_class, top_class = _top_class(truth), _top_class(probabilities)
    at_truth, top = probabilities.gather(1, true_class), probabilities.gather(1, top_class)
    return probabilities.scatter(1, top_class, at_truth).scatter(1, true_class, top)


def _product(field: Tensor, images: Tensor) -> Tensor:
    """Multiply every class by every image channel, (N, K * C, H, W), the channels of a class side by side."""
    return (field[:, :, None] * images[:, None]).flatten(1, 2)


def _straight_through(probabilities: Tensor) -> Tensor:
    hard = torch.zeros_like(probabilities).scatter_(1, _top_class(probabilities), 1.0)
    # In this order the added difference is exactly 0, so the field is exactly one-hot.
    return hard + (probabilities - probabilities.detach())


def _top_class(field: Tensor) -> Tensor:
    """Return the class of the largest value of each pixel, (N, 1, H, W); on a CPU `argmax` takes five times as long."""
    return field.detach().max(dim=1, keepdim=True).indices
