"""A benchmark of one small cell with a critic, and what its run leaves when nothing disturbs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from PIL import Image
from trial import Answer, Fault, call, files_of, judge, program, program_of, require

from segbench.execute.processes import descendants
from segbench.store.process import Process, find_process

BENCHMARK = """\
name: small
datasets:
  shapes: {use: data/shapes, classes: 3, size: [32, 32], train: 8, val: 4, test: 4}
protocol:
  budget: {steps: 60}
  batch_size: 2
  crop: [32, 32]
  optimizer: {use: adamw, lr: 0.01}
  validations: 3
  threads: 1
  keep: {model: last, samples: 1}
  timing: none
seeds: [0]
methods:
  critic:
    generator: {use: basic/fcn, width: 4}
    losses: [losses/cross_entropy]
    discriminator: {use: gan/patchgan, receptive_field: 16, width: 4}
    adversarial: {use: gan/hinge, weight: 0.05}
"""
CHECKPOINT = "checkpoint.safetensors"
RUN = ("run", "bench.yaml", "--device", "cpu", "--checkpoint-every", "0")
PATIENCE = 240.0  # seconds that a run may take on a busy machine


class Undisturbed(NamedTuple):
    """What a run leaves: its folder with bench.yaml, results, cache and a prediction, the cell's key, its outcome."""

    folder: Path
    key: str
    outcome: dict[str, object]


@cache
def undisturbed() -> Undisturbed:
    """Run the benchmark in this process, once for all its trials; the fork server stays for them."""
    folder = new_folder(Path(tempfile.mkdtemp()))
    answer = call(folder, *RUN, SEGBENCH_CACHE=str(folder / "cache"))
    require(answer.code == 0, answer)
    [record] = (folder / "results" / "small").glob("*.json")
    call(folder, "predict", record.stem, "photo.png", "-o", "predicted", **environment(folder))
    return Undisturbed(folder, record.stem, outcome(folder, record.stem))


@cache
def interrupted() -> Path:
    """Return the folder of a run that was killed when it had saved a checkpoint."""
    key = undisturbed().key
    folder = new_folder(Path(tempfile.mkdtemp()))
    cell = folder / "results" / "small" / key
    with process(folder) as run:
        wait_for(lambda: any(cell.glob(f"*/{CHECKPOINT}")) or run.poll() is not None)
        kill_tree(run)
    require(not (folder / "results" / "small" / f"{key}.json").exists(), "the run ended before it was killed")
    return folder


@cache
def duration() -> float:
    """Return the seconds that a run takes which nobody kills."""
    folder = new_folder(Path(tempfile.mkdtemp()))
    start = time.monotonic()
    with process(folder) as run:
        answer = finish(run)
    require(answer.code == 0, answer)
    require_outcome(folder, undisturbed().key, answer)
    return time.monotonic() - start


def new_folder(folder: Path, benchmark: str = BENCHMARK) -> Path:
    """Fill a folder with a benchmark, an image, and places for cache and temporary files."""
    for name in ("cache", "temporary"):
        (folder / name).mkdir(parents=True)
    (folder / "bench.yaml").write_text(benchmark)
    Image.linear_gradient("L").resize((40, 32)).convert("RGB").save(folder / "photo.png")
    return folder


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a run that keeps to its folder."""
    return {"SEGBENCH_CACHE": str(folder / "cache"), "TMPDIR": str(folder / "temporary")}


def process(folder: Path, *command: str, machine: str | None = None) -> subprocess.Popen[str]:
    """Start segbench as a process of its own, which may take itself for one of another machine."""
    return subprocess.Popen(
        [*(program() if machine is None else program_of(machine)), *(command or RUN)],
        cwd=folder,
        env=os.environ | environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(run: subprocess.Popen[str], patience: float = PATIENCE) -> Answer:
    """Wait for a process and return its answer, judged; kill it if it does not end."""
    try:
        out, err = run.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        kill_tree(run)
        raise Fault(f"no end within {patience:g} s: {run.args}") from None
    answer = Answer(tuple(run.args[3:]), run.returncode, out, err, 0.0)
    judge(answer)
    return answer


def tree(run: subprocess.Popen[str]) -> list[Process]:
    """Return a process and all that it has started, each after its parent."""
    found = find_process(run.pid)
    return [found, *descendants(run.pid)] if found else []


def kill_tree(run: subprocess.Popen[str]) -> None:
    """Kill a process and all that it has started."""
    for one in tree(run):
        one.kill()
    run.communicate()


def wait_for(happened, seconds: float = PATIENCE) -> None:
    """Wait until something has happened; Fault if it does not."""
    end = time.monotonic() + seconds
    while not happened():
        require(time.monotonic() < end, "what was waited for did not happen")
        time.sleep(0.02)


def resume(folder: Path) -> Answer:
    """Run the benchmark to its end in this process."""
    with mock.patch.object(tempfile, "tempdir", str(folder / "temporary")):
        return call(folder, *RUN, **environment(folder))


def outcome(folder: Path, key: str, benchmark: str = "small") -> dict[str, object]:
    """Return the scores of a recorded cell, and the bytes of counts and weights."""
    results = folder / "results" / benchmark
    record = json.loads((results / f"{key}.json").read_text())
    found: dict[str, object] = {name: record[name] for name in ("status", "scores", "per_class", "health")}
    kept = ("counts.parquet", "model.safetensors", "critic.safetensors", "samples/test_00000.png")
    place = results / key / (record.get("attempt") or "")
    return found | {name: read(place / name) for name in kept}


def read(path: Path) -> bytes | None:
    """Return the content of a file; None where there is none, such as behind a planted link or pipe."""
    return path.read_bytes() if path.is_file() and not path.is_symlink() else None


def require_outcome(folder: Path, key: str, said: object, besides: str = "") -> None:
    """Raise Fault unless a cell's outcome, besides a file or folder, equals that of the undisturbed run to the bit."""
    found, expected = outcome(folder, key), undisturbed().outcome
    wrong = [name for name, value in expected.items() if found[name] != value and besides not in Path(name).parts]
    shown = "\n".join(f"{name}: {found[name]!r:.300} instead of {expected[name]!r:.300}" for name in wrong)
    require(not wrong, f"{shown}\n{said}")


def check(folder: Path, said: object) -> None:
    """Raise Fault unless a run that was disturbed has come to the end of an undisturbed one."""
    require_outcome(folder, undisturbed().key, said)
    require_clean(folder, said)


def require_clean(folder: Path, said: object, name: str = "small") -> None:
    """Raise Fault if a finished run has left leases, other attempts, files that it was writing, or temporary files."""
    benchmark = folder / "results" / name
    left = [path for path in files_of(folder / "results") if path.name.endswith(".tmp") or path.name == CHECKPOINT]
    left += [
        *(benchmark / "claims").glob("*.json"),
        *benchmark.glob("*.unfinished.json"),
        *benchmark.glob("*/.*.lease"),
    ]
    attempts = [sorted(cell.glob("*-*/")) for cell in benchmark.glob("*/")]
    left += [path for of_cell in attempts if len(of_cell) > 1 for path in of_cell]
    left += [path for path in (folder / "temporary").iterdir() if not path.name.startswith("torchinductor_")]
    require(not left, f"left behind: {left}\n{said}")


def stop(one: Process, number: int = signal.SIGSTOP) -> None:
    """Send a signal to a process that may have ended."""
    if one.is_alive:
        os.kill(one.pid, number)
