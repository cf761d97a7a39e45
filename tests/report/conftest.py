"""Records as a run leaves them, built through the real models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from segbench.config.protocol import TrainingProtocol
from segbench.config.recipe import Adversarial, ComponentUse, DatasetUse, Method, WeightedLoss
from segbench.plan.cell import Cell
from segbench.report import TEXT_FORMATS, load
from segbench.report.formats.layout import lay_out_all
from segbench.stats.scores import iou, miou
from segbench.store.counts import Counts, write_counts
from segbench.store.folder import ResultsFolder
from segbench.store.record import (
    Cost,
    Evaluated,
    Failure,
    Generation,
    Health,
    Inference,
    Latency,
    PerClass,
    Record,
    Scores,
    Train,
)

if TYPE_CHECKING:
    from pathlib import Path

H200 = {
    "device": "cuda:0",
    "device_name": "NVIDIA H200",
    "cpu": "AMD EPYC 9554",
    "threads": 8,
    "torch": "2.15.0",
    "segbench": "0.1.0",
}
CPU = {
    "device": "cpu",
    "device_name": "AMD EPYC 9554",
    "cpu": "AMD EPYC 9554",
    "threads": 2,
    "torch": "2.15.0",
    "segbench": "0.1.0",
}
PROTOCOL: dict[str, Any] = {"budget": {"epochs": 200}, "batch_size": 8, "crop": (352, 480)}

MakeRecord = Callable[..., Record]


def _key(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _cell(method: str, seed: int, benchmark: str, dataset: str, **choices: Any) -> Cell:
    protocol = TrainingProtocol(**{**PROTOCOL, **choices.get("protocol", {})})
    recipe = Method(
        name=method,
        generator=ComponentUse(use=choices.get("generator", "smp/unet"), options=choices.get("options", {})),
        losses=(WeightedLoss(use="losses/cross_entropy"),),
        protocol=protocol,
        overrides=choices.get("overrides", ()),
        **choices.get("recipe", {}),
    )
    data = DatasetUse(use="data/camvid", root="/data/camvid", folds=choices.get("folds"))
    cell = Cell(benchmark=benchmark, dataset_name=dataset, dataset=data, method=recipe, seed=seed)
    fingerprint = choices.get("fingerprint", "3f2a9c10d4e5b6a7")
    filled = {"fingerprint": fingerprint, "subset": choices.get("subset", "all"), "sources": {"smp": "c0ffee"}}
    return cell.model_copy(update={**filled, "key": _key(method, seed, benchmark, dataset, sorted(choices.items()))})


def _timing(batch: int, milliseconds: float, budget: str = "full", size: tuple[int, int] = (360, 480)) -> Inference:
    latency = Latency(p50=milliseconds, p95=1.2 * milliseconds, n=200 if budget == "full" else 10)
    speed = 1000 * batch / milliseconds
    return Inference(
        stage="forward", batch=batch, size=size, images_per_second=speed, latency_ms=latency, budget=budget
    )


@pytest.fixture(scope="session")
def timing() -> Callable[..., Inference]:
    return _timing


@pytest.fixture(scope="session")
def trained() -> MakeRecord:
    """Make the record of a trained cell; `recipe` are further fields of its method, `fields` replace the record's."""

    def make(
        method: str = "unet",
        seed: int = 0,
        miou: float = 0.6,
        *,
        environment: dict[str, Any] = H200,
        benchmark: str = "camvid",
        dataset: str = "camvid",
        split: str = "test",
        inference: list[Inference] | None = None,
        fields: dict[str, Any] | None = None,
        **choices: Any,
    ) -> Record:
        cell = _cell(method, seed, benchmark, dataset, **choices)
        scores = Scores(miou=miou, pixel_accuracy=0.9, mean_accuracy=0.7, fwiou=0.8, dice=0.75)
        record = Record(
            key=cell.key or "",
            benchmark=benchmark,
            dataset=dataset,
            subset=cell.subset,
            method=method,
            seed=seed,
            status="ok",
            scores=scores,
            per_class=PerClass(iou=[0.9, 0.3, 0.6]),
            evaluated=Evaluated(split=split, images=233),
            train=Train(steps=9000, seconds=812.4, images_per_second=95.2),
            inference=[_timing(1, 4.0), _timing(8, 16.0)] if inference is None else inference,
            cost=Cost(
                parameters=14_328_209,
                flops=15_800_000_000,
                flops_size=(360, 480),
                train_peak_bytes=1_270_000_000,
                inference_peak_bytes=325_000_000,
            ),
            spec=cell.model_dump(mode="json", exclude={"dataset": {"root"}}),
            environment=environment,
        )
        return record.model_copy(update=fields or {})

    return make


