"""From the end of one cell to the first training step of the next, model building apart.

    python benchmarks/harness/hand_over.py [--cells 6] [--device cuda]

Runs a benchmark of so many short cells with `segbench run` in a temporary folder and reads their events.jsonl and
weights. A cell ends when it has written its weights; the next one's training begins at its "train" stage event. What
lies between is all of the hand-over, the record and building the model (here three convolutions) included.
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


def run_cells(folder: Path, cells: int, device: str, *options: str) -> list[Path]:
    """Run `cells` seeds of one small method; return the folders of the cells in the order in which training began."""
    seeds = ",".join(map(str, range(cells)))
    command = [sys.executable, "-m", "segbench", "run", "shapes-smoke", "--only", "fcn", "--seeds", seeds]
    subprocess.run([*command, "--device", device, *options], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    made = (folder / "results" / "shapes-smoke").glob("*/*/events.jsonl")
    return sorted((events.parent for events in made), key=training_began)


def training_began(cell: Path) -> float:
    """Return when a cell began to train, in seconds since the epoch."""
    events = [json.loads(line) for line in (cell / "events.jsonl").read_text().splitlines()]
    return next(event["time"] for event in events if event["event"] == "stage" and event["name"] == "train")


def ended(cell: Path) -> float:
    """Return when a cell ended: its weights are the last that it writes, its record is written again by the timing."""
    return max(path.stat().st_mtime for path in cell.rglob("*.safetensors"))


def main() -> None:
    """Measure and print the hand-overs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=6)
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N")
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        cells = run_cells(Path(name), options.cells, options.device)
        gaps = [training_began(after) - ended(before) for before, after in pairwise(cells)]
    print(f"hand-over: median {statistics.median(gaps):.3f} s, largest {max(gaps):.3f} s over {len(gaps)}")


if __name__ == "__main__":
    main()
