"""From the end of one cell's training to the first training step of the next, its evaluation included.

    python benchmarks/harness/hand_over.py [--cells 6] [OPTIONS OF segbench run]

Runs a benchmark of so many short cells of three convolutions, evaluated on a few small images, with `segbench run` in a
temporary folder, and reads their events.jsonl. What lies between the stage "evaluate" of a cell and the stage "train"
of the next is all of the hand-over: the record, the process, the model. By default on the CPU; `--device cuda`,
`--on ray --cpus N`, `--on slurm --workers 1 --wait` measure other ways to run, if one cell runs at a time there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory


def run_cells(folder: Path, cells: int, options: list[str]) -> list[dict[str, float]]:
    """Run `cells` seeds of one small method; return when the stages of each began, the cell that began first, first."""
    seeds = ",".join(map(str, range(cells)))
    command = [sys.executable, "-m", "segbench", "run", "shapes-smoke", "--only", "fcn", "--seeds", seeds]
    subprocess.run([*command, *options], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    made = (folder / "results" / "shapes-smoke").glob("*/*/events.jsonl")
    return sorted(map(stages, made), key=lambda began: began["train"])


def stages(events: Path) -> dict[str, float]:
    """Return when each stage of a cell began, in seconds since the epoch."""
    every = map(json.loads, events.read_text().splitlines())
    return {event["name"]: event["time"] for event in every if event["event"] == "stage"}


def main() -> None:
    """Measure and print the hand-overs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=6)
    own, options = parser.parse_known_args()
    with TemporaryDirectory() as name:
        cells = run_cells(Path(name), own.cells, ["--device", "cpu", *options])
        gaps = [after["train"] - before["evaluate"] for before, after in pairwise(cells)]
    print(f"hand-over: median {statistics.median(gaps):.3f} s, largest {max(gaps):.3f} s over {len(gaps)}")


if __name__ == "__main__":
    main()
