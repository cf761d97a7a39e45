"""The record that a cell leaves: stable fields, guarded by a schema test."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

SCHEMA = 1

Status = Literal["ok", "failed", "skipped", "interrupted"]


class Part(BaseModel):
    """A part of a record; numbers that are missing are null, never NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Scores(Part):
    """Dataset-level scores in [0, 1], from one confusion matrix summed over the split."""

    miou: float | None
    pixel_accuracy: float | None
    mean_accuracy: float | None
    fwiou: float | None
    dice: float | None


class PerClass(Part):
    """Per-class IoU in class order; null where the class occurs in neither truth nor prediction."""

    iou: list[float | None]


class Evaluated(Part):
    """Which split was scored, and how many images it holds."""

    split: str
    images: int


class Train(Part):
    """Optimiser steps, seconds of training, and images a second after warm-up."""

    steps: int
    seconds: float
    images_per_second: float | None


class Latency(Part):
    """Milliseconds a batch: median and 95th percentile over n iterations."""

    p50: float
    p95: float
    n: int


class Inference(Part):
    """One row of inference timing; `size` is [height, width] in pixels, `budget` "full" or "reduced"."""

    stage: Literal["forward"]
    batch: int
    size: tuple[int, int]
    images_per_second: float
    latency_ms: Latency
    budget: Literal["full", "reduced"]


class Cost(Part):
    """What a method costs: FLOPs of one image at `flops_size` [height, width], bytes at the peak; null if unknown."""

    parameters: int | None
    flops: int | None
    flops_size: tuple[int, int] | None
    train_peak_bytes: int | None
    inference_peak_bytes: int | None


class Failure(Part):
    """Why a cell failed: the cause in one line, the plugin to blame if one is, and the traceback for --debug."""

    cause: str
    plugin: str | None = None
    traceback: str | None = None


class Record(Part):
    """One finished cell."""

    schema_: int = SCHEMA
    key: str
    benchmark: str
    dataset: str
    subset: str
    method: str
    seed: int
    status: Status
    scores: Scores | None = None
    per_class: PerClass | None = None
    evaluated: Evaluated | None = None
    train: Train | None = None
    inference: list[Inference] = []
    cost: Cost | None = None
    spec: dict[str, Any]
    environment: dict[str, Any]
    error: Failure | None = None

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        alias_generator=lambda field: field.removesuffix("_"),
        validate_by_name=True,
        serialize_by_alias=True,
    )
