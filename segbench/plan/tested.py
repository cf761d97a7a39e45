"""What the tested images add to what a design can detect: those of a fixed split, or all of a pool by folds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from segbench.config.folds import Folds
from segbench.stats.variance import Components
from segbench.stats.verdict import smallest_effect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segbench.config.recipe import Benchmark
    from segbench.contract import Dataset

    from .power import DesignPower, Noise


# How far an image moves a paired difference of mIoU, as a standard deviation: 0 to 7 points were measured on nuclei.
ASSUMED_IMAGE_SD = 0.03
# What is shown beside a fixed split.
USUAL_FOLDS = Folds(count=5)


class Tested(NamedTuple):
    """The images of a dataset that a seed is tested on by so many networks, 1 of a fixed split; as planned, or instead.

    `smallest` are the smallest differences that are detected at the noises between seeds that are known of the dataset.
    """

    dataset: str
    images: int
    folds: int
    is_planned: bool
    smallest: tuple[float, ...]


def compare_tested(benchmark: Benchmark, datasets: Mapping[str, Dataset], design: DesignPower) -> list[Tested]:
    """Return for each dataset what the design detects with images and seeds, by its fixed split and by folds.

    Empty with one seed. Of a cross-validated pool the fixed split is that which methods are scored on otherwise.
    """
    if design.seeds == 1:
        return []
    noises = [sight.noise for sight in design.sights]
    found = []
    for name, dataset in datasets.items():
        planned = benchmark.datasets[name].folds
        own = [noise for noise in noises if noise.dataset in (None, name)]
        for images, folds in _list_designs(benchmark, planned or USUAL_FOLDS, dataset):
            is_planned = folds == (planned.count if planned else 1)
            if images > 1 and own:
                smallest = tuple(_smallest(images, folds, noise, design) for noise in own)
                found.append(Tested(name, images, folds, is_planned, smallest))
    return found


def _list_designs(benchmark: Benchmark, folds: Folds, dataset: Dataset) -> list[tuple[int, int]]:
    """Return the number of tested images and of networks a seed, of the fixed split and of folds."""
    evaluated = next(iter(benchmark.methods.values())).protocol.evaluate
    sizes = {name: len(samples) for name, samples in dataset.splits.items()}
    return [(sizes.get(evaluated, 0), 1), (sum(sizes[name] for name in folds.splits_in(sizes)), folds.count)]


def _smallest(images: int, folds: int, noise: Noise, design: DesignPower) -> float:
    """Return the smallest difference that is detected if a seed's networks differ as those that the noise is of."""
    of_seed = noise.difference_sd**2 * noise.networks / folds
    components = Components(
        design.seeds, images - 1.0, of_seed / design.seeds, ASSUMED_IMAGE_SD**2 / images, 0.0, folds
    )
    return smallest_effect(components, design.level)
