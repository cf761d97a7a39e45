"""Methods as they are timed, by the images a second of their blocks."""

from __future__ import annotations

from segbench.report.ranking.timings import MethodSpeed
from segbench.store.record import DeviceState, Inference, Latency, Timing

QUIET = DeviceState(load=0.1)
UNET = [100.0, 90.0, 110.0, 95.0]
FCN = [205.0, 178.0, 219.0, 191.0]


def row(blocks, stage="forward", batch=1, n=200, p99=None, size=(32, 48), budget="full"):
    latency = Latency(p50=5.0, p95=6.0, n=n, p99=p99)
    speed = sum(blocks) / len(blocks)
    return Inference(
        stage=stage, batch=batch, size=size, images_per_second=speed, latency_ms=latency, budget=budget, blocks=blocks
    )


def timing(**changes):
    usual = {
        "session": "one",
        "rivals": ["unet", "fcn"],
        "threads": 2,
        "steady": True,
        "before": QUIET,
        "after": QUIET,
    }
    return Timing(**{**usual, **changes})


def timed(method, *rows, **changes):
    return MethodSpeed(method, rows, timing(**changes))


def cells(table):
    """The cells of a table by method and header."""
    return {line[0]: dict(zip(table.headers, line, strict=True)) for line in table.rows}
