"""CPU seconds and peak memory of the commands that read many records.

    python benchmarks/harness/many_records.py make FOLDER [--methods 40] [--seeds 50] [--images 12]   # trains one cell
    python benchmarks/harness/many_records.py measure FOLDER [--keep OUTPUTS]

`make` plans a benchmark of so many methods and seeds, trains its first cell, and copies that cell's record and counts
for all others: hits are moved to other classes at random, by method, seed and image, and the scores follow from the
counts. `measure` runs the commands on them, each in a process of its own; `--keep` keeps what they print, to be
compared with what another version prints.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segbench.store.counts import Counts

# Methods differ in the weight of their loss alone, so that their keys do.
BENCHMARK = """\
name: many
datasets:
  shapes: {{use: data/shapes, classes: 3, size: [48, 64], train: 24, val: 8, test: {images}}}
protocol:
  budget: {{steps: 10}}
  batch_size: 4
  crop: [32, 48]
  timing: {{iterations: 5, seconds: 0.2, max_seconds: 1}}
  threads: 1
seeds: [{seeds}]
methods:
"""
METHOD = (
    "  method{0}: {{generator: {{use: basic/fcn, width: 8}}, losses: [{{use: losses/cross_entropy, weight: 1.{0}}}]}}\n"
)
RECORDS = "results/many"
COMMANDS = {
    "report": ["report", RECORDS],
    "report --full": ["report", RECORDS, "--full"],
    "report --format json": ["report", RECORDS, "--format", "json"],
    "report --format csv": ["report", RECORDS, "--format", "csv"],
    "compare": ["compare", "method001", "method000", RECORDS],
    "compare --json": ["compare", "method001", "method000", RECORDS, "--json"],
    "run": ["run", "many.yaml"],
}


def main() -> None:
    """Make the records, or measure on those that were made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["make", "measure"])
    parser.add_argument("folder", type=Path)
    for name, size in {"methods": 40, "seeds": 50, "images": 12}.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--keep", type=Path, help="a folder for what the commands print")
    parser.add_argument("--only", action="append", choices=list(COMMANDS), help="this command only; repeatable")
    given = parser.parse_args()
    if given.step == "make":
        make(given.folder, given.methods, given.seeds, given.images)
    else:
        measure(given.folder, given.only or list(COMMANDS), given.keep)


def make(folder: Path, methods: int, seeds: int, images: int) -> None:
    """Write the benchmark file, train its first cell, and write a record with counts for every other one."""
    folder.mkdir(parents=True)
    file = BENCHMARK.format(images=images, seeds=", ".join(map(str, range(seeds))))
    (folder / "many.yaml").write_text(file + "".join(METHOD.format(f"{i:03}") for i in range(methods)))
    segbench(folder, "run", "many.yaml", "--only", "method000", "--seeds", "0")
    planned = json.loads(segbench(folder, "plan", "many.yaml", "--json"))["cells"]
    (record,) = (folder / RECORDS).glob("*.json")
    for cell in planned:
        if cell["key"] != record.stem:
            write_copy(record, cell)


def segbench(folder: Path, *arguments: str) -> str:
    """Run a command in the folder and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "segbench", *arguments], cwd=folder, check=True, stdout=subprocess.PIPE
    )
    return done.stdout.decode()


def write_copy(original: Path, cell: dict) -> None:
    """Write the record and the counts of a planned cell, as those of the trained one but for the predictions."""
    from segbench.stats.scores import per_class, scores
    from segbench.store.counts import read_counts, write_counts

    content = json.loads(original.read_text())
    counts = read_counts(original.with_suffix("") / content["attempt"])
    counts = spoil(counts, int(cell["method"].removeprefix("method")), cell["seed"])
    content |= {name: cell[name] for name in ("key", "method", "seed")}
    content["spec"] |= {"seed": cell["seed"], "method": content["spec"]["method"] | {"name": cell["method"]}}
    content |= {"scores": scores(counts).model_dump(), "per_class": per_class(counts).model_dump()}
    folder = original.with_name(cell["key"]) / content["attempt"]
    folder.mkdir(parents=True)
    write_counts(folder, counts)
    original.with_stem(cell["key"]).write_text(json.dumps(content, indent=1) + "\n")


def spoil(counts: Counts, method: int, seed: int) -> Counts:
    """Return counts in which some hits went to the next class: more with a higher method, varying by seed and image."""
    import numpy as np

    generator = np.random.default_rng([method, seed])
    confusion = counts.confusion.copy()
    classes = np.arange(counts.num_classes)
    share = np.clip(0.1 + 0.002 * method + 0.01 * generator.standard_normal((len(confusion), 1)), 0, 1)
    moved = generator.binomial(confusion[:, classes, classes], share)
    confusion[:, classes, classes] -= moved
    confusion[:, classes, (classes + 1) % counts.num_classes] += moved
    parts = {
        name: part if (part := getattr(counts, name)) is None else np.minimum(part, confusion)
        for name in ("band", "small")
    }
    return replace(counts, confusion=confusion, **parts)


def measure(folder: Path, commands: list[str], kept: Path | None) -> None:
    """Print what each command takes."""
    for name in commands:
        output = Path(os.devnull) if kept is None else kept / f"{name}.txt"
        output.parent.mkdir(parents=True, exist_ok=True)
        seconds, megabytes, status = cost(folder, COMMANDS[name], output)
        print(
            f"{name:22} {seconds:7.2f} s of CPU  peak {megabytes:5.0f} MB{'' if status == 0 else '  FAILED'}",
            flush=True,
        )


def cost(folder: Path, arguments: list[str], output: Path) -> tuple[float, float, int]:
    """Return the CPU seconds and the peak memory in megabytes of a command, and its exit status."""
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "segbench", *arguments], cwd=folder, env=environment, stdout=file
        )
        _, status, used = os.wait4(process.pid, 0)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3, status


if __name__ == "__main__":
    main()
