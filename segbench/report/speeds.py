"""What `segbench time` shows: speeds by batch size, under which conditions, and beside a former run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.store.speeds import SideBySide, Speed, SpeedRatio, TimedMethod

from .numbers import MISSING, significant
from .table import Column, Table, table
from .text import terminal_table, wrapped
from .timings import (
    EXPLANATION,
    STAGES,
    Rival,
    best_batch,
    best_batch_text,
    bounded,
    interval,
    latency_text,
    ratio_text,
    ratio_to,
    speed_text,
    state_text,
    steady_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segbench.spec.recipe import ComponentUse
    from segbench.store.record import Inference, Stage
    from segbench.store.speeds import Bounds, SpeedConditions, Speeds


def timed_method(one: Rival, first: Rival, generator: ComponentUse, peak_bytes: int | None) -> TimedMethod:
    """Return a rival with the intervals of its speeds and their ratios to the first one's."""
    assert one.timing is not None, "a rival of this session says how it was timed"
    return TimedMethod(
        method=one.method,
        generator=generator.model_dump(mode="json"),
        inference=[_speed(row, one, first) for row in one.inference],
        timing=one.timing,
        best_batch=best_batch(one),
        inference_peak_bytes=peak_bytes,
    )


def side_by_side(then: Speeds, now: Speeds) -> list[SideBySide]:
    """Return the speeds that two runs have in common, in the order of this one."""
    former = {(one.method, row.stage, row.batch): row for one in then.methods for row in one.inference}
    return [
        _beside(one.method, former[key], row)
        for one in now.methods
        for row in one.inference
        if (key := (one.method, row.stage, row.batch)) in former
    ]


def speed_table(rivals: Sequence[Rival], batch: int) -> Table:
    """Return the speeds of rivals at a batch size, each compared with the first one."""
    first = rivals[0]
    stages = [stage for stage in STAGES if any(one.row(stage, batch) for one in rivals)]
    columns: list[Column[Rival]] = [
        Column("method", lambda one: one.method),
        *(Column(f"{STAGES[stage]}\n[images/s]", _speed_cell(stage, batch)) for stage in stages),
        Column(_latency_header(rivals, batch), lambda one: latency_text(one.row("forward", batch))),
        Column("best batch\n(images/s)", best_batch_text),
        Column(f"times as fast as\n{first.method}", lambda one: _times_as_fast(one, first, batch)),
        Column("steady", steady_text),
    ]
    return table(columns, rivals, f"batch {batch}")


def as_text(speeds: Speeds) -> str:
    """Return tables for a terminal: one for each batch size, then this run beside a former one."""
    rivals = [Rival(one.method, tuple(one.inference), one.timing) for one in speeds.methods]
    batches = sorted({row.batch for one in rivals for row in one.inference})
    tables = [speed_table(rivals, batch) for batch in batches]
    tables += [_resources(speeds.methods)] if speeds.methods else []
    tables += [_against(speeds.against)] if speeds.against else []
    parts = ["\n".join(_heading(speeds)), *map(terminal_table, tables)]
    notes = [EXPLANATION, *speeds.remarks, *_nothing_beside(speeds)]
    notes += [f"not timed: {method}: {cause}" for method, cause in speeds.failures.items()]
    notes += [f"warning: {warning}" for warning in speeds.warnings]
    return "\n\n".join([*parts, "\n".join(map(wrapped, notes))])


def _speed_cell(stage: Stage, batch: int) -> Callable[[Rival], str]:
    return lambda one: speed_text(one.row(stage, batch))


def _latency_header(rivals: Sequence[Rival], batch: int) -> str:
    rows = [row for one in rivals if (row := one.row("forward", batch)) is not None]
    p99 = " [/ p99]" if any(row.latency_ms.p99 is not None for row in rows) else ""
    return f"forward [ms]\np50 / p95{p99} (n)"


def _times_as_fast(one: Rival, first: Rival, batch: int) -> str:
    if one is first:
        return "1" if one.row("forward", batch) else MISSING
    return ratio_text(ratio_to(one, first, "forward", batch))


def _speed(row: Inference, one: Rival, first: Rival) -> Speed:
    ratio = None if one is first else ratio_to(one, first, row.stage, row.batch)
    found = None if ratio is None else SpeedRatio(estimate=ratio.estimate, interval=ratio.interval)
    return Speed(**dict(row), interval=interval(row), ratio=found)


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


def _heading(speeds: Speeds) -> list[str]:
    timings = [one.timing for one in speeds.methods]
    budget = speeds.budget
    reduced = any(row.budget == "reduced" for one in speeds.methods for row in one.inference)
    lines = [
        f"{len(timings)} method{'s' * (len(timings) != 1)} timed in turn, as for {speeds.dataset} "
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
        f"{conditions.threads} thread{'s' * (conditions.threads != 1)}",
        "compiled" if conditions.compile else "not compiled",
        *(["channels last"] if conditions.channels_last else []),
    ]
    return " · ".join(parts)


def _resources(methods: Sequence[TimedMethod]) -> Table:
    """Return what inference takes beside time; the energy where the device counts it."""
    columns: list[Column[TimedMethod]] = [
        Column("method", lambda one: one.method),
        Column("peak\n[MiB]", lambda one: significant(one.inference_peak_bytes, 2**20)),
        *([Column("energy\n[J/image]", _energy)] if any(one.timing.energy for one in methods) else []),
    ]
    return table(columns, methods, "memory and energy" if len(columns) > 2 else "memory")


def _energy(one: TimedMethod) -> str:
    energy = one.timing.energy
    return MISSING if energy is None else f"{significant(energy.joules_per_image)} (batch {energy.batch})"


def _against(rows: Sequence[SideBySide]) -> Table:
    columns: list[Column[SideBySide]] = [
        Column("method", lambda row: row.method),
        Column("stage", lambda row: row.stage),
        Column("batch", lambda row: str(row.batch)),
        Column("then\n[images/s]", lambda row: bounded(row.then, row.then_interval)),
        Column("now\n[images/s]", lambda row: bounded(row.now, row.now_interval)),
        Column("overlap", lambda row: _yes_or_no(row.overlap)),
        Column("ratio\nthen", lambda row: _ratio(row.then_ratio)),
        Column("ratio\nnow", lambda row: _ratio(row.now_ratio)),
        Column("overlap", lambda row: _yes_or_no(row.ratio_overlap)),
    ]
    return table(columns, rows, "beside the former run: do the intervals overlap?")


def _ratio(found: SpeedRatio | None) -> str:
    return MISSING if found is None else bounded(found.estimate, found.interval)


def _yes_or_no(answer: bool | None) -> str:
    return {True: "yes", False: "no", None: MISSING}[answer]


def _nothing_beside(speeds: Speeds) -> list[str]:
    """Say that no method of the former run is in this one."""
    return ["the former run has none of these methods at these batch sizes"] if speeds.against == [] else []
