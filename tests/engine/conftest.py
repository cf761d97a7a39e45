"""Small trainings on real tensors, for the tests of the engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from segbench import Dataset, Sample
from segbench.config.protocol import Budget, TrainingProtocol
from segbench.config.recipe import Adversarial
from segbench.engine.adversarial.adversary import Adversary
from segbench.engine.adversarial.pairing import discriminator_channels
from segbench.engine.cell import run_cell
from segbench.engine.data.batches import TrainingBatches
from segbench.engine.data.cache import pack
from segbench.engine.data.dataset import CellData, open_data
from segbench.engine.data.resident import ResidentSplit
from segbench.engine.job import CellJob
from segbench.engine.model.mapping import FieldForm, GeneratorMapping
from segbench.engine.model.network import Segmenter
from segbench.engine.numerics import choose_kernels, memory_format, tell_of_no_fixed_order
from segbench.engine.timing.parts import Turn
from segbench.engine.training.loop import Training
from segbench.execute.jobs import finished_record
from segbench.plan.plan import open_plan
from segbench.store.folder import ResultsFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from segbench.engine.timing.parts import Measured, Part, RowSoFar
    from segbench.plan.cell import Cell
    from segbench.registry import Registry
    from segbench.store.record import Record

CPU = torch.device("cpu")


class Recorder:
    """A channel that keeps its events, and asks to stop after so many calls of `stop_requested`."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._left = stop_after

    def emit(self, event: str, **fields: Any) -> None:
        self.events.append((event, fields))

    def stop_requested(self) -> bool:
        if self._left is None:
            return False
        self._left -= 1
        return self._left < 0

    def wait_for_turn(self, part: Part, measured: Measured | None, row: RowSoFar | None = None) -> Turn:
        """Be alone on the device: it is always this one's turn."""
        self.events.append(("turn", {"part": part, "measured": measured}))
        return Turn(0 if self.stop_requested() else 1)

    def of(self, event: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self.events if name == event]


def two_colours(count: int = 6, size: tuple[int, int] = (16, 20)) -> Dataset:
    """Images whose class is their brightness; the upper left pixel is ignored."""
    generator = np.random.default_rng(0)
    samples = []
    for index in range(count):
        labels = generator.integers(0, 2, size, dtype=np.uint8)
        image = np.repeat((labels * 200 + generator.integers(0, 50, size, dtype=np.uint8))[..., None], 3, axis=2)
        labels[0, 0] = 255
        samples.append(Sample(image.astype(np.uint8), labels, f"image {index}"))
    splits = {"train": samples, "val": samples[:2], "test": samples[:3]}
    return Dataset(("dark", "bright"), ((0, 0, 0), (255, 255, 255)), splits)


def small_network() -> torch.nn.Module:
    """Convolution, batch normalisation, dropout and a head: all that a checkpoint must not forget."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.2),
        torch.nn.Conv2d(8, 2, 1),
    )


def cross_entropy(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(output, target, ignore_index=255)


class NonSaturating:
    """The non-saturating loss (Goodfellow 2014) on raw scores."""

    boundary = 0.0

    def discriminator(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.softplus(-real) + torch.nn.functional.softplus(fake)

    def generator(self, fake: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.softplus(-fake)


def small_discriminator(in_channels: int) -> torch.nn.Module:
    """Patches of 4x4 pixels, with dropout, which draws random numbers, and batch normalisation, which keeps state."""
    torch.manual_seed(1)
    return torch.nn.Sequential(
        torch.nn.Conv2d(in_channels, 4, 4, stride=2, padding=1),
        torch.nn.BatchNorm2d(4),
        torch.nn.LeakyReLU(0.2),
        torch.nn.Dropout(0.2),
        torch.nn.Conv2d(4, 1, 3, padding=1),
    )


def crops(
    settings: TrainingProtocol, split: str = "train", stream: str = "", device: torch.device = CPU
) -> TrainingBatches:
    """Return batches of the images of two colours."""
    resident = ResidentSplit(pack(two_colours(), split, "two colours"), device)
    return TrainingBatches(
        resident,
        batch_size=settings.images_per_step if split == "train" else min(settings.batch_size, len(resident)),
        crop=settings.crop,
        augment=settings.augment,
        ignore_index=255,
        seed=3,
        memory_format=memory_format(settings.channels_last),
        stream=stream,
    )


def make_adversary(
    settings: TrainingProtocol,
    discriminator: torch.nn.Module | None = None,
    loss=None,
    penalty=None,
    device: torch.device = CPU,
    **recipe,
) -> Adversary:
    """Return an adversary of a segmenter of two colours."""
    adversarial = Adversarial(use="test/loss", **recipe)
    form = FieldForm(2, 255, two_colours().palette, adversarial.encoding, adversarial.conditional)
    channels = discriminator_channels("image -> labels", 3, form)
    network = (discriminator or small_discriminator(channels)).to(memory_format=memory_format(settings.channels_last))
    return Adversary(
        discriminator=network.train().to(device),
        loss=loss or NonSaturating(),
        penalty=penalty,
        recipe=adversarial,
        mapping=GeneratorMapping("image -> labels", form, 1),
        batches=crops(settings, stream="critic", device=device),
        validation=crops(settings, "val", stream="validation", device=device),
        device=device,
        precision=settings.precision,
    )


def make_training(
    network: torch.nn.Module | None = None,
    loss=cross_entropy,
    validate=None,
    adversary: dict[str, Any] | None = None,
    seed: int = 0,
    device: torch.device = CPU,
    **protocol: Any,
) -> Training:
    """Return a training of 6 images in batches of 2, 8x8 crops, as a new and equal one at every call.

    `adversary` are the arguments of `make_adversary`; without them there is no discriminator.
    """
    settings = TrainingProtocol(**{"budget": {"steps": 8}, "batch_size": 2, "crop": (8, 8), **protocol})
    torch.manual_seed(seed)
    segmenter = Segmenter(network or small_network(), 2).to(memory_format=memory_format(settings.channels_last))
    return Training(
        network=segmenter.to(device),
        mapping=GeneratorMapping("image -> labels", FieldForm(2, 255, two_colours().palette), 1),
        losses=[(1.0, loss)],
        batches=crops(settings, device=device),
        validate=validate or (lambda network, step: 0.5),
        protocol=settings,
        seed=3 + seed,
        device=device,
        adversary=None if adversary is None else make_adversary(settings, device=device, **adversary),
    )


@pytest.fixture
def device(request) -> Iterator[torch.device]:
    """The device of a test: that of ON_CPU_AND_GPU, else the CPU. A GPU adds in a fixed order, as the CPU does."""
    chosen = torch.device(getattr(request, "param", "cpu"))
    protocol = TrainingProtocol(budget=Budget(steps=1))
    if chosen.type == "cpu":
        yield chosen
        return
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    choose_kernels(protocol.model_copy(update={"deterministic": True}))
    with tell_of_no_fixed_order(Recorder()):
        yield chosen
    choose_kernels(protocol)


@pytest.fixture
def training(device):
    """The maker of small trainings, on the test's device."""
    return partial(make_training, device=device)


