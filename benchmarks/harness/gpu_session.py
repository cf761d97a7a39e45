"""All that is measured when a GPU is at hand, in one command of at most 8 minutes.

    python benchmarks/harness/gpu_session.py FOLDER [--device cuda] [--camvid DIR] [--seconds 480]
    python benchmarks/harness/gpu_session.py FOLDER --device cpu --dry-run

FOLDER gets session.json, written anew after each block, session.md, in which the figures stand beside their bars, and
log.txt. Each block of gpu_blocks.py is a process of its own with a time limit; one that fails or takes too long leaves
what it has found, and the next one begins. Without --camvid (images/, masks/, splits/) all train on images made up in
that layout. The dry run takes each block in its smallest form and without a limit; its figures mean nothing.
`gather_wheels.py` gathers what a machine lacks that reaches no package index.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from segbench.store.atomic import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# The blocks of gpu_blocks.py in their order, each with the most seconds that it may take.
BLOCKS = {
    "data": 45,
    "facts": 30,
    "tests": 120,
    "waits": 45,
    "training": 75,
    "adversarial": 45,
    "launches": 40,
    "evaluation": 30,
    "memory": 30,
    "run": 60,
    "compile": 90,
    "capture": 30,
    "cells at once": 75,
    "failures": 45,
}
FIGURES, SESSION, TABLE, LOG = "figures.json", "session.json", "session.md", "log.txt"
OUTCOMES = {0: "done", None: "out of time"}
LINES_OF_A_FAILURE = 15


@dataclass(frozen=True)
class Bar:
    """What a figure of a block is to be: at least `least`, or at most `most`."""

    text: str
    block: str
    figure: str
    least: float = -math.inf
    most: float = math.inf

    def __str__(self) -> str:
        return f"<= {self.most:g}" if self.most < math.inf else f">= {self.least:g}"

    def verdict(self, session: Mapping[str, Any]) -> tuple[str, str]:
        """Return the figure as text, and whether it keeps the bar; what became of the block where there is none."""
        result = session.get(self.block, {"outcome": "not reached", "figures": {}})
        if (found := result["figures"].get(self.figure)) is None:
            return "-", result["outcome"]
        value = found["median"] if isinstance(found, dict) else found
        return show(found), "kept" if self.least <= value <= self.most else "missed"


BARS = (
    Bar("training in bf16 channels_last, against the bare model", "training", "segbench / limit, bf16 nhwc", 0.97),
    Bar("the same against the loop by hand in fp32", "training", "segbench bf16 nhwc / plain fp32", 2),
    Bar("an adversarial step, against the two-pass form", "adversarial", "segbench / two-pass", most=0.85),
    Bar("training with captured passes, against the same as it is", "capture", "captured / eager", 1.5),
    Bar("8 small cells at once, against one after another", "cells at once", "at once / one after another", 3),
)


@dataclass(frozen=True)
class Block:
    """A command that writes figures.json again and again, and the most seconds that it may take."""

    command: Sequence[str]
    seconds: float


def main() -> None:
    """Run all blocks, or be one of them."""
    options = parse()
    if options.block:
        take_block(options)
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as work:
        environment = {**os.environ, **environment_of(Path(work), options.dry_run)}
        seconds = math.inf if options.dry_run else options.seconds
        session = run_blocks(options.folder, commands(options, Path(work)), seconds, environment)
    print(options.folder.joinpath(TABLE).read_text())
    sys.exit(any(result["outcome"] != "done" for result in session.values()))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--camvid", type=Path)
    parser.add_argument("--seconds", type=float, default=480, help="the most that all blocks take together")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--only", nargs="+", choices=BLOCKS, default=list(BLOCKS), help="these blocks, and data")
    parser.add_argument("--block", choices=BLOCKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.camvid and not options.block and not options.camvid.is_dir():
        parser.error(f"--camvid {options.camvid}: no such folder")
    return options


def environment_of(work: Path, dry_run: bool) -> dict[str, str]:
    """Return the variables of the blocks: what is cached and compiled is shared by them, and gone with the session."""
    small = {"SEGBENCH_HARNESS_SMALL": "1", "TORCHDYNAMO_DISABLE": "1"} if dry_run else {}
    caches = {"SEGBENCH_CACHE": work / "cache", "TORCHINDUCTOR_CACHE_DIR": work / "compiled"}
    return {**{name: str(path) for name, path in caches.items()}, "PYTHONUNBUFFERED": "1", **small}


def commands(options: argparse.Namespace, work: Path) -> dict[str, Block]:
    """Return the blocks as processes of this script."""
    camvid = options.camvid or work / "camvid"
    shared = [sys.executable, __file__, options.folder, "--device", options.device, "--camvid", camvid]
    shared += ["--dry-run"] if options.dry_run else []
    return {
        name: Block([*map(str, shared), "--block", name], math.inf if options.dry_run else seconds)
        for name, seconds in BLOCKS.items()
        if name in ("data", *options.only)
    }


def run_blocks(
    folder: Path, blocks: Mapping[str, Block], seconds: float, environment: Mapping[str, str]
) -> dict[str, Any]:
    """Run blocks in turn for at most so many seconds; what became of each is written after each."""
    session: dict[str, Any] = {}
    began = time.monotonic()
    for name, block in blocks.items():
        left = seconds - (time.monotonic() - began)
        session[name] = run_block(folder, name, Block(block.command, min(block.seconds, left)), environment)
        write_atomically(folder / SESSION, json.dumps(session, indent=1).encode())
        write_atomically(folder / TABLE, to_markdown(session).encode())
        print(f"{name}: {session[name]['outcome']} after {session[name]['seconds']} s", flush=True)
    return session


def run_block(folder: Path, name: str, block: Block, environment: Mapping[str, str]) -> dict[str, Any]:
    """Run one block to its end or its limit; return what became of it, and the figures that it has left."""
    figures, began = folder / FIGURES, time.monotonic()
    figures.unlink(missing_ok=True)
    if block.seconds <= 0:
        return {"outcome": "not reached", "seconds": 0, "figures": {}}
    with (folder / LOG).open("a") as log:
        print(f"\n===== {name}", file=log, flush=True)
        start = log.tell()
        code = run_process(block, log, environment)
    result = {
        "outcome": OUTCOMES.get(code, "failed"),
        "seconds": round(time.monotonic() - began, 1),
        "figures": json.loads(figures.read_text()) if figures.exists() else {},
    }
    figures.unlink(missing_ok=True)
    if result["outcome"] == "failed":
        said = (folder / LOG).read_bytes()[start:].decode(errors="replace")
        result["log"] = said.splitlines()[-LINES_OF_A_FAILURE:]
    return result


def run_process(block: Block, log: Any, environment: Mapping[str, str]) -> int | None:
    """Return the exit status, None if the time was up; what the process has started ends with it."""
    process = subprocess.Popen(
        block.command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
    )
    try:
        return process.wait(None if math.isinf(block.seconds) else block.seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def take_block(options: argparse.Namespace) -> None:
    """Be a block: write the figures there are after each new one."""
    import gpu_blocks

    found: dict[str, Any] = {}
    for name, value in gpu_blocks.BLOCKS[options.block](options):
        found[name] = value
        write_atomically(options.folder / FIGURES, json.dumps(found).encode())


def to_markdown(session: Mapping[str, Any]) -> str:
    """Return the bars, what became of each block, and all figures, as tables."""
    bars = [(bar.text, str(bar), *bar.verdict(session)) for bar in BARS]
    blocks = [(name, result["outcome"], result["seconds"]) for name, result in session.items()]
    figures = [
        (name, figure, show(value)) for name, result in session.items() for figure, value in flatten(result["figures"])
    ]
    return "\n".join(
        [
            *table(("what", "bar", "measured", "verdict"), bars),
            *table(("block", "outcome", "seconds"), blocks),
            *table(("block", "figure", "value"), figures),
        ]
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Return the lines of a table, and an empty one."""
    cells = [heads, ["---"] * len(heads), *rows]
    return [*(f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |" for row in cells), ""]


def flatten(figures: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield figures with the names of those they are parts of."""
    for name, value in figures.items():
        if isinstance(value, dict) and "rounds" not in value:
            yield from flatten(value, f"{above}{name}: ")
        else:
            yield above + name, value


def show(figure: Any) -> str:
    """Return a figure as text; one of several rounds as its median and its range."""
    if isinstance(figure, dict):
        return f"{figure['median']:.3g} ({min(figure['rounds']):.3g} to {max(figure['rounds']):.3g})"
    return f"{figure:.4g}" if isinstance(figure, float) else str(figure)


if __name__ == "__main__":
    main()
