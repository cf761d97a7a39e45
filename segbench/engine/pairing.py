"""What a critic compares: the only place that knows what each kind of generator maps.

    maps                      condition        real                      fake
    image -> labels           image            encoded truth             encoded prediction
    image, labels -> labels   image            encoded truth             encoded prediction
    image -> image            image            truth in palette colours  colours made
    labels -> image           one-hot truth    image                     image made
    noise -> image            none             image                     image made
    noise -> image, labels    none             image and encoded truth   image and encoded labels made

How truth and prediction are encoded is the matter of segbench/engine/encodings.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch

from segbench.spec.recipe import Encoding

from .encodings import encode_fake, encode_real, encoded_channels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from .data.batches import Batch


@dataclass(frozen=True)
class FieldForm:
    """What label fields look like: their classes, the ignored label, the palette (0 to 255), how a critic sees them."""

    num_classes: int
    ignore_index: int
    palette: Sequence[tuple[int, int, int]]
    encoding: Encoding = field(default_factory=Encoding)
    conditional: bool = True


class Pair(NamedTuple):
    """Fields of one batch for a critic: condition, real and fake (N, channels, H, W), and the pixels that count.

    `condition` is None where there is none; `mask` is (N, 1, H, W), bool. Pixels that do not count are 0 in the label
    fields of real and fake alike.
    """

    condition: Tensor | None
    real: Tensor
    fake: Tensor
    mask: Tensor


def pairing(maps: str, batch: Batch, output: Tensor, form: FieldForm) -> Pair:
    """Return condition, real and fake for a batch and what the generator made of it.

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


def predicted_fields(maps: str, images: Tensor, logits: Tensor, form: FieldForm) -> tuple[Tensor | None, Tensor]:
    """Return condition and fake for images of which nothing but the prediction is known, logits (N, K, H, W)."""
    condition = images if form.conditional else None
    if maps == "image -> image":
        return condition, palette_image(logits.argmax(dim=1), form)
    return condition, encode_fake(form.encoding, logits.softmax(dim=1), images)


def critic_channels(maps: str, image_channels: int, form: FieldForm) -> int:
    """Return the channels that a critic sees: those of the condition and of the field."""
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


def one_hot(labels: Tensor, form: FieldForm) -> Tensor:
    """Return labels (N, H, W) as (N, K, H, W) float32, zero where they are ignored."""
    valid = (labels != form.ignore_index)[:, None]
    number, height, width = labels.shape
    zeros = torch.zeros((number, form.num_classes, height, width), device=labels.device)
    return zeros.scatter_(1, labels[:, None].masked_fill(~valid, 0), valid.float())


def palette_image(labels: Tensor, form: FieldForm) -> Tensor:
    """Return labels (N, H, W) in palette colours (N, 3, H, W) in [-1, 1], NaN where they are ignored."""
    colours = palette_colours(form.palette, labels.device)
    valid = labels != form.ignore_index
    image = colours[labels.masked_fill(~valid, 0)].movedim(-1, 1)
    return image.masked_fill(~valid[:, None], float("nan"))


def palette_colours(palette: Sequence[tuple[int, int, int]], device: torch.device) -> Tensor:
    """Return a palette as (K, 3) in [-1, 1]."""
    return torch.tensor(palette, dtype=torch.float32, device=device) / 127.5 - 1


def _label_fields(batch: Batch, logits: Tensor, mask: Tensor, form: FieldForm) -> tuple[Tensor, Tensor]:
    probabilities = logits.softmax(dim=1)
    real = encode_real(form.encoding, one_hot(batch.labels, form), probabilities, batch.images)
    return real * mask, encode_fake(form.encoding, probabilities, batch.images) * mask
