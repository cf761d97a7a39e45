"""A cell's network, ready to be timed in the three stages of inference.

"forward" is the network alone on images that are on the device, "argmax" also resizes to the size of the images, as
evaluation does, and takes the class of the largest logit, "loading" also reads and decodes the images from the dataset,
resizes them where the protocol asks for it, and copies them to the device.
"""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from segbench.engine.data.batches import normalise
from segbench.engine.data.dataset import common_size, open_data
from segbench.engine.data.resizing import resize_image
from segbench.engine.device import enter_device
from segbench.engine.evaluation.confusion import classify
from segbench.engine.evaluation.inference import score_pixels, see_views, window_slices
from segbench.engine.job import MODEL
from segbench.engine.model.build import as_segmenter, build_network, mapping_of
from segbench.engine.model.checkpoint import load_weights
from segbench.engine.model.mapping import inference_inputs
from segbench.engine.model.network import Decoded, Refined, Segmenter
from segbench.engine.numerics import apply_numeric_settings, autocast, memory_format
from segbench.engine.prediction.runtimes import OPENERS, to_onnx
from segbench.engine.prediction.tracing import trace_alone
from segbench.engine.training.setup import inference_size, training_size
from segbench.engine.training.upstream import load_segmenter
from segbench.registry import load_registry

from .measurement import make_stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segbench.config.protocol import TrainingProtocol
    from segbench.config.resize import Size
    from segbench.config.timing import Runtime
    from segbench.contract import Split
    from segbench.engine.data.dataset import CellData
    from segbench.engine.job import TimingJob
    from segbench.registry import Registry
    from segbench.store.record import Stage

    from .measurement import Stopwatch

    Network = Callable[..., torch.Tensor]
    Step = Callable[[], torch.Tensor]


class TimedNetwork:
    """The network of a cell on its device, and inputs of fixed shapes for it.

    Images are of the evaluated split's most frequent size, or of that which the job states, and resized as the protocol
    says: before the stage "forward", and in that of "loading". A generator of images is
    given labels or noise instead, at the size that it is trained for, and has the stage "forward" alone. The weights
    are those kept beside the record, if they are; speed does not depend on them.
    """

    def __init__(self, job: TimingJob) -> None:
        self._method = job.cell.method
        self.protocol = self._method.protocol
        apply_numeric_settings(self.protocol)
        self.device = enter_device(job.device)
        registry = load_registry()
        self._data = open_data(job.cell, registry, self.device)
        self._mapping = mapping_of(job.cell, self._data)
        self._network = load_trained_network(job, registry, self._data, self.device)
        self.size = job.size or inference_size(job.cell, self._data, self._mapping)
        self._runtime = job.runtime
        self.stages: tuple[Stage, ...] = ("forward",)
        if self._mapping.predicts_labels and job.runtime == "torch":
            self.stages = ("forward", "argmax") if job.size else ("forward", "argmax", "loading")
        self._batch = 0
        self._compiled: dict[str, Callable[..., torch.Tensor]] = {}

    def stopwatch(self, stage: Stage, batch: int) -> Stopwatch:
        """Return the stopwatch for a stage at a batch size, after all that happens only once, such as compilation."""
        if batch != self._batch:
            self.clear()
            self._batch = batch
        return make_stopwatch(self._step(stage, batch), self.device)

    def clear(self) -> None:
        """Free what belongs to one batch size: compiled code and memory kept for reuse."""
        if self._compiled:
            torch.compiler.reset()  # or the next batch size would run code compiled for any size
            self._compiled.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _step(self, stage: Stage, batch: int) -> Step:
        if stage == "loading":
            return loading_step(self._whole(), self._images(), batch, self.protocol)
        seen = self._method.input_size(self.size)
        inputs = inference_inputs(self._mapping, self._data.dataset.channels, batch, seen, self.device)
        if self._runtime != "torch":
            return runtime_step(self._runtime, network_alone(self._network), inputs)
        if stage == "argmax":
            return argmax_step(self._whole(), inputs[0], self.protocol, self.protocol.scored_size(self.size))
        # What makes images has neither windows nor views.
        whole = {} if self._mapping.predicts_labels else {"window": None, "tta": None}
        protocol = self.protocol.model_copy(update=whole)
        return forward_step(self._compile_if_asked("alone", network_alone(self._network)), inputs, protocol)

    def _whole(self) -> Callable[..., torch.Tensor]:
        return self._compile_if_asked("whole", self._network)

    def _compile_if_asked(self, name: str, network: torch.nn.Module) -> Callable[..., torch.Tensor]:
        """Return a network, compiled once a batch size where the protocol asks for it."""
        if not self.protocol.compile:
            return network
        if name not in self._compiled:
            self._compiled[name] = torch.compile(network)
        return self._compiled[name]

    def _images(self) -> ImageReader:
        split = self.protocol.evaluate
        packed = self._data.packed(split)
        size = common_size(packed)
        places = [place for place, found in enumerate(packed.sizes) if tuple(found) == size]
        dataset = self._data.dataset
        return ImageReader(dataset.splits[split], places, dataset.channels, self.device)


