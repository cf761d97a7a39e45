"""Runs campaigns against segbench: seeded faults of many kinds, counted as tried and failed.

    python benchmarks/campaigns/run.py                            all kinds, at most 30 minutes on two cores
    python benchmarks/campaigns/run.py --short                    at most 3 minutes, as continuous integration does
    python benchmarks/campaigns/run.py --seed 7 rot yaml_files    two kinds, other faults
    python benchmarks/campaigns/run.py rot --only 12              one trial again

Exits with 1 if a trial failed. A kind is a module with FULL and SHORT, how many trials it has, SECONDS, what one may
take, and `attempt`, which makes one with an empty folder and a random.Random and raises trial.Fault.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

KINDS = (
    "kills",
    "stops",
    "rot",
    "planted",
    "crafted_records",
    "yaml_files",
    "image_files",
    "output_encodings",
    "names",
)
PARTS = 6  # a kind is made in so many parts, so that both processes have work to the end and every kind gets its turn
CHARACTERS = 3000  # shown of a failure


class Failure(NamedTuple):
    """What was wrong in one trial of a kind."""

    kind: str
    number: int
    cause: str


class Result(NamedTuple):
    """How the trials of a part of a kind ended."""

    kind: str
    tried: int
    seconds: float
    failures: list[Failure]


def main() -> int:
    """Run the campaigns and print failures and the table."""
    options = read_options()
    minutes = options.minutes or (3 if options.short else 30)
    deadline = time.time() + 60 * minutes
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(options.processes, context, set_up, (folder,)) as pool:
            parts = [pool.submit(try_part, *part, options.seed, deadline) for part in divide(options)]
            results = [print_failures(part.result(), options.seed) for part in as_completed(parts)]
    print(f"seed {options.seed}\n" + as_table(results, planned(options)))
    return int(any(result.failures for result in results))


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)} [default: all]")
    parser.add_argument("--short", action="store_true", help="few trials of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="this trial alone")
    parser.add_argument("--count", type=int, metavar="N", help="so many trials of each kind")
    parser.add_argument("--minutes", type=float, help="begin no trial after so long [default: 30, with --short 3]")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"there is no kind {', '.join(sorted(unknown))}; the kinds are {', '.join(KINDS)}")
    options.kinds = options.kinds or list(KINDS)
    return options


def planned(options: argparse.Namespace) -> dict[str, range]:
    """Return the numbers of the trials of each kind."""
    if options.only is not None:
        return dict.fromkeys(options.kinds, range(options.only, options.only + 1))
    modules = {kind: import_module(kind) for kind in options.kinds}
    counts = {kind: module.SHORT if options.short else module.FULL for kind, module in modules.items()}
    return {kind: range(options.count or count) for kind, count in counts.items()}


def divide(options: argparse.Namespace) -> list[tuple[str, range]]:
    """Return the parts of the kinds in the order of their beginning: first parts first."""
    trials = planned(options)
    parts = [(kind, numbers[part::PARTS]) for part in range(PARTS) for kind, numbers in trials.items()]
    return [(kind, numbers) for kind, numbers in parts if numbers]


def set_up(folder: str) -> None:
    """Keep what this process does in a folder of its own, away from the network."""
    own = Path(folder) / str(os.getpid())
    for name in ("cache", "temporary"):
        (own / name).mkdir(parents=True)
    os.environ |= {"SEGBENCH_CACHE": str(own / "cache"), "TMPDIR": str(own / "temporary"), "HF_HUB_OFFLINE": "1"}
    os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "120"}
    os.environ.pop("SEGBENCH_DATA", None)
    tempfile.tempdir = None
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries of image formats write there


def try_part(kind: str, numbers: range, seed: int, deadline: float) -> Result:
    """Make the trials of a part until the time is up."""
    start, tried, failures = time.monotonic(), 0, []
    module = import_module(kind)
    try:
        getattr(module, "prepare", int)()
    except Exception:  # each trial would fail by it
        return Result(kind, 0, 0, [Failure(kind, numbers[0], traceback.format_exc())])
    for number in numbers:
        if time.time() > deadline:
            break
        tried += 1
        if (cause := try_once(module, f"{kind} {seed} {number}")) is not None:
            failures.append(Failure(kind, number, cause))
    return Result(kind, tried, time.monotonic() - start, failures)


def try_once(module: ModuleType, seed: str) -> str | None:
    """Make one trial and return what was wrong, if anything."""
    from trial import Fault, Late, time_limit

    with tempfile.TemporaryDirectory(prefix="trial-", ignore_cleanup_errors=True) as folder:
        try:
            with time_limit(module.SECONDS):
                module.attempt(Path(folder), random.Random(seed))
        except Fault as fault:
            return str(fault)
        except (Exception, Late):
            return traceback.format_exc()
    return None


def print_failures(result: Result, seed: int) -> Result:
    """Print the failures of a part, each with how to repeat it, and return the part."""
    for kind, number, cause in result.failures:
        cut = cause if len(cause) <= CHARACTERS else f"{cause[: CHARACTERS // 2]}\n...\n{cause[-CHARACTERS // 2 :]}"
        shown = cut.encode("ascii", "backslashreplace").decode().replace("\x1b", "\\x1b")
        command = f"python benchmarks/campaigns/run.py {kind} --seed {seed} --only {number}"
        print(f"FAILED {kind} {number}\n{shown.rstrip()}\nrepeat: {command}\n", flush=True)
    return result


def as_table(results: list[Result], trials: dict[str, range]) -> str:
    """Return a line a kind: how many trials were planned, tried, failed, and the seconds of all processes for them."""
    tried, failed, seconds = Counter(), Counter(), Counter()
    for result in results:
        tried[result.kind] += result.tried
        failed[result.kind] += len(result.failures)
        seconds[result.kind] += result.seconds
    rows = [(kind, len(numbers), tried[kind], failed[kind], round(seconds[kind])) for kind, numbers in trials.items()]
    rows.append(("all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])))
    lines = [("kind", "planned", "tried", "failed", "seconds"), *rows]
    return "\n".join(f"{kind:<16}" + "".join(f"{value:>9}" for value in rest) for kind, *rest in lines)


if __name__ == "__main__":
    sys.exit(main())
