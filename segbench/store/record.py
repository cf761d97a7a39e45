"""The record of a cell, a JSON file whose fields are stable: tests/store/test_record.py lists them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    model_serializer,
)

SCHEMA = 1
# What names an attempt at a cell: its number among those in the folder, and what no other one anywhere has.
ATTEMPT = "[0-9]{1,9}-[0-9a-f]{16}"
Stage = Literal["forward", "argmax", "loading"]


def stage_in_files(stage: Stage) -> str:
    """Return the name of a stage in records and in JSON: "argmax" is "labels" there, as in older versions."""
    return "labels" if stage == "argmax" else stage


def _read_stage(name: Any) -> Any:
    return "argmax" if name == "labels" else name


TimingBudget = Literal["reduced", "adaptive", "full"]  # the later, the more was measured
StageInFiles = Annotated[Stage, BeforeValidator(_read_stage), PlainSerializer(stage_in_files)]
Status = Literal["ok", "failed", "skipped", "interrupted"]
HealthVerdict = Literal["healthy", "inert", "saturated", "oscillating", "collapsed", "diverged", "unknown"]


class Part(BaseModel):
    """A part of a record; numbers that are missing are null, never NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Scores(Part):
    """Scores of a split, from the counts of its images; `Record.definitions` names the definition of each.

    All but three lie in [0, 1]: `nll` is in nats a pixel, `brier` in [0, 2], `hd95` in pixels. Those of calibration
    (`ece`, `nll`, `brier`) are null for label maps, the surface distances where the protocol does not ask for them.
    """

    miou: float | None
    pixel_accuracy: float | None
    mean_accuracy: float | None
    fwiou: float | None
    dice: float | None
    per_image_miou: float | None = None
    boundary_iou: float | None = None
    boundary_f1: float | None = None
    ece: float | None = None
    nll: float | None = None
    brier: float | None = None
    hd95: float | None = None
    surface_dice: float | None = None


class PerClass(Part):
    """Scores by class, in class order; null where the class occurs in neither truth nor prediction."""

    iou: list[float | None]
    boundary_iou: list[float | None] | None = None
    boundary_f1: list[float | None] | None = None


class Evaluated(Part):
    """Which split was scored, how many images it holds, and the names of its classes in the order of their ids.

    `also_in_train` is how many of the images are in the train split too; null where it was not counted.
    """

    split: str
    images: int
    classes: list[str] | None = None
    also_in_train: int | None = None


# Of `Train.capture`: the generator's passes were CUDA graphs.
CAPTURED = "captured"


class Train(Part):
    """Optimiser steps, seconds of training, and images a second after warm-up.

    `shares` are those of data, generator and discriminator in the time after warm-up; `seconds_to_best` the seconds of
    training until the best validation on val. Null where nothing was measured. `class_weights` are those that losses
    have by name ("median_frequency"), in class order; null where none has. `capture` is "captured", or why the
    generator's passes were no CUDA graphs where `protocol.capture` asked for these; null where it did not.
    """

    steps: int
    seconds: float
    images_per_second: float | None
    shares: dict[str, float] | None = None
    seconds_to_best: float | None = None
    class_weights: dict[str, list[float]] | None = None
    capture: str | None = None


class Latency(Part):
    """Milliseconds a batch: median, 95th and 99th percentile over n iterations; the last is null below n = 1000."""

    p50: float
    p95: float
    n: int
    p99: float | None = None


class Inference(Part):
    """One row of inference timing; `size` is [height, width] in pixels before `protocol.resize`.

    Each stage holds the one before: "forward" is the network alone, "argmax" also resizes and takes the argmax,
    "loading" also reads and decodes the images and brings them to the device. `blocks` are the images a second of each
    block; the methods of a `Timing.session` take turns, a block each in every round. `budget` is "full", "adaptive" or
    "reduced".
    """

    stage: StageInFiles
    batch: int
    size: tuple[int, int]
    images_per_second: float
    latency_ms: Latency
    budget: TimingBudget
    blocks: list[float] = []


