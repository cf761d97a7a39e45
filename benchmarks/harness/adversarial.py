"""Seconds of segbench's adversarial step against the two-pass form of the tutorials, as ratios; below 1, it is faster.

    python benchmarks/harness/adversarial.py [--camvid DIR] [--device cuda] [--precision bf16] [--rounds 3] [--steps 20]

Same job for all: U-Net ResNet-18 against PatchGAN-70 on image and label field, crops 192x256, batch 8, AdamW 1e-3 and
Adam 2e-4, cross-entropy plus the non-saturating loss. DIR holds images/, masks/ and splits/ of CamVid; without it all
train on one batch of noise. The candidates:

- `segbench`: its training loop with a recipe's defaults (straight-through encoding, void masked, health observed)
- `two-pass`: the generator runs without gradient for the discriminator's step and again for its own, which fills the
  discriminator's gradients too, zeroed later; softmax as it is, void not masked in the discriminator's loss; the
  batches, precision, memory format and allocator setting are segbench's
- `two-pass fp32`: the same in fp32, channels first, where that is something else
- `supervised`: segbench without the discriminator
- `unobserved`, `observed`: segbench that observes the game's health never, and at every step; the ratio of the two is
  scaled down to how often segbench observes, which tells more than the difference of one step in ten

Each candidate has a process of its own; blocks are interleaved, and the first 10 steps of a block are not counted. Of
the counted steps `segbench` observes the first, every tenth and the last, so take no fewer than 20.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from interleaving import Variant, add_flags, measure_interleaved, now, print_facts, ratios, spread
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot
from unet_job import (
    BATCH,
    CLASSES,
    CROP,
    IGNORE,
    MAPPING,
    VOCABULARY,
    WARM_UP,
    crops,
    open_camvid,
    resident,
    train_a_block,
    unet,
)

from segbench.config.augment import Augment
from segbench.config.optimizer import Optimizer
from segbench.config.recipe import Adversarial
from segbench.engine.adversarial.adversary import Adversary
from segbench.engine.adversarial.monitor import STEPS_PER_OBSERVATION, HealthLog
from segbench.engine.adversarial.pairing import discriminator_channels
from segbench.engine.data.batches import Batch
from segbench.engine.device import resolve_device
from segbench.engine.model.network import Segmenter
from segbench.engine.model.optimizers import build_optimizer
from segbench.engine.numerics import autocast, keep_freed_memory, memory_format
from segbench.registry import load_registry
from segbench.registry.options import build

if TYPE_CHECKING:
    from segbench.engine.data.batches import BatchSource
    from segbench.engine.training.loop import Outcome

RECIPE = Adversarial(use="gan/non_saturating")


class Noise:
    """One batch of random images and labels, a tenth of them void, again and again."""

    images_per_epoch = BATCH

    def __init__(self, options: argparse.Namespace) -> None:
        torch.manual_seed(0)
        images = torch.randn(BATCH, 3, *CROP).contiguous(memory_format=memory_format(options.channels_last))
        labels = torch.randint(CLASSES, (BATCH, *CROP))
        labels = labels.masked_fill(torch.rand(labels.shape) < 0.1, IGNORE)
        device = resolve_device(options.device)
        self.batch = Batch(images.to(device), labels.to(device), tuple(range(BATCH)))

    def at(self, step: int) -> Batch:
        """Return the batch."""
        return self.batch


def batches(options: argparse.Namespace) -> tuple[BatchSource, BatchSource]:
    """Return what is trained on, and the discriminator's unseen reals."""
    if options.camvid is None:
        return Noise(options), Noise(options)
    dataset = open_camvid(options.camvid)
    augment = Augment(scale=(0.75, 1.5), flip=True)
    return (
        crops(resident(dataset, "train", options), options, 0, augment),
        crops(resident(dataset, "val", options), options, 0, Augment()),
    )


def patchgan(options: argparse.Namespace) -> torch.nn.Module:
    """Build the discriminator that all candidates train."""
    torch.manual_seed(1)
    vocabulary = {**VOCABULARY, "in_channels": discriminator_channels(MAPPING.maps, 3, MAPPING.form), "size": CROP}
    discriminator = build(load_registry().find("discriminator", "gan/patchgan"), vocabulary, {"receptive_field": 70})
    return discriminator.train().to(resolve_device(options.device), memory_format=memory_format(options.channels_last))


class Supervised:
    """segbench without a discriminator."""

    adversary: Adversary | None = None

    def __init__(self, options: argparse.Namespace) -> None:
        keep_freed_memory()
        self.options = options
        self.batches, self.unseen = batches(options)
        self.device = resolve_device(options.device)
        self.network = Segmenter(unet(), CLASSES).to(self.device).to(memory_format=memory_format(options.channels_last))

    def block(self, steps: int) -> float:
        """Return the seconds of a step."""
        return BATCH / self.train(steps).images_per_second

    def train(self, steps: int) -> Outcome:
        """Train for so many steps after the warm-up."""
        return train_a_block(self.network, self.batches, self.options, steps, self.adversary)

    def result(self) -> None:
        """Return nothing: only the time counts."""


