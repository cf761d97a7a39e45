"""What the tests have workers do; found by dotted path, so this folder goes on sys.path."""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from segbench.config.frozen import Frozen
from segbench.engine.job import CellResult
from segbench.engine.timing.parts import Measured, Work, row_part
from segbench.errors import CellError, DataError, DeviceError, LostProcessError, OutOfMemoryError, PluginError
from segbench.execute.worker import TURN
from segbench.store.folder import record_of
from segbench.store.record import Cost, Inference, Latency, Scores, Train

HERE = {"machine": "here", "device": "cpu"}
SCORES = Scores(miou=0.5, pixel_accuracy=0.5, mean_accuracy=0.5, fwiou=0.5, dice=0.5)


def echo(job, channel):
    return job


def where(job, channel):
    return {"folder": os.getcwd(), "temporary": tempfile.mkdtemp(), "variable": os.environ.get("SEGBENCH_TEST")}


def cache(job, channel):
    from segbench.plan.machine import cache_folder

    return cache_folder()


def computes(job, channel):
    """Use several threads of each library that the server has imported."""
    import numpy as np
    import pandas as pd
    import torch

    image = torch.randn(4, 3, 256, 256)
    torch.nn.Conv2d(3, 16, 3)(image).sum().backward()
    matrix = np.ones((512, 512))
    pd.DataFrame({"a": range(10_000)}).to_parquet("table.parquet")
    return (matrix @ matrix)[0, 0], len(pd.read_parquet("table.parquet")), torch.get_num_threads()


def leaves_group(job, channel):
    return os.getpgrp() == os.getpid()


def reports(job, channel):
    channel.emit("step", step=1, steps=2, loss=float("nan"))
    channel.emit("validation", step=1, miou=0.25)


def prints(job, channel):
    print("to stdout")
    print("to stderr", file=sys.stderr)
    os.write(1, b"from native code\n")
    subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)


def waits_for_stop(job, channel):
    channel.emit("ready")
    while not channel.stop_requested():
        time.sleep(0.01)
    return "stopped"


def waits_for_its_turn(job, channel):
    """Wait for a turn that is given only after a while, if at all."""
    channel._connection.send(("event", TURN, {"part": None, "measured": None}))
    time.sleep(1.5)


def raises(job, channel):
    print("last words")
    raise ValueError("no such thing\nsecond line")


def raises_in_plugin(job, channel):
    from broken_plugin.network import build

    build()


def crashes_in_plugin(job, channel):
    from broken_plugin.network import crash

    crash()


def plugin_error(job, channel):
    raise PluginError("the network returns 2 channels for 3 classes", plugin="broken")


def cell_error_from_plugin(job, channel):
    try:
        raises_in_plugin(job, channel)
    except Exception as error:
        raise CellError("the loss became nan by step 3") from error


def data_error(job, channel):
    raise DataError("the split is empty")


def exits(job, channel):
    sys.exit(3)


def exits_at_once(job, channel):
    os._exit(3)


def segfaults(job, channel):
    ctypes.string_at(0)


def kills_itself(job, channel):
    os.kill(os.getpid(), signal.SIGKILL)


def hogs(job, channel):
    held = []
    while True:
        held.append(bytearray(os.urandom(1) * 20_000_000))


def child_hogs(job, channel):
    subprocess.run(
        [sys.executable, "-c", "x = [bytearray(b'1' * 20_000_000) for _ in range(100)]; input()"], check=True
    )


def hangs(job, channel):
    channel.emit("ready")
    while True:
        time.sleep(0.05)


def hangs_holding_the_interpreter(job, channel):
    import re

    re.match(r"(a+)+$", "a" * 40 + "b")


def leaves_a_child(job, channel):
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid


SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def leaves_a_session(job, channel):
    """Leave a process that has left the worker's process group."""
    return subprocess.Popen(SLEEP, start_new_session=True).pid


def leaves_an_orphan(job, channel):
    """Leave a process in a session of its own whose parent has ended."""
    program = f"import subprocess; print(subprocess.Popen({SLEEP}, start_new_session=True, stdout=-3).pid)"
    return int(subprocess.check_output([sys.executable, "-c", program], start_new_session=True))


