"""Training images/s of segbench against the bare model (`limit`) and a hand-written loop (`plain`), and mIoU.

    python benchmarks/harness/training.py --camvid DIR [--device cuda] [--precision bf16] [--rounds 3] [--steps 20]

Same job for all: U-Net ResNet-18, CamVid, crops 192x256, batch 8, AdamW 1e-3. DIR holds images/, masks/ and splits/.
`limit` shares segbench's precision, memory format and allocator setting and steps on fixed tensors; `plain` is what one
writes in an afternoon: DataLoader with two workers, PIL, torchvision v2, fp32, torchmetrics on training predictions.
On a GPU all have the same rules of TF32 and of the search for kernels, and the clock is read when its work is done.
Each candidate has a process of its own; blocks are interleaved, and the first 10 steps of a block are not counted.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np
import torch
from interleaving import add_flags, measure_interleaved, now, print_facts, ratios, spread
from PIL import Image
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassJaccardIndex
from torchvision import tv_tensors
from torchvision.transforms import v2
from unet_job import (
    BATCH,
    CLASSES,
    CROP,
    IGNORE,
    WARM_UP,
    crops,
    open_camvid,
    protocol_of,
    resident,
    train_a_block,
    unet,
)

from segbench.config.augment import Augment
from segbench.engine.device import resolve_device
from segbench.engine.evaluation.evaluate import validation_miou
from segbench.engine.model.network import Segmenter
from segbench.engine.numerics import autocast, keep_freed_memory, memory_format


class Limit:
    """The bare model stepping on fixed tensors."""

    def __init__(self, options: argparse.Namespace) -> None:
        keep_freed_memory()
        layout = memory_format(options.channels_last)
        self.precision, self.device = options.precision, resolve_device(options.device)
        self.network = unet().to(self.device, memory_format=layout)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), 1e-3, fused=True)
        self.images = torch.randn(BATCH, 3, *CROP).to(self.device).contiguous(memory_format=layout)
        self.labels = torch.randint(0, CLASSES, (BATCH, *CROP)).to(self.device)

    def block(self, steps: int) -> float:
        """Return images/s."""
        for step in range(WARM_UP + steps):
            if step == WARM_UP:
                started = now(self.device)
            self.optimizer.zero_grad(set_to_none=True)
            with autocast(self.device, self.precision):
                logits = self.network(self.images)
            cross_entropy(logits.float(), self.labels).backward()
            self.optimizer.step()
        return steps * BATCH / (now(self.device) - started)

    def result(self) -> float:
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
        self.device = resolve_device(options.device)
        self.network = unet().to(self.device)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), 1e-3)
        self.metric = MulticlassJaccardIndex(CLASSES, ignore_index=IGNORE).to(self.device)
        self.stream = self.endless()
        self.speed_only = options.speed_only

    def endless(self):
        """Yield batches for ever."""
        while True:
            yield from self.loader

    def block(self, steps: int) -> float:
        """Return images/s."""
        self.network.train()
        for step in range(WARM_UP + steps):
            if step == WARM_UP:
                started = now(self.device)
            images, labels = (one.to(self.device) for one in next(self.stream))
            self.optimizer.zero_grad()
            logits = self.network(images)
            loss = cross_entropy(logits, labels, ignore_index=IGNORE)
            loss.backward()
            self.optimizer.step()
            self.metric.update(logits.detach(), labels)
        return steps * BATCH / (now(self.device) - started)

    def result(self) -> float:
        """Return the mIoU on the test split."""
        if self.speed_only:
            return float("nan")
        self.metric.reset()
        self.network.eval()
        with torch.inference_mode():
            for images, labels in self.test:
                self.metric.update(self.network(images.to(self.device)), labels.to(self.device))
        return float(self.metric.compute())


class Ours:
    """segbench's own training loop; each block is a training of its own on the same network."""

    def __init__(self, options: argparse.Namespace) -> None:
        keep_freed_memory()
        self.options = options
        self.layout = memory_format(options.channels_last)
        self.dataset = open_camvid(options.camvid)
        self.split = resident(self.dataset, "train", options)
        self.network = Segmenter(unet(), CLASSES).to(self.split.device).to(memory_format=self.layout)
        self.blocks = 0

    def block(self, steps: int) -> float:
        """Return images/s."""
        batches = crops(self.split, self.options, self.blocks, Augment(scale=(0.75, 1.5), flip=True))
        self.blocks += 1
        return train_a_block(self.network, batches, self.options, steps).images_per_second

    def result(self) -> float:
        """Return the mIoU on the test split."""
        if self.options.speed_only:
            return float("nan")
        test = resident(self.dataset, "test", self.options)
        return validation_miou(self.network, test, protocol_of(self.options), self.dataset)


CANDIDATES = {"limit": Limit, "plain": Plain, "segbench": Ours}


def main() -> None:
    """Measure and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camvid", type=Path, required=True)
    add_flags(parser)
    parser.add_argument("--speed-only", action="store_true", help="leave out the mIoU")
    options = parser.parse_args()
    rates, mious = measure_interleaved(CANDIDATES, options)
    print_facts(options)
    for name, values in rates.items():
        blocks = ", ".join(f"{value:.2f}" for value in values)
        print(f"{name:9} {statistics.median(values):7.2f} images/s (blocks: {blocks}), test mIoU {mious[name]:.4f}")
    for other in ("limit", "plain"):
        print(f"segbench / {other}: {spread(ratios(rates['segbench'], rates[other]))}")


if __name__ == "__main__":
    main()
