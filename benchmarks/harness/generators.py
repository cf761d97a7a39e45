"""Images/s of every generator that segments: the forward pass at batch 1 and at the best batch, at two sizes of images.

    python benchmarks/harness/generators.py -o generators.json [--device cuda] [--only smp/unet] [--seconds 12]
    python benchmarks/harness/generators.py --table generators.json

What `segbench time` does, for more networks than fit into memory together: sessions of a few, interleaved block by
block, the first network in each of them, so that ratios to it hold across sessions. The table is Markdown.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from segbench.cli.time import measure, open_data
from segbench.config.method_argument import label_arguments, read_method_argument
from segbench.config.protocol import Budget, TrainingProtocol
from segbench.config.timing import BUDGETS
from segbench.errors import ComponentError
from segbench.plan.machine import usable_cores
from segbench.registry import load_registry
from segbench.registry.options import check_requirements
from segbench.report.ranking.timings import with_interval
from segbench.report.speed_test import Speeds

SIZES = ((256, 256), (360, 480))
CLASSES = 11
FIRST = "smp/unet"
SEGMENTING = ("image -> labels", "image -> image")
LEFT_OUT = ("hf/auto",)  # it is whatever network it is given
# What the encoders of libraries are, but for the architecture that needs a transformer.
RESNET = {"smp": "encoder: resnet18", "timm": "backbone: resnet18"}
TRANSFORMER = "smp/dpt"


def find_generators(registry, only):
    """Return how the generators are given to `segbench time`, the one that all are compared with first."""
    offers = {offer.full_name: offer for offer in registry.offers("generator") if is_first_party_segmenter(offer)}
    wanted = [name for name in offers if name not in (FIRST, *LEFT_OUT) and (not only or name in only)]
    return [write_argument(name) for name in (FIRST, *wanted) if has_what_it_needs(offers[name])]


def is_first_party_segmenter(offer):
    """Tell whether a generator of segbench itself makes label maps, or colours that stand for them, from images."""
    return offer.distribution == "segbench" and offer.component.maps in SEGMENTING


def has_what_it_needs(offer):
    """Tell whether the libraries of a generator are installed, and say so if they are not."""
    try:
        check_requirements(offer)
    except ComponentError as error:
        print(f"left out: {error}", file=sys.stderr)
        return False
    return True


def write_argument(name):
    """Return a generator as `segbench time` takes it, on a ResNet-18 where it has a choice."""
    options = RESNET.get(name.partition("/")[0]) if name != TRANSFORMER else None
    return f"{{use: {name}, {options}}}" if options else name


def time_sessions(registry, arguments, options):
    """Yield what each session measures."""
    timing = BUDGETS["adaptive"].model_copy(update={"sweep": options.sweep, "method_seconds": options.seconds})
    protocol = TrainingProtocol(
        budget=Budget(steps=1), batch_size=1, threads=options.threads, tf32=options.tf32, timing=timing
    )
    first, *others = arguments
    for size in SIZES:
        data = open_data(registry.find("dataset", "data/shapes"), None, {"classes": CLASSES}, size)
        for start in range(0, len(others), options.together):
            group = (first, *others[start : start + options.together])
            given = [read_method_argument(text, registry, protocol) for text in group]
            yield measure(label_arguments(given), data, protocol, registry, options.device, None)


def write_table(sessions):
    """Return a row for each generator, and lines on what was not timed."""
    cells, failures = {}, {}
    for speeds in sessions:
        size = speeds.conditions.size
        for method in speeds.methods:
            cells.setdefault(name_of(method), {}).setdefault(size, describe(method, speeds.methods[0]))
        failures |= {(method, size): cause for method, cause in speeds.failures.items()}
    sizes = sorted({speeds.conditions.size for speeds in sessions})
    heads = ("batch 1 [images/s]", "best batch (images/s)", "times as fast")
    lines = [
        ["generator", *(f"{height}x{width}: {head}" for height, width in sizes for head in heads)],
        [":--", *["--:"] * (len(sizes) * len(heads))],
    ]
    for name, found in cells.items():
        lines.append([name, *(text for size in sizes for text in found.get(size, ["-"] * len(heads)))])
    table = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([*table, *(describe_failure(*one) for one in failures.items())])


def name_of(method):
    """Return a generator with what it was built on."""
    options = method.generator["options"]
    chosen = [str(options[key]) for key in ("encoder", "backbone") if options.get(key)]
    return " ".join([method.generator["use"], *chosen])


def describe(method, first):
    """Return images/s at batch 1, the best batch, and how many times as fast as the first network it is."""
    row = next(row for row in method.inference if (row.stage, row.batch) == ("forward", 1))
    best = method.best_batch
    return [
        with_interval(row.images_per_second, row.interval),
        f"{best.batch} ({best.images_per_second:.3g})" if best else "-",
        with_interval(row.ratio.estimate, row.ratio.interval) if row.ratio else "1" if method is first else "-",
    ]


def describe_failure(which, cause):
    """Return why a network was not timed at a size."""
    method, (height, width) = which
    return f"\nNot timed: {method} at {height}x{width}: {cause}"


def main():
    """Measure, keep the sessions that are done, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("generators.json"), help="the sessions as JSON")
    parser.add_argument("--table", type=Path, help="print the table of such a file; measure nothing")
    parser.add_argument("--only", nargs="+", help="these generators, beside the first")
    parser.add_argument("--seconds", type=float, default=12, help="the most that a network is measured at a size")
    parser.add_argument("--together", type=int, default=4, help="networks in a session, beside the first")
    parser.add_argument("--sweep", type=int, default=16, help="the largest batch that is tried")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--tf32", action="store_true", help="let a GPU multiply in TF32")
    options = parser.parse_args()
    if options.table:
        print(write_table([Speeds.model_validate(one) for one in json.loads(options.table.read_text())]))
        return
    registry, sessions = load_registry(), []
    for speeds in time_sessions(registry, find_generators(registry, options.only), options):
        sessions.append(speeds)
        options.output.write_text(json.dumps([one.model_dump(mode="json") for one in sessions], indent=1))
    print(write_table(sessions))


if __name__ == "__main__":
    main()
