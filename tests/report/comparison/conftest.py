"""Two methods whose counts make a known difference, and what `segbench compare` says of them."""

from __future__ import annotations

import numpy as np
import pytest

from segbench.errors import RecordError, StatisticsError
from segbench.report.comparison.compare import compare_methods
from segbench.report.comparison.family import Settings
from segbench.report.comparison.text import lay_out_comparisons
from segbench.report.formats.terminal import to_terminal
from segbench.stats.scores import per_class, scores
from segbench.store.counts import Counts, write_counts
from segbench.store.folder import ResultsFolder
from segbench.store.record import Evaluated

IMAGES = 12
CLASSES = ["sky", "road", "pole"]
QUICK = Settings(resamples=400)
SEEDS = range(3)


def counted(right, rare_right=8, band_wrong=(), seed=0):
    """Return counts of images of 100 sky, 90 road and 10 pole pixels, of which 40 sky ones lie in the boundary band.

    `right` road pixels of each image are right, the others are called sky. So many of the poles are right, the others
    are called road. `band_wrong` are the images of which the sky pixels in the band are called road.
    """
    jitter = np.random.default_rng(seed).integers(3, size=IMAGES)
    confusion = np.zeros((IMAGES, 3, 3), dtype=np.int64)
    confusion[:, 0, 0] = 100
    confusion[:, 1, 1] = right - jitter
    confusion[:, 1, 0] = 90 - confusion[:, 1, 1]
    confusion[:, 2, 2], confusion[:, 2, 1] = rare_right, 10 - rare_right
    band = np.zeros_like(confusion)
    band[:, 0, 0] = 40
    for image in band_wrong:
        for part in (confusion, band):
            part[image, 0, 0], part[image, 0, 1] = part[image, 0, 0] - 40, 40
    ids = tuple(f"image {i:02}" for i in range(IMAGES))
    sizes, void = np.tile([10, 20], (IMAGES, 1)), np.zeros(IMAGES, dtype=np.int64)
    return Counts(ids, "test", confusion, sizes=sizes, void=void, band=band, small=np.zeros_like(confusion))


@pytest.fixture
def store(tmp_path):
    """Write the record of a cell with its counts into results/."""

    def write(record, counts, **fields):
        found = {
            "scores": scores(counts),
            "per_class": per_class(counts),
            "evaluated": Evaluated(split=counts.split, images=len(counts.ids), classes=CLASSES),
            **fields,
        }
        folder = ResultsFolder(tmp_path / "results", record.benchmark)
        folder.write(record.model_copy(update=found))
        folder.cell_folder(record.key).mkdir(exist_ok=True)
        write_counts(folder.cell_folder(record.key), counts)
        return folder.cell_folder(record.key)

    return write


@pytest.fixture
def compared(tmp_path):
    """Compare two methods of results/ with few resamples; the one comparison there is."""

    def compare(one="unet+critic", other="unet", settings=QUICK, **choices):
        (found,) = compare_methods([tmp_path / "results"], (one, other), settings=settings, **choices).found
        return found

    return compare


@pytest.fixture
def refusal(tmp_path):
    def refused(one="unet+critic", other="unet", **choices):
        with pytest.raises((RecordError, StatisticsError)) as caught:
            compare_methods([tmp_path / "results"], (one, other), settings=QUICK, **choices)
        return str(caught.value)

    return refused


@pytest.fixture
def two_methods(store, trained, adversarial):
    """A critic that finds 6 road pixels an image more than its twin, with each of three seeds."""
    for seed in SEEDS:
        store(trained(seed=seed), counted(70, seed=seed))
        store(adversarial(seed=seed), counted(76, seed=seed + 3))


@pytest.fixture
def text(tmp_path):
    """Compare unet+critic with unet and return the text."""

    def compare():
        return to_terminal(
            lay_out_comparisons(compare_methods([tmp_path / "results"], ("unet+critic", "unet"), settings=QUICK))
        )

    return compare