class SweepPoint(Part):
    """Images a second of the forward pass at one batch size, from the search for the fastest one."""

    batch: int
    images_per_second: float


class DeviceState(Part):
    """The state of the device and of the machine, which could explain a time; null where it is unknown.

    `throttle_reasons` are NVML's names for what slows the clock now, `other_processes` the number of other processes
    that compute on the device, `load` the mean number of runnable processes of the machine over the last minute.
    """

    clock_mhz: float | None = None
    temperature_celsius: float | None = None
    throttle_reasons: list[str] | None = None
    other_processes: int | None = None
    load: float | None = None


class Energy(Part):
    """Energy of the forward pass as the device counts it, over a window of at least 30 s at one batch size."""

    batch: int
    joules_per_image: float
    seconds: float


class Timing(Part):
    """How the rows of `Record.inference` were taken.

    The methods of one `session` were timed interleaved, block by block, so ratios between them hold. `rivals` are the
    names of its methods in the order of their blocks, `steady` is whether each warm-up ended before its time was up.
    """

    session: str
    rivals: list[str]
    threads: int
    steady: bool
    sweep: list[SweepPoint] = []
    before: DeviceState = DeviceState()
    after: DeviceState = DeviceState()
    energy: Energy | None = None


class Cost(Part):
    """What a method costs: FLOPs of one image of `flops_size` [height, width], bytes at the peak; null if unknown.

    The size is that before `protocol.resize`, where the network makes labels. Of a CUDA device, without a trace on the
    CPU: the most that torch reserved there in training, and what the dataset's pixels took, which counts in no peak; 0
    where they stayed on the host.
    """

    parameters: int | None
    flops: int | None
    flops_size: tuple[int, int] | None
    train_peak_bytes: int | None
    inference_peak_bytes: int | None
    train_reserved_bytes: int | None = Field(None, exclude_if=lambda value: value is None)
    resident_bytes: int | None = Field(None, exclude_if=lambda value: value is None)


class HealthPoint(Part):
    """Measurements of adversarial training at one step; null where they do not apply.

    `real`, `fake` and `validation` are the discriminator's mean scores of training reals, fakes and validation reals,
    the accuracies the share of each that it classifies correctly, a score at the threshold counting half. `ratio` and
    `cosine` compare the adversarial gradient at the generator's output, times its weight, with the supervised one; the
    three `_gradient` are norms, the discriminator's over its parameters. `overfit` is r_v of segbench/stats/health.py.
    `top_probability` and `entropy` [nats] are means over pixels of the predictions; `class_entropy` is the entropy of
    the histogram of predicted classes over that of the true ones, 0 if one class is predicted. `diversity` is the mean
    distance between generated images of a batch, each pixel in [-1, 1], `real_diversity` that between its real ones,
    `nearest` that from a generated image to the nearest of the training images compared (root mean square). `weight` is
    that of the adversarial gradient where it is set at each step; without a trace where it is not.
    """

    step: int
    real: float | None = None
    fake: float | None = None
    validation: float | None = None
    real_accuracy: float | None = None
    fake_accuracy: float | None = None
    validation_accuracy: float | None = None
    critic_loss: float | None = None
    generator_loss: float | None = None
    ratio: float | None = None
    cosine: float | None = None
    supervised_gradient: float | None = None
    adversarial_gradient: float | None = None
    critic_gradient: float | None = None
    top_probability: float | None = None
    entropy: float | None = None
    class_entropy: float | None = None
    overfit: float | None = None
    diversity: float | None = None
    real_diversity: float | None = None
    nearest: float | None = None
    weight: float | None = Field(None, exclude_if=lambda value: value is None)


class Health(Part):
    """The verdict on an adversarial cell, why, the numbers behind it, and its course.

    The rules are those of segbench/stats/health.py. `numbers` are means and medians over the last third of all points
    that were taken; `curve` holds at most 64 of them, the first and the last among these.
    """

    verdict: HealthVerdict
    reason: str
    numbers: dict[str, float | None]
    curve: list[HealthPoint]