def load_trained_network(job: TimingJob, registry: Registry, data: CellData, device: torch.device) -> torch.nn.Module:
    """Build the network that the cell is evaluated with, in evaluation mode, with its weights if they were kept."""
    cell = job.cell
    network = build_network(cell, registry, data, training_size(cell, data), device)
    model = Path(job.folder) / MODEL
    if model.is_file():
        load_weights(network, model)
    base = load_segmenter(job.upstream["refines"], device) if cell.method.refines else None
    return as_segmenter(network, mapping_of(cell, data), base).eval()


class Unresized(nn.Module):
    """A segmenter whose logits are not resized to the size of the images."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Return the network's output at its own size."""
        return self.segmenter.forward_unresized(*inputs)


def network_alone(network: nn.Module) -> nn.Module:
    """Return a network without what comes after it: resizing of logits, decoding of colours to labels.

    Of a refiner behind its base only the refiner ends so: the base's logits are resized for it in any case.
    """
    match network:
        case Segmenter():
            return Unresized(network)
        case Refined():
            return Refined(network.base, network_alone(network.refiner))
        case Decoded():
            return network_alone(network.generator)
        case _:
            return network


def forward_step(network: Network, inputs: Sequence[torch.Tensor], protocol: TrainingProtocol) -> Step:
    """Return the stage "forward" of a network alone; `inputs` are what it takes, fields (N, C, H, W) or noise (N, Z).

    With a sliding window, or several views, it is applied to every window of every view of the first input.
    """
    first, *others = (_in_layout(tensor, protocol) for tensor in inputs)
    parts = [part for seen in _views(first, protocol) for part in _windows(seen, protocol)]

    def step() -> torch.Tensor:
        with torch.inference_mode(), autocast(first.device, protocol.precision):
            for part in parts:
                output = network(part, *others)
            return output

    return step


def runtime_step(runtime: Runtime, network: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Step:
    """Return the stage "forward" of a network alone in another runtime than torch, for images of this shape."""
    [images] = inputs
    run = OPENERS[runtime](to_onnx(trace_alone(network, inputs), {}), torch.get_num_threads())
    pixels = np.ascontiguousarray(images.numpy())
    return lambda: torch.from_numpy(run(pixels))


def _views(images: torch.Tensor, protocol: TrainingProtocol) -> list[torch.Tensor]:
    return [images] if protocol.tta is None else [seen for _, seen in see_views(images, protocol.tta)]


def _windows(images: torch.Tensor, protocol: TrainingProtocol) -> list[torch.Tensor]:
    if protocol.window is None:
        return [images]
    return [images[..., rows, columns] for rows, columns in window_slices(_size(images), protocol.window)]


def argmax_step(network: Network, images: torch.Tensor, protocol: TrainingProtocol, size: Size) -> Step:
    """Return the stage "argmax" of a segmenter for images (N, C, h, w) in [-1, 1] and label maps of a size."""
    images = _in_layout(images, protocol)
    return lambda: predict_labels(network, images, protocol, size)


def loading_step(network: Network, images: ImageReader, batch: int, protocol: TrainingProtocol) -> Step:
    """Return the stage "loading" of a segmenter, which reads other images in each iteration."""

    def step() -> torch.Tensor:
        seen, size = images.read(batch, protocol)
        return predict_labels(network, seen, protocol, protocol.scored_size(size))

    return step


def predict_labels(network: Network, images: torch.Tensor, protocol: TrainingProtocol, size: Size) -> torch.Tensor:
    """Return the classes (N, H, W) that evaluation would see in images, at a size (H, W)."""
    return classify(score_pixels(network, images, protocol, size))


class ImageReader:
    """Reads images of one size from a dataset, one after the other, again from the start after the last.

    `places` are those of the images to read. The dataset decodes the labels of each too: it returns both together.
    """

    def __init__(self, split: Split, places: Sequence[int], channels: int, device: torch.device) -> None:
        self._split, self._channels, self._device = split, channels, device
        self._places = cycle(places)

    def read(self, number: int, protocol: TrainingProtocol) -> tuple[torch.Tensor, Size]:
        """Return the next images (N, C, h, w) on the device, in [-1, 1], resized as the protocol says from a size."""
        pixels = np.stack([self._decoded(next(self._places)) for _ in range(number)])
        size = (pixels.shape[2], pixels.shape[3])
        if protocol.resize is not None:
            pixels = np.stack([resize_image(image, protocol.seen_size(size)) for image in pixels])
        white = np.iinfo(pixels.dtype).max
        images = torch.from_numpy(np.ascontiguousarray(pixels)).to(self._device)
        return normalise(images, int(white), memory_format(protocol.channels_last)), size

    def _decoded(self, place: int) -> np.ndarray[Any, Any]:
        image = self._split[place].image
        return image.reshape(*image.shape[:2], self._channels).transpose(2, 0, 1)


def _in_layout(tensor: torch.Tensor, protocol: TrainingProtocol) -> torch.Tensor:
    return tensor.to(memory_format=memory_format(protocol.channels_last)) if tensor.ndim == 4 else tensor


def _size(images: torch.Tensor) -> tuple[int, int]:
    height, width = images.shape[-2:]
    return height, width