def crashes_and_leaves_a_session(job, channel):
    Path("child").write_text(str(leaves_a_session(job, channel)))
    segfaults(job, channel)


def leaves_a_session_and_hangs(job, channel):
    Path("child.part").write_text(str(leaves_a_session(job, channel)))
    Path("child.part").rename("child")
    hangs(job, channel)


def leaves_a_process_of_a_plugin(job, channel):
    from broken_plugin.network import leave

    return leave()


def leaves_nothing(job, channel):
    subprocess.run([sys.executable, "-c", ""], check=True)


def hangs_in_plugin(job, channel):
    from broken_plugin.network import hang

    hang()


def runs_out_of_memory_in_plugin(job, channel):
    try:
        from broken_plugin.network import hog

        hog(patient=job != "error")
    except MemoryError as error:
        raise OutOfMemoryError("out of memory on cpu") from error


def leaves_a_thread(job, channel):
    import threading

    threading.Thread(target=time.sleep, args=(600,)).start()
    return "done"


def unpicklable(job, channel):
    return lambda: None


def probe(job, channel):
    return dict(HERE)


def probe_gpu(job, channel):
    return {**HERE, "device": "cuda:0"}


def probe_killed_once(job, channel):
    """Die the first time; the device is called as the file that marks it."""
    die_once(Path(job))
    return dict(HERE)


def die_once(mark):
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def cell_folder(job):
    """Return the folder of the cell of a job, in which the folders of its attempts lie."""
    return record_of(Path(job.folder)).with_suffix("")


def accept(job, channel):
    (cell_folder(job).parent / "preflights").open("a").write(f"{job.cell.method.name}\n")


def preflight(job, channel):
    """Do what the method's name says."""
    if job.cell.method.name == "mistake":
        raise DataError("the split has fewer images than a batch")
    if job.cell.method.name == "plugin":
        raise PluginError("the network returns 2 channels for 3 classes")
    if job.cell.method.name == "crash":
        segfaults(job, channel)
    if job.cell.method.name == "killed-once":
        die_once(cell_folder(job).parent / "killed")
    if job.cell.method.name == "asserts":
        raise PluginError("a label out of range") if job.traced else DeviceError("cuda:0 failed")


def train(job, channel):
    """Do what the method's name says, and note that this cell was run."""
    with (cell_folder(job).parent / "ran").open("a") as ran:
        ran.write(f"{job.cell.key} {os.getpid()}\n")
    return {
        "segfault": segfaults,
        "raise": raises,
        "fails-once": fails_once,
        "patient": patient,
        "stubborn": stubborn,
        "child": needs_upstream,
        "slow": slow,
        "counting": counting,
        "waiting": waiting,
        "paired": paired,
        "crowded": crowded,
    }.get(job.cell.method.name, finish)(job, channel)


def finish(job, channel):
    channel.emit("step", step=1, steps=1, seconds=0.1, loss=0.5, images_per_second=10.0)
    cost = Cost(parameters=1, flops=None, flops_size=None, train_peak_bytes=None, inference_peak_bytes=None)
    return CellResult(
        status="ok",
        scores=SCORES,
        train=Train(steps=1, seconds=0.1, images_per_second=10.0),
        cost=cost,
        environment={**HERE, "started": str(time.time())},
    )


def counting(job, channel):
    """Leave counts that name this process, as the record does."""
    for name in ("counts.parquet", "samples/last.png"):
        file = Path(job.folder) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(os.getpid()))
    result = finish(job, channel)
    return result.model_copy(update={"environment": {**result.environment, "process": os.getpid()}})


def waiting(job, channel):
    """Wait for a file beside the results folder."""
    channel.emit("stage", name="train")
    while not (cell_folder(job).parents[1] / "go on").exists():
        time.sleep(0.01)
    return finish(job, channel)


