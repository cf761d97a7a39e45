"""A benchmark with a method for everything that a generator may map, of images of five channels and four classes."""

from __future__ import annotations

import torch
from torch import nn

from segbench.engine.data.batches import Batch

BENCHMARK = """
name: test
datasets: {shapes: {use: data/shapes, size: [24, 32], classes: 4, train: 6, val: 2, test: 3, channels: 5}}
protocol: {budget: {steps: 1}, batch_size: 2, crop: [16, 20]}
seeds: [0]
methods:
  base: {generator: {use: basic/fcn, width: 4}, losses: [{use: losses/cross_entropy, weight: 0.5}, losses/dice]}
  critic:
    extends: base
    discriminator: {use: gan/patchgan, receptive_field: 16, width: 4}
    adversarial: {use: gan/hinge, encoding: {use: smoothed, smoothing: 0.2}, conditional: CONDITIONAL}
  product: {extends: critic, adversarial: {encoding: product}}
  colours:
    extends: critic
    generator: {use: gan/conv_colours, width: 2}
    losses: [gan/l1]
    adversarial: {encoding: null}
  refiner: {extends: critic, generator: {use: refine/unet, width: 2, depth: 1}, refines: {method: base, folds: 2}}
  painter:
    generator: {use: gan/spade, width: 4, depth: 1}
    discriminator: {use: gan/patchgan, receptive_field: 16, width: 4}
    adversarial: {use: gan/hinge, conditional: CONDITIONAL}
    latent_channels: 7
  noise: {extends: painter, generator: {use: gan/dcgan, width: 4}}
  joint: {extends: painter, generator: {use: gan/joint, width: 4}}
"""


def parts(planned, name: str, *changes: str, conditional: bool = True):
    """Return the cell of a method, the registry and the cell's data."""
    benchmark = planned(BENCHMARK.replace("CONDITIONAL", str(conditional).lower()), *changes)
    return benchmark.cells[name], benchmark.registry, benchmark.data(name)


def first_convolution(module: nn.Module) -> nn.Conv2d:
    """Return the convolution that sees the input."""
    return next(part for part in module.modules() if isinstance(part, nn.Conv2d))


def data_batch(num_classes: int, channels: int):
    """Return a batch of two images with uniform class probabilities."""
    labels = torch.randint(num_classes, (2, 16, 20))
    fields = torch.full((2, num_classes, 16, 20), 1 / num_classes)
    return Batch(torch.rand(2, channels, 16, 20), labels, (0, 1), fields)
