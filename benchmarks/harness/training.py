"""Training images/s of segbench against the bare model (`limit`) and a hand-written loop (`plain`), and mIoU.

    python benchmarks/harness/training.py --camvid DIR [--precision bf16] [--rounds 3] [--steps 20]

Same job for all: U-Net ResNet-18, CamVid, crops 192x256, batch 8, AdamW 1e-3. DIR holds images/, masks/ and splits/.
`limit` shares segbench's precision, memory format and allocator setting and steps on fixed tensors; `plain` is what one
writes in an afternoon: DataLoader with two workers, PIL, torchvision v2, fp32, torchmetrics on training predictions.
Each rival has a process of its own; blocks are dealt in turn, and the first 10 steps of a block are not counted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import segmentation_models_pytorch as smp
import torch
from PIL import Image
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassJaccardIndex
from torchvision import tv_tensors
from torchvision.transforms import v2

from segbench.engine.data.batches import TrainingBatches
from segbench.engine.data.cache import pack
from segbench.engine.data.resident import ResidentSplit
from segbench.engine.evaluate import evaluate
from segbench.engine.memory import keep_freed_memory
from segbench.engine.network import Segmenter
from segbench.engine.precision import autocast, memory_format
from segbench.engine.train import Training, train
from segbench.plan.fingerprint import fingerprint
from segbench.registry import load_registry
from segbench.registry.datasets import open_dataset
from segbench.registry.options import build
from segbench.spec.protocol import Augment, Protocol
from segbench.stats.scores import scores

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

CPU = torch.device("cpu")
BATCH, CROP, CLASSES, IGNORE, WARM_UP = 8, (192, 256), 11, 255, 10


def unet() -> torch.nn.Module:
    """Build the network that all rivals train."""
    torch.manual_seed(0)
    return smp.Unet("resnet18", encoder_weights=None, classes=CLASSES)


class Limit:
    """The bare model stepping on fixed tensors."""

    def __init__(self, options: argparse.Namespace) -> None:
        keep_freed_memory()
        layout = memory_format(options.channels_last)
        self.precision = options.precision
        self.network = unet().to(memory_format=layout)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), 1e-3, fused=True)
        self.images = torch.randn(BATCH, 3, *CROP).contiguous(memory_format=layout)
        self.labels = torch.randint(0, CLASSES, (BATCH, *CROP))

    def block(self, steps: int) -> float:
        """Return images/s."""
        for step in range(WARM_UP + steps):
            if step == WARM_UP:
                started = time.perf_counter()
            self.optimizer.zero_grad(set_to_none=True)
            with autocast(CPU, self.precision):
                logits = self.network(self.images)
            cross_entropy(logits.float(), self.labels).backward()
            self.optimizer.step()
        return steps * BATCH / (time.perf_counter() - started)

    def miou(self) -> float:
        """Return nothing of interest: noise was learnt."""
        return float("nan")


class PlainCamVid(torch.utils.data.Dataset):
    """PIL decoding and torchvision v2, one sample at a time."""

    def __init__(self, root: Path, split: str, transform: v2.Transform) -> None:
        stems = (root / "splits" / f"{split}.txt").read_text().split()
        self.files = [(root / "images" / f"{stem}.jpg", root / "masks" / f"{stem}.png") for stem in stems]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, mask = (Image.open(path) for path in self.files[index])
        labels = tv_tensors.Mask(torch.from_numpy(np.array(mask)))
        return self.transform(tv_tensors.Image(image.convert("RGB")), labels)


class Plain:
    """A hand-written loop: fp32, PyTorch's defaults."""

    def __init__(self, options: argparse.Namespace) -> None:
        to_float = [
            v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64, "others": None}, scale=True),
            v2.Normalize([0.5] * 3, [0.5] * 3),
        ]
        augment = [
            v2.ScaleJitter((360, 480), scale_range=(0.75, 1.5)),
            v2.RandomCrop(CROP, pad_if_needed=True, fill={tv_tensors.Image: 0, tv_tensors.Mask: IGNORE}),
            v2.RandomHorizontalFlip(),
        ]
        train_set = PlainCamVid(options.camvid, "train", v2.Compose([*augment, *to_float]))
        self.loader = DataLoader(train_set, BATCH, shuffle=True, num_workers=2, drop_last=True, persistent_workers=True)
        self.test = DataLoader(PlainCamVid(options.camvid, "test", v2.Compose(to_float)), BATCH, num_workers=2)
        self.network = unet()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), 1e-3)
        self.metric = MulticlassJaccardIndex(CLASSES, ignore_index=IGNORE)
        self.stream = self.endless()

    def endless(self):
        """Yield batches for ever."""
        while True:
            yield from self.loader

    def block(self, steps: int) -> float:
        """Return images/s."""
        self.network.train()
        for step in range(WARM_UP + steps):
            if step == WARM_UP:
                started = time.perf_counter()
            images, labels = next(self.stream)
            self.optimizer.zero_grad()
            logits = self.network(images)
            loss = cross_entropy(logits, labels, ignore_index=IGNORE)
            loss.backward()
            self.optimizer.step()
            self.metric.update(logits.detach(), labels)
        return steps * BATCH / (time.perf_counter() - started)

    def miou(self) -> float:
        """Return the mIoU on the test split."""
        self.metric.reset()
        self.network.eval()
        with torch.inference_mode():
            for images, labels in self.test:
                self.metric.update(self.network(images), labels)
        return float(self.metric.compute())


