"""Methods that are timed interleaved without torch: each does what its name says and writes down each turn."""

import os
import signal
from pathlib import Path

from segbench.engine.timing.parts import Measured, RowSoFar, Work, row_part, sweep_part
from segbench.errors import OutOfMemoryError, PluginError
from segbench.store.record import DeviceState, Inference, Latency, SweepPoint

BLOCKS = {"quick": 2, "plain": 3}
MEDIAN_KNOWN_FROM = {"even": 1, "late_median": 8}  # blocks


def take_turns(job, channel):
    name = job.cell.method.name
    notes = Path(job.folder).parent / "turns"
    if name == "broken":
        raise PluginError("the network returns 2 channels for 3 classes")
    if name == "untimable":
        raise OutOfMemoryError("out of memory on cpu")

    if name in MEDIAN_KNOWN_FROM:
        return measure_until_known(name, channel)

    def turn(part, measured=None):
        methods = channel.wait_for_turn(part, measured).methods
        with notes.open("a") as file:
            file.write(f"{name} {part.work.name.lower() if measured is None else 'sweep'}\n")
        if name == "greedy" and methods > 1:
            raise OutOfMemoryError("out of memory on cpu")
        return methods

    channel.emit("stage", name="time forward")
    if not turn(row_part("forward", 1, Work.WARM_UP)):
        return None
    if name == "fragile":
        os.kill(os.getpid(), signal.SIGSEGV)
    for _ in range(BLOCKS.get(name, 3)):
        if not turn(row_part("forward", 1, Work.BLOCK)):
            return None
        while name == "stuck":
            signal.pause()
    measured = measure(name)
    turn(sweep_part(1), measured)
    if name == "late":
        os.kill(os.getpid(), signal.SIGSEGV)
    return measured.model_copy(update={"sweep": (SweepPoint(batch=1, images_per_second=9.0),)})


def measure_until_known(name, channel):
    """Take blocks of equal speed until the parent says that they are enough."""
    blocks = ()
    while not channel.wait_for_turn(
        row_part("forward", 1, Work.BLOCK), None, RowSoFar(blocks, len(blocks) >= MEDIAN_KNOWN_FROM[name])
    ).enough:
        blocks += (9.0,)
        channel.emit("stage", name="forward, batches of 1")
    return measure(name, blocks)


def measure(name, blocks=None):
    latency = Latency(p50=1.0, p95=2.0, n=3)
    blocks = list(blocks or [9.0] * BLOCKS.get(name, 3))
    row = Inference(
        stage="forward",
        batch=1,
        size=(2, 2),
        images_per_second=9.0,
        latency_ms=latency,
        budget="reduced",
        blocks=blocks,
    )
    return Measured(inference=(row,), inference_peak_bytes=77, threads=1, steady=True, before=DeviceState(load=0.5))
