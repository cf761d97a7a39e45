"""Pictures that explain a prediction: where the evidence for each class lies, and what the critic thinks of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from .captions import colour_bar, resampled, stacked, tile_size, tiled, titled
from .colours import as_rgb, outlined, overlay
from .gradcam import class_evidence, default_layer
from .heat import diverging, diverging_table, sequential, sequential_table, span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from .colours import Labels, Palette, Picture
    from .gradcam import Evidence
    from .prediction import Prediction
    from .recorded import ScoreMap

_COLUMNS = 4
_HEAT = 0.65  # how much of what heat covers is heat
_CONTRAST = 0.5  # of the image below: with more, its light and dark would be taken for heat
_MID_GREY = 127.5


def evidence_picture(
    network: torch.nn.Module,
    prediction: Prediction,
    image: NDArray[Any],
    classes: Sequence[str],
    palette: Palette,
    layer: str | None = None,
) -> Picture | None:
    """Return the prediction over the image (C, H, W), and the evidence (Grad-CAM) for each class predicted there.

    Evidence is seen at `layer`, or at `gradcam.default_layer`; without such a layer there is no picture. Raises
    OptionError for a layer that does not fit.
    """
    seen_at = layer or default_layer(network, prediction.images)
    if seen_at is None:
        return None
    evidence = class_evidence(network, prediction.images, prediction.labels, seen_at)
    return draw_evidence(image, prediction.labels, evidence, classes, palette, seen_at)


def critic_picture(
    score_map: ScoreMap, boundary: float | None, prediction: Prediction, image: NDArray[Any], palette: Palette
) -> Picture:
    """Return the prediction over the image (C, H, W), and how real each of its pixels looks to the critic.

    `boundary` is the score between real and fake; None where the critic's loss has none.
    """
    with torch.no_grad():
        scores = score_map(prediction.images, prediction.logits)
    return draw_scores(image, prediction.labels, scores[0, 0].float().cpu().numpy(), palette, boundary)


def draw_evidence(
    image: NDArray[Any],
    labels: Labels,
    evidence: Mapping[int, Evidence],
    classes: Sequence[str],
    palette: Palette,
    layer: str,
) -> Picture:
    """Return a tile a class: evidence (H, W) of 0 to 1 as heat over the grey image, the class's region outlined."""
    size = tile_size(*labels.shape)
    image, labels = resampled(image, size), resampled(labels, size)
    grey = _MID_GREY + _CONTRAST * (as_rgb(image).mean(axis=2, keepdims=True) - _MID_GREY)
    tiles = [titled(overlay(image, labels, palette), "prediction")]
    for class_id, values in evidence.items():
        heat = _HEAT * sequential(resampled(values, size)) + (1 - _HEAT) * grey
        region = np.asarray(labels == class_id, dtype=np.uint8)
        tiles.append(titled(outlined(np.rint(heat).astype(np.uint8), region), f"evidence for {classes[class_id]}"))
    picture = tiled(tiles, _COLUMNS)
    marks = ("0", f"Grad-CAM at {layer}", "1") if picture.shape[1] > 2 * tiles[0].shape[1] else ("0", "1")
    bar = colour_bar(_over_grey(sequential_table()), marks, picture.shape[1])
    return stacked([picture, bar])


def draw_scores(
    image: NDArray[Any], labels: Labels, scores: NDArray[np.floating[Any]], palette: Palette, boundary: float | None
) -> Picture:
    """Return the prediction, and the critic's scores (H, W) as heat with the predicted regions outlined.

    White stands for the boundary between real and fake, or for the median of the scores where there is none.
    """
    size = tile_size(*labels.shape)
    image, labels = resampled(image, size), resampled(labels, size)
    centre, name = (float(np.median(scores)), "median") if boundary is None else (boundary, "boundary")
    reach = span(scores, centre)
    heat = outlined(diverging(resampled(scores, size), centre), labels)
    picture = tiled([titled(overlay(image, labels, palette), "prediction"), titled(heat, "critic's score")], _COLUMNS)
    low, high = ("less real", "more real") if boundary is None else ("fake", "real")
    marks = (f"{centre - reach:.3g} {low}", f"{centre:.3g} {name}", f"{high} {centre + reach:.3g}")
    return stacked([picture, colour_bar(diverging_table(), marks, picture.shape[1])])


def _over_grey(table: Picture) -> Picture:
    """Return the colours of heat as they look over mid grey."""
    mixed: Picture = np.rint(_HEAT * table + (1 - _HEAT) * _MID_GREY).astype(np.uint8)
    return mixed
