"""Runs campaigns against segbench: seeded faults of many kinds, counted as tried and failed.

    python benchmarks/campaigns/run.py                            all kinds, at most 30 minutes on two cores
    python benchmarks/campaigns/run.py --short                    at most 3 minutes, as continuous integration does
    python benchmarks/campaigns/run.py --seed 7 rot yaml_files    two kinds, other faults
    python benchmarks/campaigns/run.py rot --only 12              one trial again
    python benchmarks/campaigns/run.py --long                     kills and stops with many cells, for hours

Exits with 1 if a trial failed. A kind is a module with FULL and SHORT, how many trials it has, SECONDS, what one may
take, and `attempt`, which makes one with an empty folder and a random.Random, raises trial.Fault, and may return what
it has counted. With LONG, SECONDS_LONG and `attempt_long` it has a long form too.
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
from collections.abc import Mapping
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
LONG = ("kills", "stops")
PARTS = 6  # a kind is made in so many parts, so that both processes have work to the end and every kind gets its turn
CHARACTERS = 3000  # shown of a failure


class Failure(NamedTuple):
    """What was wrong in one trial of a kind."""

    kind: str
    number: int
    cause: str


class Result(NamedTuple):
    """How the trials of a part of a kind ended, and what they have counted."""

    kind: str
    tried: int
    seconds: float
    failures: list[Failure]
    tally: Counter[str]


def main() -> int:
    """Run the campaigns and print failures and the table."""
    options = read_options()
    minutes = options.minutes or (3 if options.short else 24 * 60 if options.long else 30)
    deadline = time.time() + 60 * minutes
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(options.processes, context, set_up, (folder,)) as pool:
            parts = [pool.submit(try_part, *part, options.form, options.seed, deadline) for part in divide(options)]
            results = [print_failures(part.result(), options.form, options.seed) for part in as_completed(parts)]
    print(f"seed {options.seed}\n" + as_table(results, planned(options)) + describe_counts(results))
    return int(any(result.failures for result in results))


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)} [default: all]")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--short", action="store_true", help="few trials of each kind")
    form.add_argument("--long", action="store_true", help=f"many cells a trial: {', '.join(LONG)}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="this trial alone")
    parser.add_argument("--count", type=int, metavar="N", help="so many trials of each kind")
    parser.add_argument(
        "--minutes", type=float, help="begin no trial after so long [default: 30, --short 3, --long a day]"
    )
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"there is no kind {', '.join(sorted(unknown))}; the kinds are {', '.join(KINDS)}")
    if options.long and (without := set(options.kinds) - set(LONG)):
        parser.error(f"{', '.join(sorted(without))} has no long form; {', '.join(LONG)} have one")
    options.kinds = options.kinds or list(LONG if options.long else KINDS)
    options.form = "_long" if options.long else ""
    return options


def planned(options: argparse.Namespace) -> dict[str, range]:
    """Return the numbers of the trials of each kind."""
    if options.only is not None:
        return dict.fromkeys(options.kinds, range(options.only, options.only + 1))
    modules = {kind: import_module(kind) for kind in options.kinds}
    name = "SHORT" if options.short else "LONG" if options.long else "FULL"
    counts = {kind: getattr(module, name) for kind, module in modules.items()}
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


def try_part(kind: str, numbers: range, form: str, seed: int, deadline: float) -> Result:
    """Make the trials of a part, in a form of their kind, until the time is up."""
    start, tried, failures, tally = time.monotonic(), 0, [], Counter()
    module = import_module(kind)
    try:
        getattr(module, f"prepare{form}", int)()
    except Exception:  # each trial would fail by it
        return Result(kind, 0, 0, [Failure(kind, numbers[0], traceback.format_exc())], tally)
    for number in numbers:
        if time.time() > deadline:
            break
        tried += 1
        cause, counted = try_once(module, form, f"{kind} {seed} {number}")
        tally.update(counted)
        if cause is not None:
            failures.append(Failure(kind, number, cause))
    return Result(kind, tried, time.monotonic() - start, failures, tally)


def try_once(module: ModuleType, form: str, seed: str) -> tuple[str | None, Mapping[str, int]]:
    """Make one trial; return what was wrong, if anything, and what it has counted."""
    from trial import Fault, Late, time_limit

    with tempfile.TemporaryDirectory(prefix="trial-", ignore_cleanup_errors=True) as folder:
        try:
            with time_limit(getattr(module, f"SECONDS{form.upper()}")):
                return None, getattr(module, f"attempt{form}")(Path(folder), random.Random(seed)) or {}
        except Fault as fault:
            return str(fault), fault.tally
        except (Exception, Late):
            return traceback.format_exc(), {}


def print_failures(result: Result, form: str, seed: int) -> Result:
    """Print the failures of a part, each with how to repeat it, and return the part."""
    for kind, number, cause in result.failures:
        cut = cause if len(cause) <= CHARACTERS else f"{cause[: CHARACTERS // 2]}\n...\n{cause[-CHARACTERS // 2 :]}"
        shown = cut.encode("ascii", "backslashreplace").decode().replace("\x1b", "\\x1b")
        option = form.replace("_", " --")
        command = f"python benchmarks/campaigns/run.py{option} {kind} --seed {seed} --only {number}"
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


def describe_counts(results: list[Result]) -> str:
    """Return a line for each kind that has counted something."""
    tallies: dict[str, Counter[str]] = {}
    for result in results:
        tallies.setdefault(result.kind, Counter()).update(result.tally)
    counted = {kind: ", ".join(f"{number} {name}" for name, number in tally.items()) for kind, tally in tallies.items()}
    return "".join(f"\n{kind}: {numbers}" for kind, numbers in counted.items() if numbers)


if __name__ == "__main__":
    sys.exit(main())
