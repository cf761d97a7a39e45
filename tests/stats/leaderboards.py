"""Simulated leaderboards of a known truth: scores of methods move with seeds, with images, and with both together."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from segbench.stats.evidence import Evidence

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# What a union has beyond the pixels of the truth, on the average image.
EXCESS = 0.1


@dataclass(frozen=True)
class World:
    """How leaderboards come about; spreads are standard deviations of IoU.

    Each class is in an image with probability `presence`, with a log-normal area. IoU moves with the image for all
    methods alike (`difficulty`), for each method by itself (`image`), with its seed (`seed`), and with both (`both`).
    Images of a cluster share four fifths of the variance of what moves with images. `gains` is what each method's IoU
    lies above that of the first. A seed moves all methods that are trained with it on one machine alike by `shared`; of
    the first method's seeds the share `elsewhere` comes from another machine, on which they move by themselves. The
    first collapses in a seed with probability `collapses`, which costs it `drop`; in
    all other seeds it is better by what makes its expectation the same.

    With `folds` the images are cross-validated: a seed is a network for each fold, which starts and moves by itself
    (`network`), so that what all of a seed share (`seed`) is 0, and by what each of its training images, those of the
    other folds, does to networks of its method (`teaching` in all). An image that is hard for a method teaches it more.
    """

    seeds: int = 6
    images: int = 48
    classes: int = 4
    gains: tuple[float, ...] = (0.0,) * 8
    seed: float = 0.01
    difficulty: float = 0.1
    image: float = 0.05
    both: float = 0.05
    presence: float = 0.5
    area: float = 1.0
    cluster: int = 1
    shared: float = 0.0
    elsewhere: float = 0.0
    collapses: float = 0.0
    drop: float = 0.0
    folds: int = 1
    network: float = 0.0
    teaching: float = 0.0


class Leaderboard(NamedTuple):
    """What was counted, and the true mIoU of each method: its expectation over seeds, on images without end.

    Under cross-validation it is that of networks trained on the training images of the folds, as these are.
    `collapsed` tells with which seeds the first method collapsed.
    """

    evidence: Evidence
    truth: np.ndarray
    collapsed: np.ndarray


def evidence_of(hits: ArrayLike, whole: ArrayLike, clusters: tuple[str, ...] | None = None) -> Evidence:
    """Return the evidence of arrays (methods, seeds, images, classes); the methods are called a, b, c and so on."""
    hits, whole = np.asarray(hits, dtype=np.int64), np.asarray(whole, dtype=np.int64)
    methods, seeds, images, _ = hits.shape
    names = tuple("abcdefgh"[:methods])
    return Evidence(names, tuple(range(seeds)), tuple(f"{i:03}" for i in range(images)), hits, whole, clusters)


def leaderboard(world: World, generator: np.random.Generator) -> Leaderboard:
    """Return a leaderboard of a world.

    Areas do not depend on how hard an image is, so the expected hits of a class are its expected area times the mean
    IoU, and its truth is exact.
    """
    methods, classes = len(world.gains), world.classes
    share = 0.5 + np.array(world.gains)[:, None, None] + _moves(world, generator)
    taught = np.zeros(len(world.gains))
    if world.folds > 1:
        learnt = _teach(share.mean(axis=1), world, generator)
        share += learnt[:, None] + _moves_of_networks(world, generator)
        taught = learnt.mean(axis=1)
    collapsed = generator.random(world.seeds) < world.collapses if world.collapses else np.zeros(world.seeds, bool)
    share[0] += world.drop * (world.collapses - collapsed[:, None])
    if world.shared:
        share += _moves_of_machines(world, generator)
    share = share[..., None] + generator.uniform(-0.05, 0.05, (methods, 1, world.images, classes))
    assert share.min() > 0
    assert share.max() < 1
    present = generator.random((world.images, classes)) < world.presence
    area = present * 10_000 * generator.lognormal(0, world.area, (world.images, classes))
    union = area * (1 + generator.uniform(0, 2 * EXCESS, (world.images, 1)))
    hits = np.rint(area * share).astype(np.int64)
    whole = np.broadcast_to(np.rint(union).astype(np.int64), hits.shape)
    evidence = Evidence(
        tuple(f"method {i}" for i in range(methods)),
        tuple(range(world.seeds)),
        tuple(f"{i:04}" for i in range(world.images)),
        hits,
        whole,
        None if world.cluster == 1 else tuple(f"{i // world.cluster:04}" for i in range(world.images)),
        None if world.folds == 1 else tuple(i % world.folds for i in range(world.images)),
    )
    return Leaderboard(evidence, (0.5 + np.array(world.gains) + taught) / (1 + EXCESS), collapsed)


def _moves(world: World, generator: np.random.Generator) -> np.ndarray:
    """Return how far each (method, seed, image) lies from its method's mean."""
    methods, seeds = len(world.gains), world.seeds
    return (
        _uniform(world.seed, (methods, seeds, 1), generator)
        + _by_image(world.difficulty, (1, 1), world, generator)
        + _by_image(world.image, (methods, 1), world, generator)
        + _by_image(world.both, (methods, seeds), world, generator)
    )


def _moves_of_networks(world: World, generator: np.random.Generator) -> np.ndarray:
    """Return how far the network that tests each (method, seed, image) moves by itself."""
    moves = _uniform(world.network, (len(world.gains), world.seeds, world.folds), generator)
    return moves[:, :, np.arange(world.images) % world.folds]


def _teach(ease: np.ndarray, world: World, generator: np.random.Generator) -> np.ndarray:
    """Return how far its training images move the network that tests each (method, image), from how easy images are.

    Networks of two folds share all training images but those of the two.
    """
    hard = (ease.mean(axis=1, keepdims=True) - ease) / ease.std()
    influence = sqrt(0.5) * (_uniform(1, ease.shape, generator) + hard)
    fold = np.arange(world.images) % world.folds
    learnt = [influence[:, fold != one].sum(axis=1) for one in range(world.folds)]
    size = world.images * (world.folds - 1) / world.folds
    return world.teaching * np.stack(learnt, axis=1)[:, fold] / sqrt(size)


def _moves_of_machines(world: World, generator: np.random.Generator) -> np.ndarray:
    """Return how far each (method, seed) is moved by what the seed shares with others of its machine."""
    moves = _uniform(world.shared, (1, world.seeds, 1), generator).repeat(len(world.gains), axis=0)
    away = round(world.elsewhere * world.seeds)
    moves[0, :away] = _uniform(world.shared, (away, 1), generator)
    return moves


def _by_image(spread: float, shape: tuple[int, int], world: World, generator: np.random.Generator) -> np.ndarray:
    if world.cluster == 1:
        return _uniform(spread, (*shape, world.images), generator)
    shared = _uniform(sqrt(0.8) * spread, (*shape, world.images // world.cluster), generator)
    return shared.repeat(world.cluster, axis=-1) + _uniform(sqrt(0.2) * spread, (*shape, world.images), generator)


def _uniform(spread: float, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Return numbers of this standard deviation; uniform, so that no share leaves [0, 1]."""
    return sqrt(3) * spread * generator.uniform(-1, 1, shape)
