"""Memory and seconds of decoding and evaluating one large image, over its size.

    python benchmarks/harness/large_images.py [--sides 2500 5000 10000] [--classes 5] [--folder DIR]

Each size is two processes: one decodes a tiled TIFF and its mask into the cache, one evaluates a convolution
on it with windows of 512 x 512 and all counts. Memory is what the process holds at most beside files, with Python and
torch themselves ("before"): pages of mapped files can be given back at any time. Linux only; needs the extra `large`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from segbench.config.protocol import Budget, TrainingProtocol, Window
from segbench.engine.data.cache import open_packed, write_packed
from segbench.engine.data.resident import ResidentSplit
from segbench.engine.evaluation.evaluate import evaluate
from segbench.registry import load_registry
from segbench.registry.datasets import open_dataset


def anonymous_megabytes() -> float:
    """Return the memory of this process that belongs to no file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("RssAnon:"))) / 1024


def measure(work) -> str:
    """Do some work and say what it took."""
    before, peak, done = anonymous_megabytes(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], anonymous_megabytes())

    thread, start = threading.Thread(target=watch), time.perf_counter()
    thread.start()
    work()
    seconds = time.perf_counter() - start
    done.set()
    thread.join()
    return f"{before:.0f} MB before, {max(0, peak[0] - before):.0f} MB more, {seconds:.0f} s"


def make_files(root: Path, side: int, classes: int) -> None:
    """Write an image and its mask, of blocks of 50 pixels, unless they are there."""
    import tifffile

    coarse = np.random.default_rng(0).integers(0, classes, (side // 50, side // 50)).astype(np.uint8)
    labels = coarse.repeat(50, axis=0).repeat(50, axis=1)
    image = np.stack([labels * 9, labels * 5 + 20, 255 - labels * 7], axis=2)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(root / "images/a.tif", image, photometric="rgb", tile=(512, 512), compression="zlib")
    Image.fromarray(labels).save(root / "masks/a.png", compress_level=1)


def run_part(part: str, root: Path, classes: int) -> None:
    """Decode or evaluate, and print what it took."""
    options = {"classes": [f"c{i}" for i in range(classes)], "fractions": {"test": 1.0}}
    dataset = open_dataset(load_registry().find("dataset", "data/folder"), str(root), options)
    packed = root / "packed"
    torch.set_num_threads(1)
    if part == "decode":
        packed.mkdir()
        print(measure(lambda: write_packed(dataset, "test", packed)))
        return
    protocol = TrainingProtocol(budget=Budget(steps=1), batch_size=1, window=Window(size=(512, 512), stride=(384, 384)))
    network = torch.nn.Conv2d(3, classes, 3, padding=1)
    split = ResidentSplit(open_packed(packed), torch.device("cpu"))
    print(measure(lambda: evaluate(network, split, protocol, dataset)))


def main() -> None:
    """Measure every size, or one part of one in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[2500, 5000, 10000])
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--part", choices=["decode", "evaluate"])
    arguments = parser.parse_args()
    if arguments.part:
        run_part(arguments.part, arguments.folder, arguments.classes)
        return
    for side in arguments.sides:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            make_files(Path(folder), side, arguments.classes)
            for part in ("decode", "evaluate"):
                command = [sys.executable, __file__, "--part", part, "--folder", folder]
                found = subprocess.run(
                    [*command, "--classes", str(arguments.classes)], check=True, capture_output=True, text=True
                )
                print(f"{side} x {side}, {part}: {found.stdout.strip()}", flush=True)


if __name__ == "__main__":
    main()