@pytest.fixture(scope="session")
def adversarial(trained: MakeRecord) -> MakeRecord:
    """Make the record of a cell with a critic, whose twin is unet."""

    def make(
        method: str = "unet+critic", seed: int = 0, miou: float = 0.6, verdict: str = "healthy", **choices: Any
    ) -> Record:
        critic = {"discriminator": ComponentUse(use="gan/patchgan"), "adversarial": Adversarial(use="gan/hinge")}
        numbers = {"ratio": 0.1, "real_accuracy": 0.75, "fake_accuracy": 0.5, "validation_accuracy": None}
        health = Health(verdict=verdict, reason=f"it is {verdict}", numbers=numbers, curve=[])
        fields = {"health": health, "train": Train(steps=9000, seconds=1218.6, images_per_second=50.0)}
        choices["recipe"] = {**critic, "twin": "unet", **choices.get("recipe", {})}
        return trained(method, seed, miou, **{**choices, "fields": {**fields, **choices.get("fields", {})}})

    return make


@pytest.fixture(scope="session")
def generating(adversarial: MakeRecord) -> MakeRecord:
    """Make the record of a cell that generates images."""

    def make(method: str = "dcgan", seed: int = 0, kid: float | None = 0.02, **choices: Any) -> Record:
        generation = Generation(features="resnet18", images=100, kid=kid, precision=0.8, recall=0.4, diversity=0.5)
        fields = {"scores": None, "per_class": None, "generation": generation, **choices.pop("fields", {})}
        recipe = {"twin": None, "maps": "noise -> image"}
        return adversarial(method, seed, recipe=recipe, fields=fields, inference=[], **choices)

    return make


@pytest.fixture(scope="session")
def failed(trained: MakeRecord) -> MakeRecord:
    """Make the record of a cell without a result."""

    def make(method: str = "unet", seed: int = 0, status: str = "failed", **choices: Any) -> Record:
        error = Failure(cause="the loss is NaN at step 17", plugin="losses", traceback="Traceback ...")
        nothing = {"scores": None, "per_class": None, "evaluated": None, "train": None, "inference": [], "cost": None}
        return trained(method, seed, fields={**nothing, "status": status, "error": error}, **choices)

    return make


@pytest.fixture(scope="session")
def scored(trained: MakeRecord) -> MakeRecord:
    """Make the record of label maps that another tool made."""

    def make(method: str = "mmseg-pspnet", miou: float = 0.65, **choices: Any) -> Record:
        record = trained(method, 0, miou, **choices)
        fingerprint = record.spec["fingerprint"]
        spec = {"scored": True, "dataset": {"use": "data/camvid", "options": {}, "fingerprint": fingerprint}}
        nothing = {"train": None, "inference": [], "cost": None, "environment": {"segbench": "0.1.0"}}
        return record.model_copy(update={**nothing, "spec": spec})

    return make


@pytest.fixture(scope="session")
def counted() -> Callable[..., tuple[Record, Counts]]:
    """Give a record the mIoU of counts of two classes, of which a share of each image's pixels is right.

    `right` are these shares; the counts go beside the record when `results` writes it.
    """

    def make(record: Record, right: Sequence[float], **parts: Any) -> tuple[Record, Counts]:
        pixels = 1000
        hits = np.array([round(pixels * share) for share in right], dtype=np.int64)
        confusion = np.stack([[hits, pixels - hits], [pixels - hits, hits]]).transpose(2, 0, 1)
        ids = tuple(f"image {number:03}" for number in range(len(right)))
        counts = Counts(ids, "test", np.ascontiguousarray(confusion), **parts)
        total = confusion.sum(axis=0)
        measured = {
            "scores": record.scores.model_copy(update={"miou": miou(total)}),
            "per_class": PerClass(iou=iou(total).tolist()),
            "evaluated": record.evaluated.model_copy(update={"images": len(ids)}),
        }
        return record.model_copy(update=measured), counts

    return make


@pytest.fixture
def results(tmp_path: Path) -> Callable[..., Path]:
    """Write records, or records with their counts, into a results folder and return it."""

    def write(*cells: Record | tuple[Record, Counts], root: str = "results") -> Path:
        for cell in cells:
            record, counts = cell if isinstance(cell, tuple) else (cell, None)
            folder = ResultsFolder(tmp_path / root, record.benchmark)
            folder.write(record)
            if counts is not None:
                write_counts(folder.cell_folder(record.key), counts)
        return tmp_path / root

    return write


@pytest.fixture
def whole_text() -> Callable[..., str]:
    """Write the whole report of a folder in one of the formats for readers."""

    def write(folder: Path, format: str = "table") -> str:
        return TEXT_FORMATS[format](lay_out_all(load([folder])))

    return write
