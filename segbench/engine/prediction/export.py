"""Files of a recorded cell's network that need no segbench: a traced program of torch, or its weights."""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save

from segbench.engine.model.network import Decoded, Segmenter
from segbench.engine.recorded import load_segmenter, read_cell
from segbench.errors import RecordError

from .model import LabelModel
from .parity import measure_parity, of_size, open_scored_split, require_parity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from segbench.engine.recorded import RecordedNetwork
    from segbench.plan.cell import Cell

    from .parity import Parity

    Size = tuple[int, int]


PROGRAMS = (".pt", ".pt2")
WEIGHTS = ".safetensors"
SUFFIXES = (*PROGRAMS, WEIGHTS)
FACTS = "segbench.json"  # in a program

# More than one, or torch takes the number for a constant; odd, so that no rule for some sizes is taken for all.
_TRACED_IMAGES = 2
_TRACED_BEYOND = (1, 3)  # pixels


def export_model(path: Path, suffix: str, size: Size | None, root: str | None) -> tuple[bytes, Parity | None]:
    """Return the content of a file of one of the SUFFIXES for the network of a record, and how well it was checked.

    A program takes what `LabelModel` takes, in fp32 on the CPU, of any size or of (height, width) alone; it is checked
    on the split that the cell was scored on, of the dataset in the folder `root`. Weights are not checked. Raises
    RecordError as `load_network` does and for a network that cannot be traced or is another one then, DataError if the
    data is not at hand.
    """
    cell, recorded = read_cell(path), load_segmenter(path, torch.device("cpu"))
    facts = describe(cell, recorded)
    if suffix == WEIGHTS:
        return save(weights_of(recorded.network), facts), None
    packed = open_scored_split(cell, root)
    indices = of_size(packed, size)
    recorded = replace(recorded, protocol=recorded.protocol.model_copy(update={"precision": "fp32"}))
    program = trace(LabelModel(recorded), torch.from_numpy(packed.image(indices[0])), size is not None)
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={FACTS: json.dumps(facts)})
    content.seek(0)
    module = torch.export.load(content).module()

    def label(images: NDArray[Any]) -> NDArray[np.int64]:
        labels: NDArray[np.int64] = module(torch.from_numpy(images)).numpy()
        return labels

    parity = measure_parity(label, recorded, packed, indices)
    require_parity(parity)
    return content.getvalue(), parity


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


def trace(model: LabelModel, image: torch.Tensor, fixed: bool) -> torch.export.ExportedProgram:
    """Return a model as a program of torch for any number of images like one (C, H, W), of any size unless `fixed`.

    Raises RecordError that names the layer at which that fails.
    """
    height, width = image.shape[1:]
    beyond = (0, 0) if fixed else _TRACED_BEYOND
    images = image.new_zeros(_TRACED_IMAGES, len(image), height + beyond[0], width + beyond[1])
    free = torch.export.Dim.DYNAMIC
    dimensions = {0: free} if fixed else {0: free, 2: free, 3: free}
    with name_layer(model, fixed):
        return torch.export.export(
            model, (images,), dynamic_shapes=(dimensions,), prefer_deferred_runtime_asserts_over_guards=True
        )


@contextmanager
def name_layer(model: LabelModel, fixed: bool) -> Iterator[None]:
    """Turn any error into a RecordError that names the layer that ran then."""
    running: list[str] = []
    hooks = []
    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(partial(_enter, running, name)))
        hooks.append(module.register_forward_hook(partial(_leave, running)))
    try:
        yield
    except Exception as error:
        where = f" in layer {running[-1]!r}" if running and running[-1] else ""
        first = (str(error).strip() or "no further details").splitlines()[0]
        raise RecordError(
            f"the network cannot be traced{where}: {type(error).__name__}: {first}"
            + ("" if fixed else "; try it for images of one size, with --size HxW")
        ) from error
    finally:
        for hook in hooks:
            hook.remove()


def _enter(running: list[str], name: str, *_: Any) -> None:
    running.append(name)


def _leave(running: list[str], *_: Any) -> None:
    running.pop()
