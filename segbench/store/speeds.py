"""The JSON that `segbench time` writes, so that a later run can be laid beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench.errors import RecordError

from .record import Inference, Part, Stage, SweepPoint, Timing

if TYPE_CHECKING:
    from pathlib import Path

Bounds = tuple[float, float]

SPEEDS_SCHEMA = 1


class SpeedRatio(Part):
    """How many times as fast a method is as the first one, paired round by round, with its 95 % interval."""

    estimate: float
    interval: Bounds


class Speed(Inference):
    """A row of timing with the 95 % interval of its images a second and its ratio to the first method's."""

    interval: Bounds | None = None
    ratio: SpeedRatio | None = None


class TimedMethod(Part):
    """One rival: how it was given, the generator that was built, its speeds, and how they were taken."""

    method: str
    generator: dict[str, Any]
    inference: list[Speed]
    timing: Timing
    best_batch: SweepPoint | None
    inference_peak_bytes: int | None


class SpeedConditions(Part):
    """What speeds depend on beside the method; runs that differ in it are not laid beside each other."""

    classes: int
    channels: int
    size: tuple[int, int]
    device: str
    device_name: str
    precision: str
    tf32: bool
    channels_last: bool
    compile: bool
    threads: int


class SpeedBudget(Part):
    """How long each stage is timed at each batch size: so many iterations and seconds, but never longer than that."""

    iterations: int
    seconds: float
    max_seconds: float


class SideBySide(Part):
    """One speed of a former run and of this one; do their intervals overlap? None where one of them has none."""

    method: str
    stage: Stage
    batch: int
    then: float
    then_interval: Bounds | None
    now: float
    now_interval: Bounds | None
    overlap: bool | None
    then_ratio: SpeedRatio | None
    now_ratio: SpeedRatio | None
    ratio_overlap: bool | None


class Speeds(Part):
    """All that one run of `segbench time` has to tell.

    `failures` gives the cause for methods that could not be timed, `remarks` what was left out and why, `against` this
    run beside a former one, if it was asked for.
    """

    schema_: int = SPEEDS_SCHEMA
    segbench: str
    torch: str
    started: str
    dataset: str
    conditions: SpeedConditions
    budget: SpeedBudget
    methods: list[TimedMethod]
    failures: dict[str, str]
    warnings: list[str]
    remarks: list[str]
    against: list[SideBySide] | None = None

    model_config = Part.model_config | {
        "alias_generator": lambda field: field.removesuffix("_"),
        "validate_by_name": True,
        "serialize_by_alias": True,
    }


def read_speeds(path: Path) -> Speeds:
    """Read what `segbench time -o FILE` wrote; RecordError if it is not that."""
    from pydantic import ValidationError

    try:
        return Speeds.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RecordError(f"--against {path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its content"
        raise RecordError(
            f"--against {path}: it is not what `segbench time -o FILE` writes: {where}: {first['msg']}"
        ) from error


def check_same_conditions(former: SpeedConditions, now: SpeedConditions, path: Path) -> None:
    """Raise RecordError naming what differs between the conditions of a former run and of this one."""
    before, after = former.model_dump(), now.model_dump()
    differing = [f"{name} ({before[name]} then, {after[name]} now)" for name in after if before[name] != after[name]]
    if differing:
        raise RecordError(
            f"--against {path}: it was timed under other conditions: {', '.join(differing)}; speeds under different "
            "conditions are not comparable"
        )
