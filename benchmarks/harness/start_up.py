"""Start-up of `segbench --help` and `segbench list`, against `import torch`.

    python benchmarks/harness/start_up.py [--rounds 7]

Processes of the candidates are started in turn; the medians of wall time are compared.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

CANDIDATES = {
    "import torch": ["-c", "import torch"],
    "segbench --help": ["-m", "segbench", "--help"],
    "segbench list": ["-m", "segbench", "list"],
}


def seconds(arguments: list[str]) -> float:
    """Run Python with these arguments and return the wall time."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    times: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    for _ in range(rounds):
        for name, arguments in CANDIDATES.items():
            times[name].append(seconds(arguments))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:16} {median:6.3f} s   {median / medians['import torch']:.3f} of `import torch`")


if __name__ == "__main__":
    main()
