"""How small a difference a benchmark can detect with its seeds and its tested images, before it runs."""

from __future__ import annotations

from math import sqrt
from statistics import fmean, variance
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.config.folds import Folds
from segbench.contract import SEGMENTING_MAPS
from segbench.errors import RecordError
from segbench.stats.difference import sign_flip_floor
from segbench.stats.summary import CONFIDENCE_LEVEL
from segbench.stats.variance import Components
from segbench.stats.verdict import WANTED_POWER, seed_components, seeds_for, smallest_effect
from segbench.store.folder import is_recorded, read_bytes, read_record
from segbench.store.json_file import parse_json
from segbench.store.segments import is_packed

from .cell import Subset

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from segbench.config.recipe import Benchmark, Method
    from segbench.contract import Dataset
    from segbench.store.folder import ResultsFolder

    from .cell import Cell

    Pair = tuple[str, str]
    Scores = Mapping[tuple[str, str, str], Mapping[int, float]]


# How far seeds alone move mIoU: on data like Cityscapes, and on small data like CamVid.
ASSUMED_SEED_SDS = (0.005, 0.01)

# Differences of mIoU that papers claim.
CLAIMED_DIFFERENCES = (0.005, 0.01)

# How far an image moves a paired difference of mIoU, as a standard deviation: 0 to 7 points were measured on nuclei.
ASSUMED_IMAGE_SD = 0.03
# What is shown beside a fixed split.
USUAL_FOLDS = Folds(count=5)


class Noise(NamedTuple):
    """The standard deviation of one seed's paired difference of mIoU, and where it comes from.

    `freedom` is None if it is assumed, else how many differences it was measured on, less one for each pair, of which
    `dataset`. A seed is the mean of so many `networks`: those of its test folds.
    """

    source: str
    difference_sd: float
    freedom: int | None = None
    dataset: str | None = None
    networks: int = 1


class Sensitivity(NamedTuple):
    """The differences of mIoU that a design detects at some noise between seeds, as fractions of 1.

    `smallest` is the smallest difference that is detected with 80 % power, None with one seed. `seeds_for` is how many
    seeds in all each of the differences CLAIMED_DIFFERENCES would need, None if 100 do not suffice.
    """

    noise: Noise
    smallest: float | None
    seeds_for: dict[float, int | None]


class DesignPower(NamedTuple):
    """What a design can detect in its comparisons, with the variance between seeds alone; that of images adds to it.

    `level` is the confidence of the first of Holm's steps, `sign_flip_floor` the smallest p that the exact sign-flip
    test over the seeds can give.
    """

    seeds: int
    comparisons: int
    level: float
    power: float
    sign_flip_floor: float
    sights: tuple[Sensitivity, ...]


def compute_design_power(benchmark: Benchmark, scores: Scores) -> DesignPower | None:
    """Return what the design can show, with the noise of the scores recorded so far, else with the noise assumed.

    None if there are no two methods to be compared.
    """
    pairs = list_pairs(benchmark.methods)
    if not pairs:
        return None
    seeds, level = len(benchmark.seeds), 1 - (1 - CONFIDENCE_LEVEL) / len(pairs)
    networks = {name: use.folds.count if use.folds else 1 for name, use in benchmark.datasets.items()}
    measured = [noise._replace(networks=networks.get(noise.dataset or "", 1)) for noise in measure_noise(pairs, scores)]
    noises = measured or assume_noise(min(networks.values()))
    sights = tuple(_sensitivity(noise, seeds, level) for noise in noises)
    return DesignPower(seeds, len(pairs), level, WANTED_POWER, sign_flip_floor(seeds), sights)


def list_pairs(methods: Mapping[str, Method]) -> list[Pair]:
    """Return the pairs that one ranking compares: methods with their twins, with what claims name, with placebos.

    With several fractions of the labels there are several rankings, and the pairs are those of the largest.
    """
    shares = {share for method in methods.values() for share in method.labels}
    families = [
        list(_pairs({name: method for name, method in methods.items() if share in method.labels}))
        for share in sorted(shares)
    ]
    return max(families, key=len, default=[])


