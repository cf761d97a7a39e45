"""Training images/s of segbench against the bare model (`limit`) and a hand-written loop (`plain`).

    python benchmarks/harness/training.py --camvid DIR [--precision bf16] [--rounds 3] [--steps 20]

Same job for all: U-Net ResNet-18, CamVid, crops 192x256, batch 8, AdamW. DIR holds images/, masks/ and splits/. `limit`
shares segbench's precision and memory format and steps on fixed tensors; `plain` is what one writes in an afternoon:
DataLoader with two workers, PIL, torchvision v2, fp32. Blocks of the rivals are dealt in turn, every rival's warm-up apart.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from PIL import Image
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2

from segbench.engine.data.batches import TrainingBatches
from segbench.engine.data.cache import pack
from segbench.engine.data.resident import ResidentSplit
from segbench.engine.network import Segmenter
from segbench.engine.precision import autocast, memory_format
from segbench.engine.train import Training, train
from segbench.plan.fingerprint import fingerprint
from segbench.registry import load_registry
from segbench.registry.datasets import open_dataset
from segbench.registry.options import build
from segbench.spec.protocol import Augment, Protocol

CPU = torch.device("cpu")
BATCH, CROP, CLASSES, IGNORE = 8, (192, 256), 11, 255
Block = Callable[[int], float]


def unet() -> torch.nn.Module:
    """Build the network that all rivals train."""
    torch.manual_seed(0)
    return smp.Unet("resnet18", encoder_weights=None, classes=CLASSES)


def limit_block(precision: str, channels_last: bool) -> Block:
    """Step on fixed tensors."""
    layout = memory_format(channels_last)
    network = unet().to(memory_format=layout)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, fused=True)
    images = torch.randn(BATCH, 3, *CROP).contiguous(memory_format=layout)
    labels = torch.randint(0, CLASSES, (BATCH, *CROP))

    def block(steps: int) -> float:
        started = time.perf_counter()
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            with autocast(CPU, precision):
                logits = network(images)
            cross_entropy(logits.float(), labels).backward()
            optimizer.step()
        return steps * BATCH / (time.perf_counter() - started)

    return block


class PlainCamVid(torch.utils.data.Dataset):
    """PIL decoding and torchvision v2 augmentation, one sample at a time."""

    def __init__(self, root: Path) -> None:
        stems = (root / "splits" / "train.txt").read_text().split()
        self.files = [(root / "images" / f"{stem}.jpg", root / "masks" / f"{stem}.png") for stem in stems]
        self.transform = v2.Compose(
            [
                v2.ScaleJitter((360, 480), scale_range=(0.75, 1.5)),
                v2.RandomCrop(CROP, pad_if_needed=True, fill={tv_tensors.Image: 0, tv_tensors.Mask: IGNORE}),
                v2.RandomHorizontalFlip(),
                v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64, "others": None}, scale=True),
                v2.Normalize([0.5] * 3, [0.5] * 3),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, mask = (Image.open(path) for path in self.files[index])
        labels = tv_tensors.Mask(torch.from_numpy(np.array(mask)))
        return self.transform(tv_tensors.Image(image.convert("RGB")), labels)


def plain_block(root: Path) -> Block:
    """Run a hand-written loop: fp32, default optimiser and memory format."""
    network = unet()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    loader = DataLoader(PlainCamVid(root), BATCH, shuffle=True, num_workers=2, drop_last=True, persistent_workers=True)
    stream = endless(loader)

    def block(steps: int) -> float:
        started = time.perf_counter()
        for _ in range(steps):
            images, labels = next(stream)
            optimizer.zero_grad()
            loss = cross_entropy(network(images), labels, ignore_index=IGNORE)
            loss.backward()
            optimizer.step()
        return steps * BATCH / (time.perf_counter() - started)

    return block


def endless(loader: DataLoader):
    """Yield batches for ever."""
    while True:
        yield from loader


class Silent:
    """A channel to nobody."""

    def emit(self, event: str, **fields: object) -> None:
        """Drop the event."""

    def stop_requested(self) -> bool:
        """Never stop."""
        return False


def segbench_block(root: Path, precision: str, channels_last: bool) -> Block:
    """Run segbench's own training loop; each block is a training of its own, its warm-up of 10 steps not counted."""
    registry = load_registry()
    dataset = open_dataset(registry.find("dataset", "data/camvid"), str(root), {})
    split = ResidentSplit(pack(dataset, "train", fingerprint(dataset)), CPU)
    loss = build(
        registry.find("loss", "losses/cross_entropy"),
        {"num_classes": CLASSES, "ignore_index": IGNORE},
        {},
    )
    network = Segmenter(unet(), CLASSES).to(memory_format=memory_format(channels_last))

    def block(steps: int) -> float:
        protocol = Protocol(budget={"steps": steps + 10}, batch_size=BATCH, precision=precision)
        batches = TrainingBatches(
            split,
            batch_size=BATCH,
            crop=CROP,
            augment=Augment(scale=(0.75, 1.5), flip=True),
            ignore_index=IGNORE,
            seed=0,
            memory_format=memory_format(channels_last),
        )
        training = Training(network, [(1.0, loss)], batches, lambda network: 0.0, protocol, 0, IGNORE, CPU)
        rate = train(training, Path("/nonexistent/checkpoint"), 1e9, Silent()).images_per_second
        assert rate is not None
        return rate

    return block


def main() -> None:
    """Measure and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camvid", type=Path, required=True)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--contiguous", action="store_true", help="NCHW instead of channels_last")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    channels_last = not options.contiguous
    blocks = {
        "limit": limit_block(options.precision, channels_last),
        "plain": plain_block(options.camvid),
        "segbench": segbench_block(options.camvid, options.precision, channels_last),
    }
    rates: dict[str, list[float]] = {name: [] for name in blocks}
    for name in ("limit", "plain"):
        blocks[name](3)
    for _ in range(options.rounds):
        for name, block in blocks.items():
            rates[name].append(block(options.steps))
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{options.precision}, {'channels_last' if channels_last else 'contiguous'}")
    for name, values in rates.items():
        print(f"{name:9} {statistics.median(values):7.2f} images/s  (blocks: {', '.join(f'{v:.2f}' for v in values)})")
    for rival in ("limit", "plain"):
        ratios = [ours / theirs for ours, theirs in zip(rates["segbench"], rates[rival], strict=True)]
        print(f"segbench / {rival}: {statistics.median(ratios):.3f}  (rounds: {', '.join(f'{r:.3f}' for r in ratios)})")


if __name__ == "__main__":
    main()