def paired(job, channel):
    """Take 40 % of the time of a GPU; the cell of seed 0 runs by itself, others wait for 1 and 2, 3 and 4 to run."""
    wait_for_partner(job)
    return finish_on_gpu(job, channel)


def crowded(job, channel):
    """Do as `paired`, but run out of memory there."""
    mark = cell_folder(job) / "crowded"
    if job.cell.seed and not mark.exists():
        mark.touch()
        wait_for_partner(job)
        raise OutOfMemoryError("out of memory on cuda:0")
    return finish_on_gpu(job, channel)


def wait_for_partner(job):
    seed, marks = job.cell.seed, cell_folder(job).parent / "running"
    marks.mkdir(exist_ok=True)
    (marks / str(seed)).touch()
    while seed and not (marks / str(seed + 1 if seed % 2 else seed - 1)).exists():
        time.sleep(0.01)


def finish_on_gpu(job, channel):
    channel.emit("usage", host_bytes=10**6, device_bytes=3 * 10**9, device_total_bytes=10**10, busy=0.4)
    return finish(job, channel).model_copy(update={"environment": {**HERE, "device": "cuda:0"}})


def slow(job, channel):
    time.sleep(0.3)
    return finish(job, channel)


def fails_once(job, channel):
    mark = cell_folder(job) / "failed"
    if mark.exists():
        return finish(job, channel)
    mark.touch()
    raise RuntimeError("the first time")


def patient(job, channel):
    """Train until told to stop; the next time, go on and finish."""
    checkpoint = cell_folder(job) / "checkpoint"
    if checkpoint.exists():
        return finish(job, channel)
    checkpoint.touch()
    channel.emit("stage", name="train")
    while not channel.stop_requested():
        time.sleep(0.01)
    return CellResult(status="interrupted", environment=HERE)


def stubborn(job, channel):
    """Train without ever asking whether to stop; the next time, finish."""
    checkpoint = cell_folder(job) / "checkpoint"
    if checkpoint.exists():
        return finish(job, channel)
    checkpoint.touch()
    channel.emit("stage", name="train")
    while True:
        time.sleep(0.01)


def needs_upstream(job, channel):
    assert Path(job.upstream["start_from"]).is_dir()
    return finish(job, channel)


def time_method(job, channel):
    """Take one turn, note it, and answer with a row of the budget that the method has."""
    method = job.cell.method
    if method.name == "untimable":
        raise CellError("the images have no pixels")
    if not channel.wait_for_turn(row_part("forward", 1, Work.BLOCK), None).methods:
        return None
    with (cell_folder(job).parent / "timed").open("a") as timed:
        timed.write(f"{method.name}\n")
    mark = Path(job.folder) / "timing"
    if method.name == "unhurried" and not mark.exists():
        mark.touch()
        hangs(job, channel)
    latency, budget = Latency(p50=1.0, p95=2.0, n=3), method.protocol.timing.budget
    row = Inference(stage="forward", batch=1, size=(2, 2), images_per_second=9.0, latency_ms=latency, budget=budget)
    return Measured(inference=(row,), inference_peak_bytes=77, threads=1, steady=True)


def leaves_a_child_and_hangs(job, channel):
    Path("child.part").write_text(str(leaves_a_child(job, channel)))
    Path("child.part").rename("child")
    hangs(job, channel)


def modules(job, channel):
    return sorted(name for name in sys.modules if name.startswith("preloaded_"))


class Play(Frozen):
    """The job of a team: what each of its processes does."""

    parts: tuple[str, ...]
    rank: int = 0
    meeting: str | None = None


def play(job, channel):
    """Do what this process of a team is to do."""
    match job.parts[job.rank]:
        case "answers":
            channel.emit("step", step=job.rank)
            return job.rank, os.getcwd(), job.meeting
        case "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        case "fails":
            raise CellError("something is wrong")
        case "loses":
            raise LostProcessError("another process has ended")
        case "stops":
            while not channel.stop_requested():
                time.sleep(0.01)
            return "stopped"
        case "waits":
            Path(job.meeting, "waiting").write_text(str(os.getpid()))
            time.sleep(600)
    return None
