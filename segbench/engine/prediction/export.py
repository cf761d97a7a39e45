"""Files of a recorded cell's network that need no segbench: a traced program of torch, ONNX, or its weights."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save

from segbench.engine.model.network import Decoded, Segmenter
from segbench.engine.recorded import load_segmenter, read_cell
from segbench.plan.machine import usable_cores
from segbench.registry.extras import require

from .model import LabelModel
from .parity import measure_parity, of_size, open_scored_split, require_any_size, require_parity
from .runtimes import open_onnxruntime, to_onnx
from .tracing import trace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from segbench.engine.recorded import RecordedNetwork
    from segbench.plan.cell import Cell

    from .parity import Label, Parity

    Size = tuple[int, int]


PROGRAMS = (".pt", ".pt2")
ONNX = ".onnx"
WEIGHTS = ".safetensors"
SUFFIXES = (*PROGRAMS, ONNX, WEIGHTS)
FACTS = "segbench.json"  # in a program


def export_model(path: Path, suffix: str, size: Size | None, root: str | None) -> tuple[bytes, Parity | None]:
    """Return the content of a file of one of the SUFFIXES for the network of a record, and how well it was checked.

    A program, or ONNX, takes what `LabelModel` takes, in fp32 on the CPU, of any size or of (height, width) alone; it
    is checked on the split that the cell was scored on, of the dataset in the folder `root`. Weights are not checked.
    Raises RecordError as `load_network` does and for a network that cannot be traced or is another one then, DataError
    if the data is not at hand, SegbenchError without what ONNX needs.
    """
    cell, recorded = read_cell(path), load_segmenter(path, torch.device("cpu"))
    facts = describe(cell, recorded)
    if suffix == WEIGHTS:
        return save(weights_of(recorded.network), facts), None
    if suffix == ONNX:
        require("onnx", "onnx", "onnxscript", "onnxruntime")
    packed = open_scored_split(cell, root)
    indices = of_size(packed, size)
    recorded = replace(recorded, protocol=recorded.protocol.model_copy(update={"precision": "fp32"}))
    first = packed.image(indices[0])
    program = trace(LabelModel(recorded), torch.from_numpy(first), size is not None)
    content, label = _as_onnx(program, facts) if suffix == ONNX else _as_program(program, facts)
    parity = measure_parity(label, recorded, packed, indices)
    require_parity(parity)
    if size is None:
        require_any_size(label, recorded, first)
    return content, parity


def _as_program(program: torch.export.ExportedProgram, facts: Mapping[str, str]) -> tuple[bytes, Label]:
    """Return the file of a program of torch, and what runs it."""
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={FACTS: json.dumps(facts)})
    file.seek(0)
    module = torch.export.load(file).module()

    def label(images: NDArray[Any]) -> NDArray[np.int64]:
        labels: NDArray[np.int64] = module(torch.from_numpy(images)).numpy()
        return labels

    return file.getvalue(), label


def _as_onnx(program: torch.export.ExportedProgram, facts: Mapping[str, str]) -> tuple[bytes, Label]:
    """Return the ONNX file of a program, and what runs it."""
    content = to_onnx(program, facts)
    return content, open_onnxruntime(content, usable_cores())


def describe(cell: Cell, recorded: RecordedNetwork) -> dict[str, str]:
    """Return what a file says of its network, texts by name; lists are JSON."""
    dataset = recorded.dataset
    return {
        "segbench": version("segbench"),
        "key": recorded.key,
        "benchmark": cell.benchmark,
        "dataset": cell.dataset_name,
        "method": cell.method.name,
        "seed": str(cell.seed),
        "generator": cell.method.generator.use,
        "options": json.dumps(cell.method.generator.options, default=str),
        "classes": json.dumps(dataset.classes),
        "palette": json.dumps(dataset.palette),
        "channels": str(dataset.channels),
        "normalisation": "2 * value / largest value - 1",
    }


def weights_of(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the weights of a segmenter by the names that its plugin's network has for them."""
    segmenter = network.generator if isinstance(network, Decoded) else network
    plain = segmenter.network if isinstance(segmenter, Segmenter) else segmenter
    return {name: tensor.contiguous().clone() for name, tensor in plain.state_dict().items()}