class Ours(Supervised):
    """segbench with a discriminator."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.adversary = Adversary(
            discriminator=patchgan(options),
            loss=build(load_registry().find("loss", RECIPE.use), VOCABULARY, {}),
            penalty=None,
            recipe=RECIPE,
            mapping=MAPPING,
            device=self.device,
            precision=options.precision,
            validation=self.unseen,
        )


class Unobserved(Ours):
    """segbench that never looks at the game's health."""

    def block(self, steps: int) -> float:
        """Return the seconds of a step."""
        HealthLog.is_due = lambda *_: False
        return super().block(steps)


class Observed(Ours):
    """segbench that looks at the game's health at every step."""

    def block(self, steps: int) -> float:
        """Return the seconds of a step."""
        HealthLog.is_due = lambda *_: True
        return super().block(steps)


class TwoPass:
    """The two steps as tutorials write them."""

    def __init__(self, options: argparse.Namespace) -> None:
        keep_freed_memory()
        self.precision, self.device = options.precision, resolve_device(options.device)
        self.batches, _ = batches(options)
        self.generator = unet().train().to(self.device, memory_format=memory_format(options.channels_last))
        self.discriminator = patchgan(options)
        self.generator_optimizer = build_optimizer(Optimizer(), self.generator)
        self.discriminator_optimizer = build_optimizer(RECIPE.optimizer, self.discriminator)
        self.done = 0

    def block(self, steps: int) -> float:
        """Return the seconds of a step."""
        for step in range(WARM_UP + steps):
            if step == WARM_UP:
                started = now(self.device)
            batch = self.batches.at(self.done)
            self.done += 1
            self.train_discriminator(batch)
            self.train_generator(batch)
        return (now(self.device) - started) / steps

    def train_discriminator(self, batch: Batch) -> None:
        """Take the discriminator's step."""
        valid = batch.labels != IGNORE
        real = one_hot(batch.labels * valid, CLASSES).permute(0, 3, 1, 2).float() * valid[:, None]
        with autocast(self.device, self.precision):
            with torch.no_grad():
                fake = self.generator(batch.images).softmax(1) * valid[:, None]
            on_real = self.discriminator(torch.cat([batch.images, real], 1)).float()
            on_fake = self.discriminator(torch.cat([batch.images, fake], 1)).float()
        loss = binary_cross_entropy_with_logits(on_real, torch.ones_like(on_real))
        loss = loss + binary_cross_entropy_with_logits(on_fake, torch.zeros_like(on_fake))
        self.discriminator_optimizer.zero_grad()
        loss.backward()
        self.discriminator_optimizer.step()

    def train_generator(self, batch: Batch) -> None:
        """Take the generator's step."""
        with autocast(self.device, self.precision):
            logits = self.generator(batch.images)
            fake = logits.softmax(1) * (batch.labels != IGNORE)[:, None]
            on_fake = self.discriminator(torch.cat([batch.images, fake], 1)).float()
        loss = cross_entropy(logits.float(), batch.labels, ignore_index=IGNORE)
        loss = loss + RECIPE.weight * binary_cross_entropy_with_logits(on_fake, torch.ones_like(on_fake))
        self.generator_optimizer.zero_grad()
        loss.backward()
        self.generator_optimizer.step()

    def result(self) -> None:
        """Return nothing: only the time counts."""


CANDIDATES = {
    "segbench": Ours,
    "two-pass": TwoPass,
    "two-pass fp32": Variant(TwoPass, {"precision": "fp32", "channels_last": False}),
    "supervised": Supervised,
    "unobserved": Unobserved,
    "observed": Observed,
}


def main() -> None:
    """Measure and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camvid", type=Path)
    add_flags(parser)
    options = parser.parse_args()
    candidates = dict(CANDIDATES)
    if options.precision == "fp32" and not options.channels_last:
        del candidates["two-pass fp32"]
    seconds, _ = measure_interleaved(candidates, options)
    print_facts(options)
    print(f"segbench / two-pass: {spread(ratios(seconds['segbench'], seconds['two-pass']))}, goal at most 0.92")
    if "two-pass fp32" in seconds:
        against = spread(ratios(seconds["segbench"], seconds["two-pass fp32"]))
        print(f"segbench / two-pass fp32, channels first: {against}, goal at most 0.6 where bf16 is native")
    print(f"adversarial / supervised step: {spread(ratios(seconds['segbench'], seconds['supervised']))}")
    extra = [(ratio - 1) / STEPS_PER_OBSERVATION for ratio in ratios(seconds["observed"], seconds["unobserved"])]
    print(f"share of health, observed at one step in {STEPS_PER_OBSERVATION}: {spread(extra)}, goal at most 0.03")


if __name__ == "__main__":
    main()
