"""Resident memory of the data path, against the uint8 size of the split.

    python benchmarks/harness/data_memory.py --camvid DIR

Decodes CamVid's training split into the cache, takes two epochs of augmented batches (8 x 192x256), and prints by how
much the process grew. Linux only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from segbench.config.augment import Augment
from segbench.engine.data.batches import TrainingBatches
from segbench.engine.data.cache import pack
from segbench.engine.data.resident import ResidentSplit
from segbench.plan.key import fingerprint
from segbench.registry import load_registry
from segbench.registry.datasets import open_dataset

BATCH, CROP = 8, (192, 256)


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:"))) * 1024


def main() -> None:
    """Measure and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camvid", type=Path, required=True)
    root = parser.parse_args().camvid
    dataset = open_dataset(load_registry().find("dataset", "data/camvid"), str(root), {})
    key = fingerprint(dataset)
    torch.nn.functional.grid_sample(torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 2, 2), align_corners=False)
    before = resident_bytes()
    split = ResidentSplit(pack(dataset, "train", key), torch.device("cpu"))
    augment = Augment(scale=(0.75, 1.5), flip=True)
    batches = TrainingBatches(split, batch_size=BATCH, crop=CROP, augment=augment, ignore_index=255, seed=0)
    for step in range(2 * len(split) // BATCH):
        batches.at(step)
    grown, size = resident_bytes() - before, split.packed.nbytes
    print(f"split {size / 2**20:.0f} MiB, process grew by {grown / 2**20:.0f} MiB: ratio {grown / size:.3f}")


if __name__ == "__main__":
    main()
