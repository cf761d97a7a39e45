"""Seconds and memory of the crossed bootstrap, on counts made up.

The bars: 10,000 resamples of 8 methods x 6 seeds x 233 images x 11 classes within 5 s and 1 GB. The memory is what the
process holds at its peak, with Python, numpy and the counts themselves.

    python benchmarks/harness/bootstrap.py [--methods 8] [--seeds 6] [--images 233] [--classes 11] [--resamples 10000]
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import time

import numpy as np

from segbench.stats.bootstrap import crossed_draws
from segbench.stats.difference import class_differences
from segbench.stats.evidence import Evidence
from segbench.stats.verdict import tiers

# What the bars are for.
SIZES = {"methods": 8, "seeds": 6, "images": 233, "classes": 11, "resamples": 10_000}
BAR_SECONDS, BAR_MEGABYTES = 5, 1000


def main() -> None:
    """Run the bootstrap, the tiers that come from it, and the differences by class, and print what each took."""
    arguments = parse()
    found = evidence(arguments)
    held = f"{found.hits.nbytes * 2 / 1e6:.0f} MB of counts"
    print(f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores")
    print(f"numpy {np.__version__}, {held}, {megabytes():.0f} MB before")
    seconds = timed("crossed draws", lambda: crossed_draws(found, arguments.resamples))
    if vars(arguments) == SIZES:
        kept = seconds <= BAR_SECONDS and megabytes() <= BAR_MEGABYTES
        print(f"bars of {BAR_SECONDS} s and {BAR_MEGABYTES} MB: {'kept' if kept else 'missed'}")
    timed("tiers of all methods", lambda: tiers(found, resamples=arguments.resamples))
    pair = found.methods[0], found.methods[-1]
    timed("differences by class", lambda: class_differences(found, *pair, resamples=arguments.resamples))


def parse() -> argparse.Namespace:
    """Read the sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, size in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    return parser.parse_args()


def evidence(sizes: argparse.Namespace) -> Evidence:
    """Return counts in which about half of the classes are in an image."""
    generator = np.random.default_rng(0)
    shape = sizes.methods, sizes.seeds, sizes.images, sizes.classes
    whole = generator.integers(0, 20_000, shape[2:]) * generator.integers(0, 2, shape[2:])
    hits = (whole * generator.random(shape, dtype=np.float32)).astype(np.int64)
    names = tuple(f"method {i}" for i in range(sizes.methods))
    images = tuple(f"{i:05}" for i in range(sizes.images))
    return Evidence(names, tuple(range(sizes.seeds)), images, hits, np.broadcast_to(whole, shape).copy())


def timed(what: str, job) -> float:
    """Do a job, print its seconds and the peak of memory so far, and return the seconds."""
    started = time.perf_counter()
    job()
    seconds = time.perf_counter() - started
    print(f"{what:22} {seconds:7.2f} s  peak {megabytes():5.0f} MB")
    return seconds


def megabytes() -> float:
    """Return the peak of the process's memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
