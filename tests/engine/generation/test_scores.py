from __future__ import annotations

import pytest
import torch

from segbench.engine.generation import Features, generation_scores
from segbench.engine.generation.distances import diversity, nearest
from segbench.engine.generation.kernel_distance import kernel_distance
from segbench.engine.generation.manifolds import precision_and_recall
from segbench.engine.generation.pixel_statistics import PixelStatistics, pixel_statistics_distance

PIXELS = Features.of_pixels()
MEANS = Features("means", lambda images: images.mean((2, 3)))


def discs(number, seed, contrast=1.0):
    """Bright discs on dark ground, somewhere and of some size, with a little noise."""
    generator = torch.Generator().manual_seed(seed)
    row, column, radius = torch.rand(3, number, 1, 1, 1, generator=generator)
    rows, columns = torch.arange(16.0).view(16, 1), torch.arange(16.0)
    inside = (rows - 16 * row).square() + (columns - 16 * column).square() < (2 + 5 * radius).square()
    noise = 0.1 * torch.randn(number, 3, 16, 16, generator=generator)
    return (contrast * (inside.float() - 0.5) + noise).clamp(-1, 1)


def test_every_score_is_the_one_of_its_own_function():
    real, fake, training = discs(20, 0), discs(16, 1, contrast=0.8), discs(30, 2)
    features = [images.mean((2, 3)) for images in (real, fake)]
    statistics = [PixelStatistics()(images) for images in (real, fake)]
    found = generation_scores(real, fake, MEANS, training)
    assert (found.features, found.images) == ("means", 16)
    assert (found.kid, found.kid_sd) == pytest.approx(kernel_distance(*features))
    assert (found.precision, found.recall) == precision_and_recall(*features)
    assert found.pixel_statistics == pytest.approx(pixel_statistics_distance(*statistics))
    assert found.diversity == pytest.approx(diversity(fake).item())
    assert found.nearest == pytest.approx(nearest(fake, training).item())


def test_pixel_statistics_are_never_called_kid():
    found = generation_scores(discs(20, 0), discs(20, 1), PIXELS)
    assert found.features == "pixel statistics"
    assert found.kid is found.kid_sd is found.nearest is None
    assert found.pixel_statistics is not None
    assert found.precision == precision_and_recall(PIXELS(discs(20, 0)), PIXELS(discs(20, 1)))[0]


def test_images_of_the_same_kind_score_better_than_faint_ones_and_these_better_than_noise():
    real = discs(40, 0)
    noise = torch.rand(40, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = [generation_scores(real, fake, PIXELS) for fake in (discs(40, 1), discs(40, 1, contrast=0.6), noise)]
    distances = [scores.pixel_statistics for scores in found]
    assert distances == sorted(distances)
    assert found[0].precision > 0.8
    assert found[0].recall > 0.8
    assert found[2].precision == found[2].recall == 0


def test_a_collapsed_generator_has_neither_recall_nor_diversity():
    found = generation_scores(discs(40, 0), discs(1, 1).expand(40, -1, -1, -1), PIXELS)
    assert found.recall == 0
    assert found.diversity < 1e-6


def test_a_generator_that_copies_training_images_is_at_no_distance_from_them():
    assert generation_scores(discs(10, 0), discs(10, 1), PIXELS, discs(30, 2)).nearest > 0
    assert generation_scores(discs(10, 0), discs(10, 1), PIXELS, torch.cat([discs(9, 2), discs(10, 1)])).nearest == 0


def test_scores_of_too_few_images_are_none():
    found = generation_scores(discs(1, 0), discs(1, 1), MEANS)
    assert found.kid is found.kid_sd is found.precision is found.recall is found.diversity is None


def test_scores_of_a_diverged_generator_can_be_recorded():
    found = generation_scores(discs(8, 0), torch.full((8, 3, 16, 16), torch.nan), MEANS, discs(8, 1))
    assert found.kid is found.pixel_statistics is found.diversity is found.nearest is None
    assert found.precision == found.recall == 0


@pytest.mark.parametrize("channels", [1, 5])
def test_images_of_any_number_of_channels_are_scored(channels):
    real, fake = (torch.rand(8, channels, 6, 4) * 2 - 1 for _ in range(2))
    assert generation_scores(real, fake, PIXELS).pixel_statistics < 4