class Generation(Part):
    """How well generated images match real ones of the evaluated split, by features that `features` names.

    `kid` is the kernel inception distance with its standard deviation over subsets (Binkowski 2018), `precision` and
    `recall` are those of k-nearest-neighbour manifolds (Kynkaanniemi 2019), `diversity` and `nearest` are as in
    `HealthPoint`, over all samples. Without a feature network `features` is "pixel statistics" and the distance is
    `pixel_statistics`, and `kid` is null.
    """

    features: str
    images: int
    kid: float | None = None
    kid_sd: float | None = None
    pixel_statistics: float | None = None
    precision: float | None = None
    recall: float | None = None
    diversity: float | None = None
    nearest: float | None = None


class Refinement(Part):
    """What a refiner did to the labelled pixels of its base's predictions: shares in [0, 1].

    `changed` of all, and of those changed `corrected` (wrong before, right now) and `spoilt` (right before, wrong now).
    """

    changed: float
    corrected: float | None
    spoilt: float | None


class Trial(Part):
    """One trial of tuning: the key and the settings it ran with, by dotted key, and its mIoU on the val split."""

    key: str
    settings: dict[str, Any]
    miou: float | None


class FromUpstream(Part):
    """What a cell took over from its upstream cells: its budget in seconds, its tuning trials, the best one's key."""

    seconds: float | None = None
    trials: list[Trial] = []
    winner: str | None = None


class Failure(Part):
    """Why a cell failed: the cause in one line, the plugin to blame if one is, and the traceback for --debug."""

    cause: str
    plugin: str | None = None
    traceback: str | None = None


class PluginFile(Part):
    """A file given with `--plugin` that offers a component; `copy_path` is relative to the folder of its cell."""

    plugin: str
    sha256: str
    copy_path: str


class Measurements(Part):
    """What running a cell measures: scores, training, cost.

    `definitions` maps each score to the id and version of its definition: "miou/union@1". `provenance` is what the
    generator says of the pretrained weights it started from, by name: tag, hash.
    """

    scores: Scores | None = None
    per_class: PerClass | None = None
    definitions: dict[str, str] = {}
    evaluated: Evaluated | None = None
    train: Train | None = None
    cost: Cost | None = None
    health: Health | None = None
    generation: Generation | None = None
    refinement: Refinement | None = None
    provenance: dict[str, str] = {}


# The order of fields in the file of a record; any others follow as they are declared.
_FIRST_FIELDS = (
    *("schema", "key", "benchmark", "dataset", "subset", "method", "seed", "status", "attempt"),
    *("scores", "per_class", "definitions", "evaluated", "settled", "train", "inference", "timing", "cost", "health"),
    *("generation", "refinement", "spec", "environment", "plugin_files", "provenance", "error"),
)


class Record(Measurements):
    """The record of one cell that has ended, with any status.

    `attempt` names the folder, within that of the cell, of what belongs to the record; without a trace in records of
    older versions, whose files lie in the folder of the cell itself.
    """

    schema_: int = SCHEMA
    key: str
    benchmark: str
    dataset: str
    subset: str
    method: str
    seed: int
    status: Status
    attempt: str | None = Field(None, pattern=f"^{ATTEMPT}$", exclude_if=lambda value: value is None)
    settled: FromUpstream | None = None
    inference: list[Inference] = []
    timing: Timing | None = None
    spec: dict[str, Any]
    environment: dict[str, Any]
    plugin_files: list[PluginFile] = []
    error: Failure | None = None

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        alias_generator=lambda field: field.removesuffix("_"),
        validate_by_name=True,
        serialize_by_alias=True,
    )

    @model_serializer(mode="wrap")
    def _in_order(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = serialize(self)
        return {name: fields[name] for name in (*_FIRST_FIELDS, *fields) if name in fields}
