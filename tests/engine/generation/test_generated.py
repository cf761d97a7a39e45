from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from segbench.engine.generation.features import Features
from segbench.engine.generation.generated import (
    _training_crops,
    draw_samples,
    generation_scores,
    score_generator,
    write_grid,
    write_nearest,
)
from segbench.engine.generation.metrics import (
    PixelStatistics,
    diversity,
    kernel_distance,
    nearest,
    pixel_statistics_distance,
    precision_and_recall,
)
from segbench.engine.model.build import mapping_of

FILE = """
name: test
datasets: {shapes: {use: data/shapes, size: [24, 32], classes: 3, train: 6, val: 2, test: 5, channels: 3}}
protocol: {budget: {steps: 1}, batch_size: 2, crop: [16, 20], features: pixel_statistics}
seeds: [0]
methods:
  noise:
    generator: {use: gan/dcgan, width: 4}
    discriminator: {use: gan/image, width: 4}
    adversarial: {use: gan/hinge}
    latent_channels: 5
  joint: {extends: noise, generator: {use: gan/joint, width: 4}}
  painter: {extends: noise, generator: {use: gan/spade, width: 4}}
"""


class Constant(nn.Module):
    """Images that the noise alone decides: its first number everywhere, and beyond them logits of 9."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        assert not self.training
        made = noise[:, :1, None, None].expand(-1, self.channels, 16, 20).clone()
        made[:, 3:] = 9
        return made


class Copies(nn.Module):
    """Paints class 1 white and everything else black."""

    def forward(self, labels: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return (2 * labels[:, 1:2] - 1).expand(-1, 3, -1, -1)


def parts(planned, name: str):
    benchmark = planned(FILE)
    cell, data = benchmark.cells[name], benchmark.data(name)
    return cell, data, mapping_of(cell, data)


def test_as_many_crops_of_the_evaluated_split_as_images_that_are_made(planned):
    cell, data, mapping = parts(planned, "noise")
    real, made = draw_samples(Constant().train(), cell, data, mapping, 5)
    assert real.shape == made.shape == (5, 3, 16, 20)
    images = [np.asarray(sample.image) for sample in data.dataset.splits["test"]]
    windows = {
        image[row : row + 16, column : column + 20].tobytes()
        for image in images
        for row in range(9)
        for column in range(13)
    }
    pixels = ((real + 1) * 127.5).round().byte().movedim(1, -1)
    assert all(np.ascontiguousarray(crop.numpy()).tobytes() in windows for crop in pixels)
    assert made.abs().max() <= 1  # noise is not, but images are


def test_the_same_samples_are_looked_at_every_time_and_by_every_method(planned):
    cell, data, mapping = parts(planned, "noise")
    first = draw_samples(Constant(), cell, data, mapping, 4)
    torch.manual_seed(9)
    second = draw_samples(Constant(), cell.model_copy(update={"seed": 7}), data, mapping, 4)
    assert all(map(torch.equal, first, second))


def test_of_images_and_logits_only_the_images_are_compared(planned):
    cell, data, mapping = parts(planned, "joint")
    _, made = draw_samples(Constant(6), cell, data, mapping, 3)
    assert made.shape == (3, 3, 16, 20)
    alone = draw_samples(Constant(), cell, data, parts(planned, "noise")[2], 3)[1]
    assert torch.equal(made, alone)


def test_a_painter_is_given_the_labels_of_the_crops_that_it_is_compared_with(planned):
    cell, data, mapping = parts(planned, "painter")
    real, made = draw_samples(Copies(), cell, data, mapping, 5)
    samples = list(data.dataset.splits["test"])
    for image, painted in zip(real, made, strict=True):
        pixels = ((image + 1) * 127.5).round().byte().movedim(0, -1).numpy()
        [labels] = {
            np.asarray(sample.labels)[row : row + 16, column : column + 20].tobytes()
            for sample in samples
            for row in range(9)
            for column in range(13)
            if np.array_equal(np.asarray(sample.image)[row : row + 16, column : column + 20], pixels)
        }
        truth = np.frombuffer(labels, dtype=np.asarray(samples[0].labels).dtype).reshape(16, 20)
        assert np.array_equal(painted[0].numpy() == 1, truth == 1)


def test_scores_are_over_as_many_images_as_the_split_has(planned):
    cell, data, mapping = parts(planned, "noise")
    generation = score_generator(Constant(), cell, data, mapping)
    _, made = draw_samples(Constant(), cell, data, mapping, 5)
    values = made[:, 0, 0, 0]
    distances = [(values[i] - values[j]).abs().item() for i in range(5) for j in range(i)]
    assert generation.images == 5
    assert generation.features == "pixel statistics"
    assert generation.diversity == pytest.approx(np.mean(distances), rel=1e-5)
    assert generation.kid is None


def test_a_generator_that_copies_training_images_is_found_out(planned):
    cell, data, mapping = parts(planned, "noise")

    class Knows(nn.Module):
        def forward(self, noise):
            return torch.full((len(noise), 3, 16, 20), 0.25)

    class Learnt(nn.Module):
        """Makes the crops that training images are looked at by."""

        def __init__(self) -> None:
            super().__init__()
            train = cell.model_copy(update={"method": cell.method.model_copy(update={"protocol": on_train(cell)})})
            self.images = draw_samples(Constant(), train, data, mapping, 6)[0]

        def forward(self, noise):
            return self.images[: len(noise)]

    assert score_generator(Learnt(), cell, data, mapping).nearest == 0
    assert score_generator(Knows(), cell, data, mapping).nearest > 0.1
    assert score_generator(Knows(), cell, data, mapping).diversity == 0


def on_train(cell):
    return cell.method.protocol.model_copy(update={"evaluate": "train"})


def test_a_grid_shows_sixteen_samples_however_small_the_split(planned, tmp_path):
    cell, data, mapping = parts(planned, "noise")
    path = tmp_path / "deep" / "grid.png"
    write_grid(path, Constant(), cell, data, mapping)
    with Image.open(path) as grid:
        assert grid.size == (4 * 20 + 3 * 2, 4 * 16 + 3 * 2)
        colours = {grid.getpixel((22 * column, 18 * row)) for row in range(4) for column in range(4)}
    assert len(colours) > 8  # sixteen different noises, some beyond black or white


def test_beside_each_generated_image_stands_the_nearest_one_of_the_train_split(planned, tmp_path):
    cell, data, mapping = parts(planned, "noise")
    write_nearest(tmp_path / "nearest.png", Constant(), cell, data, mapping)
    crops = {index: _training_crops(cell, data)[index] for index in range(6)}
    _, fake = draw_samples(Constant(), cell, data, mapping, 8)
    with Image.open(tmp_path / "nearest.png") as grid:
        shown = np.asarray(grid)
    for place, image in enumerate(fake):
        closest = min(crops.values(), key=lambda crop: float((crop - image).square().sum()))
        top, left = 18 * (place // 2), 44 * (place % 2) + 22
        expected = ((closest + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(shown[top : top + 16, left : left + 20], expected)


def test_a_grid_shows_the_same_samples_every_time(planned, tmp_path):
    cell, data, mapping = parts(planned, "joint")
    for name in ("first.png", "second.png"):
        write_grid(tmp_path / name, Constant(6), cell, data, mapping)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


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