def assume_noise(networks: int = 1) -> list[Noise]:
    """Return what is assumed of seeds: two methods trained with the same seeds differ as if these were independent.

    A seed of a cross-validated method is the mean of several networks, which differ by themselves.
    """
    of = "of one method" if networks == 1 else f"of one network, {networks} a seed"
    return [
        Noise(f"assumed, sd {100 * sd:.1f} {of}", sqrt(2 / networks) * sd, networks=networks) for sd in ASSUMED_SEED_SDS
    ]


def measure_noise(pairs: Sequence[Pair], scores: Scores) -> list[Noise]:
    """Return the noise measured on each dataset: the pooled standard deviation of its paired differences."""
    found: dict[str, list[list[float]]] = {}
    for dataset, subset in sorted({(dataset, subset) for dataset, subset, _ in scores}):
        for pair in pairs:
            one, other = (scores.get((dataset, subset, method), {}) for method in pair)
            differences = [one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())]
            if len(differences) > 1:
                found.setdefault(dataset, []).append(differences)
    return [_pool(dataset, differences) for dataset, differences in found.items()]


def read_recorded_scores(cells: Iterable[Cell], folder: ResultsFolder) -> Scores:
    """Return the mIoU of the cells that are recorded already, but for those that leave out a fold to predict it.

    Of a cross-validated dataset it is the mean over the test folds, once all are recorded. Records that cannot be read
    are passed over.
    """
    found: dict[tuple[str, str, str], dict[int, list[float]]] = {}
    folds: dict[str, int] = {}
    keyed = {cell.key: cell for cell in cells if cell.key is not None}
    for key in folder.in_reading_order(keyed):
        cell, miou = keyed[key], _read_miou(key, folder)
        subset = Subset.parse(cell.subset)
        if miou is not None and not subset.is_fold:
            folds[cell.dataset_name] = subset.test_folds or 1
            by_seed = found.setdefault((cell.dataset_name, str(subset.pooled()), cell.method.name), {})
            by_seed.setdefault(cell.seed, []).append(miou)
    return {
        name: {seed: fmean(scores) for seed, scores in by_seed.items() if len(scores) == folds[name[0]]}
        for name, by_seed in found.items()
    }


def _read_miou(key: str, folder: ResultsFolder) -> float | None:
    path = folder.record_path(key)
    if not is_recorded(path):
        return None
    try:
        if is_packed(path):  # where every record has been checked
            content: dict[str, Any] = parse_json(read_bytes(path))
            return (content["scores"] or {}).get("miou")
        scores = read_record(path).scores
    except RecordError:
        return None
    return scores.miou if scores else None


def _pairs(methods: Mapping[str, Method]) -> Iterable[Pair]:
    scored = {
        name: method for name, method in methods.items() if method.maps in SEGMENTING_MAPS and method.trial_of is None
    }
    for name, method in scored.items():
        placebos = [other.name for other in scored.values() if other.placebo_of == name]
        others = dict.fromkeys([*filter(None, [method.twin]), *method.against, *placebos])
        yield from ((name, other) for other in others if other in scored)


def _sensitivity(noise: Noise, seeds: int, level: float) -> Sensitivity:
    sd, networks = noise.difference_sd, noise.networks
    smallest = smallest_effect(seed_components(seeds, sd, networks), level) if seeds > 1 else None
    return Sensitivity(
        noise, smallest, {effect: seeds_for(effect, sd, level, networks) for effect in CLAIMED_DIFFERENCES}
    )


def _pool(dataset: str, differences: Sequence[Sequence[float]]) -> Noise:
    freedom = sum(len(values) - 1 for values in differences)
    squares = sum((len(values) - 1) * variance(values) for values in differences)
    return Noise(f"measured on {dataset}", sqrt(squares / freedom), freedom, dataset)


# What the tested images add: those of a fixed split, or all of a pool by folds.


class Tested(NamedTuple):
    """A way to test on a dataset, which is planned or shown beside that: the images and networks of a seed.

    `folds` is the number of networks, 1 for a fixed split; `smallest` are the smallest differences that are detected at
    the noises between seeds that are known of the dataset.
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
