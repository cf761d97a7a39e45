"""What all the counts of an evaluation cost, beside an evaluation that counts confusion alone and a bare forward pass.

    python benchmarks/harness/scoring.py --camvid DIR [--device cuda] [--images 8] [--rounds 5] [--threads N]

The network is a U-Net ResNet-18 on whole images of 360x480 with 11 classes. All three run in one process, an evaluation
of the same images each, interleaved. What is compared are CPU seconds, on a GPU those of the clock, and a
ratio is the median over the rounds. The bar: all counts at most 1.15 times confusion alone. What the small objects of
the truth cost, which is the same for every network, is printed beside.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from interleaving import add_device, prepare, print_facts, ratios, spread, work_seconds
from unet_job import BATCH, CLASSES, open_camvid, protocol_of, resident, unet

from segbench.engine.data.batches import runs_of_one_size, whole_batch
from segbench.engine.evaluation.evaluate import confusion_counts, evaluate
from segbench.engine.evaluation.inference import class_scores
from segbench.engine.evaluation.small_objects import find_small_objects
from segbench.engine.model.network import Segmenter
from segbench.engine.numerics import keep_freed_memory, memory_format

if TYPE_CHECKING:
    from collections.abc import Callable

    from segbench import Dataset

BAR = 1.15


def main() -> None:
    """Measure in turn and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camvid", type=Path, required=True, help="folder with images/, masks/ and splits/")
    parser.add_argument("--images", type=int, default=8, help="images of the test split")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="torch threads; by default torch's own choice")
    parser.add_argument("--channels-last", action="store_true")
    add_device(parser)
    options = parser.parse_args()
    options.precision = "fp32"
    if options.threads:
        torch.set_num_threads(options.threads)
    print_facts(options)
    keep_freed_memory()
    device = prepare(options)
    seconds = measured(jobs(options), options.rounds, device)
    for name, of_rounds in seconds.items():
        print(f"{name:16} {1000 * min(of_rounds) / options.images:8.2f} ms an image in the fastest round")
    found = ratios(seconds["all counts"], seconds["confusion alone"])
    print(f"all counts / confusion alone: {spread(found)}; bar {BAR}")
    print(f"all counts / forward: {spread(ratios(seconds['all counts'], seconds['forward']))}")


def some_images(options: argparse.Namespace) -> Dataset:
    """Return CamVid with images from all over its test split."""
    dataset = open_camvid(options.camvid)
    test = dataset.splits["test"]
    step = len(test) // options.images
    return replace(dataset, splits={"test": [test[index * step] for index in range(options.images)]})


def jobs(options: argparse.Namespace) -> dict[str, Callable[[], object]]:
    """Return what is measured, by name."""
    dataset, protocol, layout = some_images(options), protocol_of(options), memory_format(options.channels_last)
    split = resident(dataset, "test", options)
    network = Segmenter(unet(), CLASSES).eval().to(split.device).to(memory_format=layout)

    def forward() -> None:
        for places in runs_of_one_size(split, BATCH):
            class_scores(network, whole_batch(split, places, layout).images, precision="fp32", window=None)

    return {
        "all counts": lambda: evaluate(network, split, protocol, dataset),
        "confusion alone": lambda: confusion_counts(network, split, protocol, dataset),
        "forward": forward,
        "small objects": lambda: find_small_objects(split.packed, range(len(split)), split.device),
    }


def measured(candidates: dict[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Return the seconds of each candidate in each round, after one that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(1 + rounds):
        for name, job in candidates.items():
            started = work_seconds(device)
            job()
            seconds[name].append(work_seconds(device) - started)
    return {name: of_rounds[1:] for name, of_rounds in seconds.items()}


if __name__ == "__main__":
    main()
