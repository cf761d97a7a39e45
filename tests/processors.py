"""Runs the tests marked `trains` on several seeds under several instruction sets, and prints how many runs passed.

What a training comes to depends on rounding, and so on the processor. These tests must hold on all of them:

    python tests/processors.py --seeds 10 [arguments for pytest, such as -k probe]

Every row is a test; a cell holds the runs that passed and the smallest margin that the test reported (the property
`margin`: how far its value was from its bound, negative on the wrong side). Exits with 1 unless all runs passed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
FAMILY = ("-o", "junit_family=xunit1")  # the other family has no properties of a test

INSTRUCTION_SETS = {
    "SSE4.1": {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"},
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
    "the machine's own": {},
}


def main() -> int:
    """Run every combination and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="how many seeds, from 0 [default: 10]")
    parser.add_argument(
        "--set", action="append", choices=INSTRUCTION_SETS, dest="sets", help="repeatable [default: all]"
    )
    options, arguments = parser.parse_known_args()
    options.sets = options.sets or list(INSTRUCTION_SETS)
    margins: dict[str, dict[str, list[float | None]]] = defaultdict(lambda: defaultdict(list))
    failed = False
    for name in options.sets:
        for seed in range(options.seeds):
            print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
            for test, passed, margin in run(INSTRUCTION_SETS[name], seed, arguments):
                failed |= not passed
                margins[test][name].append(margin if passed else None)
    print(table(margins, options.sets, options.seeds))
    return int(failed)


def run(instruction_set: dict[str, str], seed: int, arguments: list[str]) -> list[tuple[str, bool, float]]:
    """Return name, success and margin (NaN if it reports none) of every test in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "trains and not gpu", f"--junitxml={report}"]
        subprocess.run(
            [*command, *FAMILY, *arguments],
            cwd=ROOT,
            env=os.environ | instruction_set | {"SEGBENCH_TEST_SEED": str(seed)},
            stdout=sys.stderr,
            check=False,
        )
        return [read(case) for case in ElementTree.parse(report).iter("testcase") if case.find("skipped") is None]


def read(case: ElementTree.Element) -> tuple[str, bool, float]:
    """Return name, success and margin of a test case."""
    margins = [float(found.attrib["value"]) for found in case.iter("property") if found.get("name") == "margin"]
    passed = case.find("failure") is None and case.find("error") is None
    return f"{case.get('classname')}::{case.get('name')}", passed, min(margins, default=float("nan"))


def table(margins: dict[str, dict[str, list[float | None]]], sets: list[str], seeds: int) -> str:
    """Return one row a test and one column an instruction set: passed of all runs, and the smallest margin."""
    rows = []
    for test, by_set in sorted(margins.items()):
        cells = []
        for name in sets:
            passed = [margin for margin in by_set[name] if margin is not None]
            cells.append(f"{len(passed)}/{seeds} {min(passed, default=float('nan')):.3g}".removesuffix(" nan"))
        rows.append([test.removeprefix("tests."), *cells])
    lines = [["test", *sets], ["---"] * (len(sets) + 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
