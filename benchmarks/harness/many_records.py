"""Seconds and peak memory of the commands that read many records.

    python benchmarks/harness/many_records.py make FOLDER [--datasets 1] [--methods 40] [--seeds 50] [--images 12]
    python benchmarks/harness/many_records.py measure FOLDER [--keep OUTPUTS] [--only COMMAND]

`make` plans a benchmark of so many datasets, methods and seeds, trains its first cells, and copies their records and
counts for all others: hits are moved to other classes at random, by method, seed and image, and the scores follow from
the counts. `measure` runs the commands on them, each in a process of its own; `compact` is the first, so that the rest
read segments, and `--only report` before it reads loose records. `--keep` keeps what they print, to be compared with
what another version prints.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segbench.store.counts import Counts

# Methods differ in the weight of their loss alone, so that their keys do.
BENCHMARK = """\
name: many
datasets:
{datasets}protocol:
  budget: {{steps: 10}}
  batch_size: 4
  crop: [32, 48]
  timing: {{iterations: 5, seconds: 0.2, max_seconds: 1}}
  threads: 1
seeds: [{seeds}]
methods:
"""
DATASET = "  shapes{0}: {{use: data/shapes, classes: 3, size: [48, 64], train: 24, val: 8, test: {1}}}\n"
METHOD = (
    "  method{0}: {{generator: {{use: basic/fcn, width: 8}}, losses: [{{use: losses/cross_entropy, weight: 1.{0}}}]}}\n"
)
RECORDS = "results/many"
COMMANDS = {
    "compact": ["compact", RECORDS],
    "plan": ["plan", "many.yaml"],
    "records": ["records", RECORDS],
    "watch --once": ["watch", RECORDS, "--once"],
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
    for name, size in {"datasets": 1, "methods": 40, "seeds": 50, "images": 12}.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--keep", type=Path, help="a folder for what the commands print")
    parser.add_argument("--only", action="append", choices=list(COMMANDS), help="this command only; repeatable")
    given = parser.parse_args()
    if given.step == "make":
        make(given.folder, given.datasets, given.methods, given.seeds, given.images)
    else:
        measure(given.folder, given.only or list(COMMANDS), given.keep)


def make(folder: Path, datasets: int, methods: int, seeds: int, images: int) -> None:
    """Write the benchmark file, train its first cells, and write a record with counts for every other one."""
    from segbench.store.counts import read_counts
    from segbench.store.folder import files_of, read_record

    folder.mkdir(parents=True)
    file = BENCHMARK.format(
        datasets="".join(DATASET.format(i, images) for i in range(datasets)), seeds=", ".join(map(str, range(seeds)))
    )
    (folder / "many.yaml").write_text(file + "".join(METHOD.format(f"{i:03}") for i in range(methods)))
    segbench(folder, "run", "many.yaml", "--only", "method000", "--seeds", "0")
    planned = json.loads(segbench(folder, "plan", "many.yaml", "--json"))["cells"]
    trained = {json.loads(path.read_text())["dataset"]: path for path in (folder / RECORDS).glob("*.json")}
    first = min(trained.values())
    counts = read_counts(files_of(first.parent, read_record(first)))
    contents = {dataset: json.loads(path.read_text()) for dataset, path in trained.items()}
    done = {path.stem for path in trained.values()}
    for (method, seed), cells in groupby(sorted(planned, key=_draw), key=_draw):
        drawn = spoil(counts, int(method.removeprefix("method")), seed)
        for cell in cells:
            if cell["key"] not in done:
                write_copy(folder / RECORDS, contents[cell["dataset"]], drawn, cell)


def _draw(cell: dict) -> tuple[str, int]:
    return cell["method"], cell["seed"]


def segbench(folder: Path, *arguments: str) -> str:
    """Run a command in the folder and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "segbench", *arguments], cwd=folder, check=True, stdout=subprocess.PIPE
    )
    return done.stdout.decode()


def write_copy(place: Path, trained: dict, counts: Counts, cell: dict) -> None:
    """Write the record and the counts of a planned cell, as those of the trained one but for the predictions."""
    from segbench.stats.scores import per_class, scores
    from segbench.store.counts import write_counts

    content = trained | {name: cell[name] for name in ("key", "method", "seed")}
    method = content["spec"]["method"] | {"name": cell["method"]}
    content["spec"] = content["spec"] | {"seed": cell["seed"], "key": cell["key"], "method": method}
    content |= {"scores": scores(counts).model_dump(), "per_class": per_class(counts).model_dump()}
    write_counts(place / cell["key"] / (content.get("attempt") or ""), counts)
    (place / f"{cell['key']}.json").write_text(json.dumps(content, indent=1) + "\n")


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
        began = time.perf_counter()
        seconds, megabytes, status = cost(folder, COMMANDS[name], output)
        print(
            f"{name:22} {time.perf_counter() - began:7.2f} s, {seconds:7.2f} s of CPU  peak {megabytes:5.0f} MB"
            f"{'' if status == 0 else '  FAILED'}",
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
