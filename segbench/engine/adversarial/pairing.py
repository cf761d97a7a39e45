"""What a discriminator compares: real and fake fields by what the generator maps, and the encodings of labels in them.

    maps                      condition        real                      fake
    image -> labels           image            encoded truth             encoded prediction
    image, labels -> labels   image            encoded truth             encoded prediction
    image -> image            image            truth in palette colours  generated colours
    labels -> image           one-hot truth    image                     generated image
    noise -> image            none             image                     generated image
    noise -> image, labels    none             image and encoded truth   generated image and encoded labels

True labels are hard and predicted ones soft; encodings keep a discriminator from winning on that alone. With Y the
one-hot truth and s the softmax of the logits, both (N, K, H, W), y the true class of a pixel:

    encoding             real                                           fake
    one_hot              Y                                              s
    smoothed             (1 - e) Y + e / K, e = `smoothing`             s
    scaled               max(tau, s_y) at y, the others s_c scaled      s            Luc 2016, section 3.2
                         so that all add up to 1
    product              Y_c x_i for every class and image channel      s_c x_i      Luc 2016; the masking of SegAN
    confidence_matched   s with its top value moved to y: the values    s
                         of y and of the top class change places
    straight_through     Y                                              one-hot of argmax s, gradient of s

Where the prediction is right, the last two make real and fake equal, so that sharpness gives nothing away.
`segbench probe` measures what each encoding gives away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from segbench.engine.model.mapping import one_hot, palette_image

if TYPE_CHECKING:
    from torch import Tensor

    from segbench.config.recipe import Encoding
    from segbench.engine.data.batches import Batch
    from segbench.engine.model.mapping import FieldForm


# Encodings whose real field depends on the prediction.
MATCHED_TO_PREDICTION = frozenset({"scaled", "confidence_matched"})


class Pair(NamedTuple):
    """Fields of one batch for a discriminator: condition, real and fake (N, channels, H, W), and the pixels that count.

    `condition` is None where there is none; `mask` is (N, 1, H, W), bool. Pixels that do not count are 0 in the label
    fields of real and fake alike.
    """

    condition: Tensor | None
    real: Tensor
    fake: Tensor
    mask: Tensor


def make_pair(maps: str, batch: Batch, output: Tensor, form: FieldForm) -> Pair:
    """Return condition, real and fake for a batch and the generator's output for it.

    `output` is (N, K, H, W) logits, (N, 3, H, W) colours, (N, C, H, W) images, or for "noise -> image, labels" images
    and logits as one (N, C + K, H, W). Its gradient is kept.
    """
    mask = (batch.labels != form.ignore_index)[:, None]
    everywhere = torch.ones_like(mask)
    match maps:
        case "image -> labels" | "image, labels -> labels":
            real, fake = _label_fields(batch, output, mask, form)
            return Pair(batch.images if form.conditional else None, real, fake, mask)
        case "image -> image":
            real = palette_image(batch.labels, form)
            return Pair(batch.images if form.conditional else None, real.nan_to_num(0.0), output * mask, mask)
        case "labels -> image":
            return Pair(one_hot(batch.labels, form) if form.conditional else None, batch.images, output, everywhere)
        case "noise -> image":
            return Pair(None, batch.images, output, everywhere)
        case "noise -> image, labels":
            channels = batch.images.shape[1]
            real, fake = _label_fields(batch, output[:, channels:], mask, form)
            return Pair(
                None, torch.cat([batch.images, real], 1), torch.cat([output[:, :channels], fake], 1), everywhere
            )
    raise ValueError(f"no generator maps {maps!r}")


def encode_prediction(maps: str, images: Tensor, logits: Tensor, form: FieldForm) -> tuple[Tensor | None, Tensor]:
    """Return condition and fake for predictions without truth: logits (N, K, H, W) of images (N, C, H, W)."""
    condition = images if form.conditional else None
    if maps == "image -> image":
        return condition, palette_image(logits.argmax(dim=1), form)
    return condition, encode_fake(form.encoding, logits.softmax(dim=1), images)


def discriminator_channels(maps: str, image_channels: int, form: FieldForm) -> int:
    """Return the input channels of a discriminator: those of the condition and of the field."""
    labels = encoded_channels(form.encoding, form.num_classes, image_channels)
    condition, field = {
        "image -> labels": (image_channels, labels),
        "image, labels -> labels": (image_channels, labels),
        "image -> image": (image_channels, 3),
        "labels -> image": (form.num_classes, image_channels),
        "noise -> image": (0, image_channels),
        "noise -> image, labels": (0, image_channels + labels),
    }[maps]
    return field + (condition if form.conditional else 0)


def _label_fields(batch: Batch, logits: Tensor, mask: Tensor, form: FieldForm) -> tuple[Tensor, Tensor]:
    probabilities = logits.softmax(dim=1)
    real = encode_real(form.encoding, one_hot(batch.labels, form), probabilities, batch.images)
    return real * mask, encode_fake(form.encoding, probabilities, batch.images) * mask


def encode_real(encoding: Encoding, truth: Tensor, probabilities: Tensor, images: Tensor) -> Tensor:
    """Return the real field.

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
    """Return the fake field; gradients pass to the probabilities (N, K, H, W)."""
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
