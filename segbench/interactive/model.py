"""The network of a recorded cell as a module of torch."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segbench.engine.prediction.model import LabelModel


def load_model(cell: str | Path, *, results: str | Path = "results", device: str = "cpu") -> LabelModel:
    """Return the network of a recorded cell as a torch.nn.Module that takes images and gives labels.

    `cell` is what `segbench predict` takes: a key, the beginning of one, a record's path, or such as "unet@latest". The
    module takes (N, C, H, W), uint8 or uint16, and returns int64 (N, H, W), ids of its `classes`. The process keeps its
    settings: on a GPU torch lets convolutions round to TF32, a cell only where its protocol says so. Warns of what
    has changed since the cell was trained; raises RecordError if there is no such network.
    """
    from segbench.engine.device import resolve_device
    from segbench.engine.prediction.model import LabelModel
    from segbench.engine.recorded import load_segmenter
    from segbench.report.selection import find_cell_record

    recorded = load_segmenter(find_cell_record(str(cell), Path(results)), resolve_device(device))
    for warning in recorded.warnings:
        warnings.warn(warning, stacklevel=2)
    return LabelModel(recorded)