@pytest.fixture
def adversary():
    """The maker of adversaries."""
    return make_adversary


@pytest.fixture
def recorder():
    """The maker of channels."""
    return Recorder


@pytest.fixture
def dataset() -> Dataset:
    """Six images of two classes."""
    return two_colours()


@dataclass
class Planned:
    """The cells of a benchmark that is written in a test, and what becomes of them when they run in this process."""

    folder: Path
    registry: Registry
    cells: dict[str, Cell]
    records: dict[str, Record] = field(default_factory=dict)

    def data(self, name: str) -> CellData:
        """Return the data of a cell on the CPU."""
        return open_data(self.cells[name], self.registry, CPU)

    def job(self, name: str) -> CellJob:
        """Return the job of a cell, its upstream cells in folders beside its own."""
        cell, path = self.cells[name], ResultsFolder(self.folder, self.cells[name].benchmark).path
        (path / str(cell.key)).mkdir(parents=True, exist_ok=True)
        upstream = {reason: str(path / str(key)) for reason, key in cell.upstream.items()}
        return CellJob(cell=cell, folder=str(path / str(cell.key)), device="cpu", upstream=upstream)

    def run(self, *names: str) -> Planned:
        """Run cells, all of them if none is named, upstream first, and write their records."""
        for name in names or self.cells:
            result = run_cell(self.job(name), Recorder())
            self.records[name] = finished_record(self.cells[name], result, {})
            ResultsFolder(self.folder, self.cells[name].benchmark).write(self.records[name])
        return self

    def record_path(self, name: str) -> Path:
        """Return where the record of a cell lies; what it left is in the folder of the same name."""
        cell = self.cells[name]
        return ResultsFolder(self.folder, cell.benchmark).record_path(str(cell.key))

    def left(self, name: str) -> set[str]:
        """Return the names of the files that a cell left."""
        return {path.name for path in self.record_path(name).with_suffix("").iterdir()}


def plan_in(folder: Path, text: str, *changes: str) -> Planned:
    """Return the planned benchmark of a file; a cell is named by its method, or by "method subset" if it has one."""
    path = folder / "benchmark.yaml"
    path.write_text(text)
    opened = open_plan(str(path), sets=changes, threads=1)
    cells = opened.cells
    names = {cell.method.name if cell.subset == "all" else f"{cell.method.name} {cell.subset}": cell for cell in cells}
    return Planned(folder / "results", opened.registry, names)


@pytest.fixture
def planned(tmp_path):
    """The maker of planned benchmarks; see `plan_in`."""
    return partial(plan_in, tmp_path)


@pytest.fixture(scope="module")
def planned_once(tmp_path_factory):
    """The maker of planned benchmarks that all tests of a module share, one for each text and changes."""

    @cache
    def make(text: str, *changes: str) -> Planned:
        return plan_in(tmp_path_factory.mktemp("planned"), text, *changes)

    return make