class Silent:
    """A channel to nobody."""

    def emit(self, event: str, **fields: object) -> None:
        """Drop the event."""

    def stop_requested(self) -> bool:
        """Never stop."""
        return False


class Ours:
    """segbench's own training loop; each block is a training of its own on the same network."""

    def __init__(self, options: argparse.Namespace) -> None:
        keep_freed_memory()
        registry = load_registry()
        self.layout = memory_format(options.channels_last)
        self.precision = options.precision
        self.dataset = open_dataset(registry.find("dataset", "data/camvid"), str(options.camvid), {})
        self.key = fingerprint(self.dataset)
        self.split = self.resident("train")
        vocabulary = {"num_classes": CLASSES, "ignore_index": IGNORE}
        self.loss = build(registry.find("loss", "losses/cross_entropy"), vocabulary, {})
        self.network = Segmenter(unet(), CLASSES).to(memory_format=self.layout)
        self.blocks = 0

    def resident(self, split: str) -> ResidentSplit:
        """Return a split of CamVid."""
        return ResidentSplit(pack(self.dataset, split, self.key), CPU)

    def block(self, steps: int) -> float:
        """Return images/s."""
        protocol = Protocol(
            budget={"steps": WARM_UP + steps}, batch_size=BATCH, precision=self.precision, schedule="constant"
        )
        batches = TrainingBatches(
            self.split,
            batch_size=BATCH,
            crop=CROP,
            augment=Augment(scale=(0.75, 1.5), flip=True),
            ignore_index=IGNORE,
            seed=self.blocks,
            memory_format=self.layout,
        )
        self.blocks += 1
        training = Training(self.network, [(1.0, self.loss)], batches, lambda _: 0.0, protocol, 0, IGNORE, CPU)
        rate = train(training, Path("/nonexistent/checkpoint"), 1e9, Silent()).images_per_second
        assert rate is not None
        return rate

    def miou(self) -> float:
        """Return the mIoU on the test split."""
        counts = evaluate(
            self.network,
            self.resident("test"),
            split="test",
            num_classes=CLASSES,
            ignore_index=IGNORE,
            batch_size=BATCH,
            precision=self.precision,
            memory_format=self.layout,
            window=None,
        )
        return scores(counts.confusion.sum(axis=0)).miou or 0.0


RIVALS = {"limit": Limit, "plain": Plain, "segbench": Ours}


def serve(name: str, options: argparse.Namespace, connection: Connection) -> None:
    """Run blocks as they are asked for, then evaluate."""
    rival = RIVALS[name](options)
    while (steps := connection.recv()) is not None:
        connection.send(rival.block(steps))
    connection.send(float("nan") if options.speed_only else rival.miou())


def main() -> None:
    """Measure and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camvid", type=Path, required=True)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--speed-only", action="store_true", help="leave out the mIoU")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    connections, rates = {}, {name: [] for name in RIVALS}
    for name in RIVALS:
        connections[name], theirs = context.Pipe()
        context.Process(target=serve, args=(name, options, theirs)).start()
    for _ in range(options.rounds):
        for name, connection in connections.items():
            connection.send(options.steps)
            rates[name].append(connection.recv())
    miou = {}
    for name, connection in connections.items():
        connection.send(None)
        miou[name] = connection.recv()
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{options.precision}, {'channels_last' if options.channels_last else 'contiguous'}")
    for name, values in rates.items():
        blocks = ", ".join(f"{value:.2f}" for value in values)
        print(f"{name:9} {statistics.median(values):7.2f} images/s (blocks: {blocks}), test mIoU {miou[name]:.4f}")
    for rival in ("limit", "plain"):
        ratios = [ours / theirs for ours, theirs in zip(rates["segbench"], rates[rival], strict=True)]
        print(f"segbench / {rival}: {statistics.median(ratios):.3f} (rounds: {', '.join(f'{r:.3f}' for r in ratios)})")


if __name__ == "__main__":
    main()
