"""Measured speeds of methods as texts of table cells, their ratios, and warnings of what disturbed the timing."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from segbench.config.timing import ADAPTIVE_PRECISION
from segbench.report.numbers import MISSING, plural, significant
from segbench.stats.timing import ratio, throughput_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from segbench.stats.summary import Interval
    from segbench.stats.timing import Ratio
    from segbench.store.record import DeviceState, Inference, Stage, SweepPoint, Timing


# In the order in which each holds the one before, with the header of its column.
STAGES: dict[Stage, str] = {"forward": "forward", "argmax": "+ argmax", "loading": "+ loading"}


TIMING_EXPLANATION = (
    "Forward: images a second [95 % interval of this session] of the network alone; + argmax: with resizing and "
    "argmax; + loading: with reading and decoding the images too. Milliseconds a batch over (n) iterations. Blocks "
    "of the methods were interleaved; ratios are of the network alone, paired round by round."
)


# What NVML calls reasons though nothing slows the device down.
HARMLESS_THROTTLE_REASONS = frozenset({"gpu idle", "applications clocks setting"})


class MethodSpeed(NamedTuple):
    """A method, its rows of timing, and how they were taken; None in old records, which do not say so."""

    method: str
    inference: tuple[Inference, ...]
    timing: Timing | None

    def row(self, stage: Stage, batch: int) -> Inference | None:
        """Return the row of a stage at a batch size."""
        return next((row for row in self.inference if (row.stage, row.batch) == (stage, batch)), None)


def speed_interval(row: Inference) -> Interval | None:
    """Return the 95 % interval of a row's images a second; None with fewer than 3 blocks."""
    return throughput_interval(row.blocks)


def speed_ratio(one: MethodSpeed, other: MethodSpeed, stage: Stage, batch: int) -> Ratio | None:
    """Return how many times as fast one method is as another; None unless their blocks were interleaved."""
    mine, theirs = one.row(stage, batch), other.row(stage, batch)
    if mine is None or theirs is None or one.timing is None or other.timing is None:
        return None
    if one.timing.session != other.timing.session or mine.size != theirs.size:
        return None
    return ratio(mine.blocks, theirs.blocks)


def best_batch(one: MethodSpeed) -> SweepPoint | None:
    """Return the point of the sweep with the most images a second."""
    points = one.timing.sweep if one.timing else []
    return max(points, key=lambda point: point.images_per_second, default=None)


def speed_text(row: Inference | None) -> str:
    """Return images a second with their interval, such as "123 [121, 125]"."""
    return MISSING if row is None else with_interval(row.images_per_second, speed_interval(row))


def latency_text(row: Inference | None) -> str:
    """Return p50 / p95 and n, with p99 between where there are enough iterations for it."""
    if row is None:
        return MISSING
    latency = row.latency_ms
    percentiles = [latency.p50, latency.p95, *([] if latency.p99 is None else [latency.p99])]
    return f"{' / '.join(map(significant, percentiles))} ({latency.n})"


def best_batch_text(one: MethodSpeed) -> str:
    """Return the best batch size and its images a second, such as "32 (1520)"."""
    point = best_batch(one)
    return MISSING if point is None else f"{point.batch} ({significant(point.images_per_second)})"


def ratio_text(found: Ratio | None) -> str:
    """Return a ratio with its interval, such as "1.32 [1.30, 1.34]", if it was measured well enough."""
    if found is None:
        return MISSING
    return with_interval(found.estimate, found.interval) if found.is_measured else "not measured well enough"


def steady_text(one: MethodSpeed) -> str:
    """Tell whether the warm-up ended with a steady speed."""
    return MISSING if one.timing is None else "yes" if one.timing.steady else "no"


def with_interval(value: float, bounds: tuple[float, float] | None) -> str:
    """Return a number with its bounds, if there are any.

    >>> with_interval(123.4, (121.0, 125.25)), with_interval(1.5, None)
    ('123 [121, 125]', '1.50')
    """
    return significant(value) + (f" [{significant(bounds[0])}, {significant(bounds[1])}]" if bounds else "")


