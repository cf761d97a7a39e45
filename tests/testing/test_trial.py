from __future__ import annotations

import pytest
import torch

from segbench.testing.trial import class_colours, coloured_batch, nearest_class, palette


@pytest.mark.parametrize(("classes", "channels"), [(2, 1), (4, 1), (4, 3), (5, 3), (19, 3), (19, 6)])
def test_every_class_has_a_colour_of_its_own_in_range(classes, channels):
    colours = class_colours(classes, channels)
    assert colours.shape == (classes, channels)
    assert colours.abs().max() <= 1
    assert len({tuple(colour) for colour in colours.tolist()}) == classes


def test_the_palette_is_the_colours_in_bytes():
    assert palette(4) == [(0, 0, 0), (255, 0, 0), (0, 255, 0), (255, 255, 0)]


@pytest.mark.parametrize("size", [(64, 64), (33, 47)])
def test_the_colour_of_a_pixel_tells_its_class_and_quadrants_differ(size):
    batch = coloured_batch(3, 3, 4, size)
    assert batch.images.shape == (3, 3, *size)
    assert batch.images.is_contiguous()
    assert nearest_class(batch.images, class_colours(4, 3)).equal(batch.labels)
    corners = batch.labels[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.sort(dim=1).values.equal(torch.arange(4).expand(3, 4))


def test_a_batch_is_a_function_of_its_seed():
    one, same, other = (coloured_batch(2, 3, 4, (16, 16), seed) for seed in (1, 1, 2))
    assert one.images.equal(same.images)
    assert not one.images.equal(other.images)
