"""Time of each random change of training crops, as a share of a training step of a U-Net ResNet-18.

    python benchmarks/harness/augmentation.py --camvid DIR [--device cuda] [--rounds 5]

The changes are timed on the batches of unet_job.py, in turn within each round, against batches that are zoomed and
mirrored alone. CPU time of all threads, or a GPU's time by the clock, medians over the rounds; bars: 3 % a change of
values, none for turns.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from interleaving import add_device, prepare, work_seconds
from unet_job import CLASSES, CROP, crops, open_camvid, resident, train_a_block, unet

from segbench.config.augment import Augment
from segbench.engine.model.network import Segmenter

BATCHES, STEPS = 10, 5
ZOOMED = {"scale": (0.75, 1.5), "flip": True}
CHANGES = {
    "zoomed and mirrored": {},
    "rotate 30, shear 10, translate 0.1": {"rotate": 30, "shear": 10, "translate": 0.1},
    "jitter 0.2": {"jitter": 0.2},
    "hue 0.1": {"hue": 0.1},
    "gamma 0.3": {"gamma": 0.3},
    "grey 0.2": {"grey": 0.2},
    "blur 1.5": {"blur": 1.5},
    "noise 0.05": {"noise": 0.05},
    "cutmix 0.5": {"cutmix": 0.5},
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--camvid", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.set_defaults(precision="fp32", channels_last=False)
    add_device(parser)
    options = parser.parse_args()
    device = prepare(options)
    split = resident(open_camvid(options.camvid), "train", options)
    sources = {name: crops(split, options, 0, Augment(**ZOOMED, **change)) for name, change in CHANGES.items()}
    network = Segmenter(unet(), CLASSES).to(device)
    seconds: dict[str, list[float]] = {name: [] for name in [*CHANGES, "step"]}
    for start in range(0, options.rounds * BATCHES, BATCHES):
        for name, batches in sources.items():
            before = work_seconds(device)
            for step in range(start, start + BATCHES):
                batches.at(step)
            seconds[name].append((work_seconds(device) - before) / BATCHES)
        before = work_seconds(device)
        train_a_block(network, sources["zoomed and mirrored"], options, STEPS)
        seconds["step"].append((work_seconds(device) - before) / (STEPS + 10))
    print_shares({name: statistics.median(values) for name, values in seconds.items()})


def print_shares(seconds: dict[str, float]) -> None:
    """Print milliseconds a batch, and what each change adds to a step."""
    plain, step = seconds["zoomed and mirrored"], seconds["step"]
    print(f"a step of 8 crops of {CROP}: {1e3 * step:.0f} ms, its batch {1e3 * plain:.1f} ms")
    for name in CHANGES:
        print(f"{name:36} {1e3 * seconds[name]:7.1f} ms  {100 * (seconds[name] - plain) / step:+5.1f} % of a step")


if __name__ == "__main__":
    main()
