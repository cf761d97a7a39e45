"""Records and dataset.json with faults: what reads them ends with an answer, and no name in them reaches a terminal."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from functools import cache
from pathlib import Path

from small_run import BENCHMARK, environment, new_folder
from trial import Answer, as_json, call, copy_of, damage_tree, require

FULL, SHORT, SECONDS = 1000, 20, 120
CPU_SECONDS = 10.0
TIMING = "timing: {iterations: 2, seconds: 0.02, max_seconds: 0.1, sweep: 1}"
PLAIN = "  plain: {generator: {use: basic/fcn, width: 4}, losses: [losses/cross_entropy]}\n"
COMMANDS = [
    *(["report", *more] for more in ([], ["--full"], ["--explain"], ["--pairs"], ["--per-class"])),
    *(["report", "--format", name] for name in ("markdown", "csv", "latex", "json")),
    *(["report", "--format", "csv", more] for more in ("--pairs", "--per-class")),
    *(["compare", "critic", "plain", *more] for more in ([], ["--json"])),
    *(["rescore", *more] for more in ([], ["--json"])),
    *(["predict", name, "photo.png", "-o", "out"] for name in ("KEY", "critic@latest", "results/small/KEY.json")),
    ["predict", "KEY", "photo.png", "-o", "out", "--explain"],
    ["plan", "bench.yaml"],
]


@cache
def recorded() -> Path:
    """Return a folder with the records of two methods with two seeds, timed."""
    folder = new_folder(Path(tempfile.mkdtemp()))
    text = BENCHMARK.replace("steps: 60", "steps: 3").replace("timing: none", TIMING).replace("[0]", "[0, 1]")
    (folder / "bench.yaml").write_text(text + PLAIN)
    answer = call(folder, "run", "bench.yaml", "--device", "cpu", SEGBENCH_CACHE=str(folder / "cache"))
    require(answer.code == 0, answer)
    return folder


def prepare() -> None:
    """Record the cells once for all trials."""
    recorded()


def attempt(folder: Path, rng) -> None:
    """Read one crafted record with three commands."""
    copy = copy_of(recorded(), folder / "copy")
    records = sorted((copy / "results" / "small").glob("*.json"))
    record = rng.choice(records)
    files = record.with_suffix("") / json.loads(record.read_text())["attempt"]
    path = record if rng.random() < 0.85 else files / "dataset.json"
    path.write_bytes(as_json(damage_tree(json.loads(path.read_text()), rng)))
    for command in rng.sample(COMMANDS, 3):
        answer = call(copy, *(part.replace("KEY", record.stem) for part in command), **environment(copy))
        require(answer.code in (0, 2), answer)
        require(answer.seconds <= CPU_SECONDS, answer)
        if "csv" in command and answer.code == 0:
            require_no_formula(answer)


def require_no_formula(answer: Answer) -> None:
    """Raise Fault for a cell that a spreadsheet would compute."""
    for row in csv.reader(io.StringIO(answer.out)):
        for cell in row:
            require(not cell.startswith(("=", "+", "-", "@", "\t", "\r")) or is_number(cell), f"{cell!r} in {answer}")


def is_number(text: str) -> bool:
    """Return whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
