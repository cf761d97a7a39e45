"""Sample pictures of a cell: label maps, panels, class evidence and discriminator scores of a few images."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from PIL import Image

from segbench.engine.data.dataset import choose_evenly
from segbench.engine.evaluation.inference import predict_image
from segbench.engine.numerics import name_memory_errors
from segbench.errors import SegbenchError

from .drawing import label_map, panel
from .explain import discriminator_picture, evidence_picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch
    from torch import nn

    from segbench.config.protocol import TrainingProtocol
    from segbench.contract import Dataset
    from segbench.engine.data.resident import ResidentSplit
    from segbench.engine.recorded import ScoreMap

    from .drawing import Picture


def write_samples(
    folder: Path,
    network: nn.Module,
    resident: ResidentSplit,
    dataset: Dataset,
    protocol: TrainingProtocol,
    score_map: ScoreMap | None = None,
    score_boundary: float | None = None,
) -> None:
    """Write, for `protocol.keep.samples` images spread evenly over a split, what the network predicts and why.

    <id>.png is the label map, a palette PNG; <id>.panel.png shows image, truth, prediction and the prediction over the
    image; <id>.evidence.png the evidence for each class, if the network has a layer to take it from; <id>.critic.png
    the discriminator's scores of the prediction, if there is a `score_map` that takes whole images. All methods of a
    benchmark show the same images. Leaves the network in evaluation mode.
    """
    network.eval()
    chosen = choose_evenly(len(resident), protocol.keep.samples)
    if chosen:
        folder.mkdir(parents=True, exist_ok=True)
    for index in chosen:
        image, name = resident.image(index), file_name(resident.ids[index])
        prediction = predict_image(network, image, resident.white, protocol)
        pixels, labels, truth = image.cpu().numpy(), prediction.labels, resident.labels(index).cpu().numpy()
        label_map(labels, dataset.palette, dataset.ignore_index).save(folder / f"{name}.png")
        Image.fromarray(panel(pixels, truth, labels, dataset.palette)).save(folder / f"{name}.panel.png")
        classes, palette = dataset.classes, dataset.palette
        draw_evidence = partial(evidence_picture, network, prediction, pixels, classes, palette)
        _save_if_possible(folder / f"{name}.evidence.png", draw_evidence, resident.device)
        if score_map is not None:
            draw_scores = partial(discriminator_picture, score_map, score_boundary, prediction, pixels, palette)
            _save_if_possible(folder / f"{name}.critic.png", draw_scores, resident.device)


def _save_if_possible(path: Path, draw: Callable[[], Picture | None], device: torch.device) -> None:
    """Save the picture that `draw` returns, if it returns one; an error leaves the cell without it.

    A picture may need more memory than the evaluation did, and a discriminator may take nothing but crops.
    """
    with suppress(SegbenchError), name_memory_errors(device):
        picture = draw()
        if picture is not None:
            Image.fromarray(picture).save(path)


def file_name(sample_id: str) -> str:
    """Return an id as a file name; what a name cannot hold is percent-encoded.

    >>> file_name("aachen/000 1")
    'aachen%2F000 1'
    """
    return quote(sample_id, safe=" ")
