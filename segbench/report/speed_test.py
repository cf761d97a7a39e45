"""The result of `segbench time`: its JSON, its tables, and the comparison with the JSON of a former run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench.config.timing import Runtime
from segbench.errors import RecordError
from segbench.report.formats.terminal import terminal_lines, terminal_table
from segbench.report.ranking.timings import (
    STAGES,
    TIMING_EXPLANATION,
    MethodSpeed,
    best_batch,
    best_batch_text,
    latency_text,
    ratio_text,
    speed_interval,
    speed_ratio,
    speed_text,
    state_text,
    steady_text,
    with_interval,
)
from segbench.store.json_file import read_model
from segbench.store.record import Inference, Part, Stage, StageInFiles, SweepPoint, Timing

from .numbers import MISSING, Column, Table, build_table, plural, significant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from segbench.config.recipe import ComponentUse


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
    """One method: how it was given, the generator that was built, its speeds, and how they were taken."""

    method: str
    generator: dict[str, Any]
    inference: list[Speed]
    timing: Timing
    best_batch: SweepPoint | None
    inference_peak_bytes: int | None
    runtime: Runtime = "torch"


class SpeedConditions(Part):
    """The conditions, other than the method, on which speeds depend; runs that differ in them are not compared."""

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
    stage: StageInFiles
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
    """The result of one run of `segbench time`.

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
    return read_model(path, Speeds, "is not what `segbench time -o FILE` writes")


def check_same_conditions(former: SpeedConditions, now: SpeedConditions, path: Path) -> None:
    """Raise RecordError naming what differs between the conditions of a former run and of this one."""
    before, after = former.model_dump(), now.model_dump()
    differing = [f"{name} ({before[name]} then, {after[name]} now)" for name in after if before[name] != after[name]]
    if differing:
        raise RecordError(
            f"--against {path}: it was timed under other conditions: {', '.join(differing)}; speeds under different "
            "conditions are not comparable"
        )


def build_timed_method(
    one: MethodSpeed,
    first: MethodSpeed,
    generator: ComponentUse,
    peak_bytes: int | None,
    runtime: Runtime = "torch",
) -> TimedMethod:
    """Return a method with the intervals of its speeds and their ratios to the first one's."""
    assert one.timing is not None, "a method of this session has its timing"
    return TimedMethod(
        method=one.method,
        generator=generator.model_dump(mode="json"),
        inference=[_speed(row, one, first) for row in one.inference],
        timing=one.timing,
        best_batch=best_batch(one),
        inference_peak_bytes=peak_bytes,
        runtime=runtime,
    )


def put_side_by_side(then: Speeds, now: Speeds) -> list[SideBySide]:
    """Return the speeds that two runs have in common, in the order of this one."""
    former = {(one.method, row.stage, row.batch): row for one in then.methods for row in one.inference}
    return [
        _beside(one.method, former[key], row)
        for one in now.methods
        for row in one.inference
        if (key := (one.method, row.stage, row.batch)) in former
    ]


def _speed(row: Inference, one: MethodSpeed, first: MethodSpeed) -> Speed:
    ratio = None if one is first else speed_ratio(one, first, row.stage, row.batch)
    found = None if ratio is None else SpeedRatio(estimate=ratio.estimate, interval=ratio.interval)
    return Speed(**dict(row), interval=speed_interval(row), ratio=found)


def _beside(method: str, then: Speed, now: Speed) -> SideBySide:
    return SideBySide(
        method=method,
        stage=now.stage,
        batch=now.batch,
        then=then.images_per_second,
        then_interval=then.interval,
        now=now.images_per_second,
        now_interval=now.interval,
        overlap=_overlap(then.interval, now.interval),
        then_ratio=then.ratio,
        now_ratio=now.ratio,
        ratio_overlap=_overlap(_bounds(then.ratio), _bounds(now.ratio)),
    )


def _overlap(one: Bounds | None, other: Bounds | None) -> bool | None:
    """Tell whether two intervals have a point in common; None where one of them is missing.

    >>> _overlap((1, 2), (2, 3)), _overlap((1, 2), (2.5, 3)), _overlap(None, (1, 2))
    (True, False, None)
    """
    if one is None or other is None:
        return None
    return one[0] <= other[1] and other[0] <= one[1]


def _bounds(ratio: SpeedRatio | None) -> Bounds | None:
    return None if ratio is None else ratio.interval


def speed_table(methods: Sequence[MethodSpeed], batch: int) -> Table:
    """Return the speeds of methods at a batch size, each compared with the first one."""
    first = methods[0]
    stages = [stage for stage in STAGES if any(one.row(stage, batch) for one in methods)]
    columns: list[Column[MethodSpeed]] = [
        Column("method", lambda one: one.method),
        *(Column(f"{STAGES[stage]}\n[images/s]", _speed_cell(stage, batch)) for stage in stages),
        Column(_latency_header(methods, batch), lambda one: latency_text(one.row("forward", batch))),
        Column("best batch\n(images/s)", best_batch_text),
        Column(f"times as fast as\n{first.method}", lambda one: _times_as_fast(one, first, batch)),
        Column("steady", steady_text),
    ]
    return build_table(columns, methods, f"batch {batch}")