def state_text(state: DeviceState) -> str:
    """Return what is known of the device and the machine at one moment, in one line."""
    parts = [
        *([] if state.load is None else [f"load {state.load:.2f}"]),
        *([] if state.clock_mhz is None else [f"clock {state.clock_mhz:.0f} MHz"]),
        *([] if state.temperature_celsius is None else [f"{state.temperature_celsius:.0f} °C"]),
        *([] if state.throttle_reasons is None else [_throttle_text(slowing_reasons(state))]),
        *([] if state.other_processes is None else [_others_text(state.other_processes)]),
    ]
    return ", ".join(parts) or "state unknown"


def slowing_reasons(state: DeviceState) -> list[str]:
    """Return the reasons for which the device slows its clock; that it has nothing to do is none."""
    return [reason for reason in state.throttle_reasons or [] if reason not in HARMLESS_THROTTLE_REASONS]


def timing_warnings(methods: Sequence[MethodSpeed]) -> list[str]:
    """Return what could make the times of methods wrong: other work, a clock that was slowed, unsteady warm-ups."""
    timings = [one.timing for one in methods if one.timing is not None]
    return [
        *_other_work(timings),
        *_throttling(timings),
        *_load(timings),
        *_unsteady(methods),
        *_apart(methods),
        *_imprecise(methods),
    ]


def _other_work(timings: Iterable[Timing]) -> Iterable[str]:
    most = max((state.other_processes or 0 for timing in timings for state in _states(timing)), default=0)
    if most:
        yield f"{_others_text(most)} computed on the device; times are too long, and not equally so for all"


def _throttling(timings: Iterable[Timing]) -> Iterable[str]:
    reasons = {reason for timing in timings for state in _states(timing) for reason in slowing_reasons(state)}
    if reasons:
        yield f"the device slowed its clock: {', '.join(sorted(reasons))}"


def _load(timings: Iterable[Timing]) -> Iterable[str]:
    """Warn of a load that the timing itself cannot have caused: before it any above its threads, after it one more."""
    before = [(timing.before.load, timing.threads, "before") for timing in timings]
    after = [(timing.after.load, timing.threads + 1, "after") for timing in timings]
    over = [(load, threads, when) for load, threads, when in before + after if load is not None and load > threads]
    if over:
        load, threads, when = max(over)
        threads -= when == "after"
        yield (
            f"a load of {load:.1f} {when} timing is more than its {plural(threads, 'thread')}: other work "
            "shared the processor"
        )


def _unsteady(methods: Sequence[MethodSpeed]) -> Iterable[str]:
    names = [one.method for one in methods if one.timing is not None and not one.timing.steady]
    if names:
        yield f"never steady in warm-up: {', '.join(names)}; something disturbed it, or the budget is too small"


def _apart(methods: Sequence[MethodSpeed]) -> Iterable[str]:
    """Warn of methods that have no ratio because they were timed at another time."""
    sessions = [one.timing.session for one in methods if one.timing is not None]
    names = [one.method for one in methods if one.timing is not None and one.timing.session != sessions[0]]
    if names:
        yield f"not timed in one session with {methods[0].method}, so without a ratio: {', '.join(names)}"


def _imprecise(methods: Sequence[MethodSpeed]) -> Iterable[str]:
    """Warn of ratios to the first method that were not known within 2 % when the time of an adaptive budget was up."""
    rows = [(one, row) for one in methods[1:] for row in one.inference if row.budget == "adaptive"]
    worst: dict[str, float] = defaultdict(float)
    for one, row in rows:
        found = speed_ratio(one, methods[0], row.stage, row.batch)
        if found is not None and not found.is_within(ADAPTIVE_PRECISION):
            worst[one.method] = max(worst[one.method], found.high / found.estimate - 1)
    if worst:
        known = ", ".join(f"{method} ±{100 * share:.0f} %" for method, share in worst.items())
        yield (
            f"the time was up before ratios to {methods[0].method} were known within 2 %: {known}; "
            "`timing: full` measures longer"
        )


def _states(timing: Timing) -> tuple[DeviceState, DeviceState]:
    return timing.before, timing.after


def _throttle_text(reasons: Sequence[str]) -> str:
    return f"clock slowed by {', '.join(reasons)}" if reasons else "clock not slowed"


def _others_text(number: int) -> str:
    return f"{number} other process{'es' * (number != 1)}"