def as_text(speeds: Speeds, width: int | None = None) -> str:
    """Return tables for a terminal: one for each batch size, then this run beside a former one."""
    methods = [MethodSpeed(one.method, tuple(one.inference), one.timing) for one in speeds.methods]
    batches = sorted({row.batch for one in methods for row in one.inference})
    tables = [speed_table(methods, batch) for batch in batches]
    tables += [_resources(speeds.methods)] if speeds.methods else []
    tables += [_against(speeds.against)] if speeds.against else []
    parts = [terminal_lines(_heading(speeds), width), *(terminal_table(table, width) for table in tables)]
    notes = [TIMING_EXPLANATION, *speeds.remarks, *_nothing_beside(speeds)]
    notes += [f"not timed: {method}: {cause}" for method, cause in speeds.failures.items()]
    notes += [f"warning: {warning}" for warning in speeds.warnings]
    return "\n\n".join([*parts, terminal_lines(notes, width)])


def _speed_cell(stage: Stage, batch: int) -> Callable[[MethodSpeed], str]:
    return lambda one: speed_text(one.row(stage, batch))


def _latency_header(methods: Sequence[MethodSpeed], batch: int) -> str:
    rows = [row for one in methods if (row := one.row("forward", batch)) is not None]
    p99 = " [/ p99]" if any(row.latency_ms.p99 is not None for row in rows) else ""
    return f"forward [ms]\np50 / p95{p99} (n)"


def _times_as_fast(one: MethodSpeed, first: MethodSpeed, batch: int) -> str:
    if one is first:
        return "1" if one.row("forward", batch) else MISSING
    return ratio_text(speed_ratio(one, first, "forward", batch))


def _heading(speeds: Speeds) -> list[str]:
    timings = [one.timing for one in speeds.methods]
    budget = speeds.budget
    reduced = any(row.budget == "reduced" for one in speeds.methods for row in one.inference)
    lines = [
        f"{plural(len(timings), 'method')} timed in one session, as for {speeds.dataset} "
        f"({speeds.conditions.classes} classes, {speeds.conditions.channels} channels), untrained",
        _conditions_text(speeds.conditions),
        f"each stage: {budget.iterations} iterations and {budget.seconds:g} s, at most {budget.max_seconds:g} s"
        + (" (reduced timing budget)" if reduced else ""),
    ]
    if timings:
        lines += [f"before: {state_text(timings[0].before)}", f"after:  {state_text(timings[-1].after)}"]
    return lines


def _conditions_text(conditions: SpeedConditions) -> str:
    height, width = conditions.size
    parts = [
        f"{conditions.device}: {conditions.device_name}",
        conditions.precision + (" with TF32" if conditions.tf32 else ""),
        f"{height}×{width}",
        plural(conditions.threads, "thread"),
        "compiled" if conditions.compile else "not compiled",
        *(["channels last"] if conditions.channels_last else []),
    ]
    return " · ".join(parts)


def _resources(methods: Sequence[TimedMethod]) -> Table:
    """Return the memory that inference takes, and the energy where the device counts it."""
    columns: list[Column[TimedMethod]] = [
        Column("method", lambda one: one.method),
        Column("peak\n[MiB]", lambda one: significant(one.inference_peak_bytes, 2**20)),
        *([Column("energy\n[J/image]", _energy)] if any(one.timing.energy for one in methods) else []),
    ]
    return build_table(columns, methods, "memory and energy" if len(columns) > 2 else "memory")


def _energy(one: TimedMethod) -> str:
    energy = one.timing.energy
    return MISSING if energy is None else f"{significant(energy.joules_per_image)} (batch {energy.batch})"


def _against(rows: Sequence[SideBySide]) -> Table:
    columns: list[Column[SideBySide]] = [
        Column("method", lambda row: row.method),
        Column("stage", lambda row: row.stage),
        Column("batch", lambda row: str(row.batch)),
        Column("then\n[images/s]", lambda row: with_interval(row.then, row.then_interval)),
        Column("now\n[images/s]", lambda row: with_interval(row.now, row.now_interval)),
        Column("overlap", lambda row: _yes_or_no(row.overlap)),
        Column("ratio\nthen", lambda row: _ratio(row.then_ratio)),
        Column("ratio\nnow", lambda row: _ratio(row.now_ratio)),
        Column("overlap", lambda row: _yes_or_no(row.ratio_overlap)),
    ]
    return build_table(columns, rows, "beside the former run: do the intervals overlap?")


def _ratio(found: SpeedRatio | None) -> str:
    return MISSING if found is None else with_interval(found.estimate, found.interval)


def _yes_or_no(answer: bool | None) -> str:
    return {True: "yes", False: "no", None: MISSING}[answer]


def _nothing_beside(speeds: Speeds) -> list[str]:
    """Say that no method of the former run is in this one."""
    return ["the former run has none of these methods at these batch sizes"] if speeds.against == [] else []
