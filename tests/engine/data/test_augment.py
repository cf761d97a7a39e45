from __future__ import annotations

import pytest
import torch

from segbench.config.augment import Augment
from segbench.engine.data.augment import Draws, change_values, draw_patches, draw_turns, paste, place_crops
from segbench.engine.data.sampling import Upright
from segbench.errors import DataError

from .test_batches import batches_of, coordinate_split, random_split

CPU = torch.device("cpu")
EVERY_CHANGE = {"hue": 0.1, "gamma": 0.5, "grey": 0.5, "blur": 1.0, "noise": 0.1}
TURNS = {"rotate": 30, "shear": 10, "translate": 0.2}


def draws(number=4, step=0):
    return Draws(0, "", step, number)


def place(augment, number=4, size=(8, 8)):
    return place_crops(augment, size, torch.full((number, 2), 12.0, dtype=torch.float64), draws(number))


@pytest.mark.parametrize(
    ("flip", "rows", "columns"),
    [
        (False, False, False),
        ("horizontal", False, True),
        ("vertical", True, False),
        ("both", True, True),
    ],
)
def test_flip_mirrors_rows_and_columns_in_half_the_draws(flip, rows, columns):
    placement = place(Augment(flip=flip), 200)
    for axis, mirrors in ((placement.vertical, rows), (placement.horizontal, columns)):
        falling = (axis.positions[:, 0] > axis.positions[:, -1]).double().mean()
        assert (70 < 200 * falling < 130) if mirrors else falling == 0


def test_mirroring_left_and_right_has_one_name():
    assert Augment(flip="horizontal") == Augment(flip=True)
    assert Augment(flip=True).model_dump() == {"scale": (1.0, 1.0), "flip": True, "jitter": 0.0}


def test_crops_are_upright_unless_they_are_turned():
    assert isinstance(place(Augment(scale=(0.5, 2.0), flip="both", **EVERY_CHANGE)), Upright)
    for name, value in TURNS.items():
        assert not isinstance(place(Augment(**{name: value})), Upright)


def test_turns_are_rotations_shears_and_quarter_turns_within_their_bounds():
    turns = draw_turns(Augment(rotate=20), draws(500))
    angles = torch.rad2deg(torch.atan2(turns[:, 1, 0], turns[:, 0, 0]))
    assert 19 < angles.abs().max() <= 20
    torch.testing.assert_close(torch.linalg.det(turns), torch.ones(500, dtype=torch.float64))
    torch.testing.assert_close(turns @ turns.mT, torch.eye(2, dtype=torch.float64).expand(500, 2, 2))
    slopes = draw_turns(Augment(shear=45), draws(500))[:, 1, 0]
    assert 0.95 < slopes.abs().max() <= 1
    quarters = draw_turns(Augment(rotate90=True), draws(500)).flatten(1).unique(dim=0)
    assert quarters.tolist() == [[-1, 0, 0, -1], [0, -1, 1, 0], [0, 1, -1, 0], [1, 0, 0, 1]]


@pytest.mark.parametrize("step", range(3))
def test_image_and_labels_move_together(step):
    split = coordinate_split(40, 36)
    augment = Augment(scale=(0.8, 1.2), flip="both", rotate90=True, **TURNS)
    images, labels, _, _ = batches_of(split, batch_size=1, crop=(16, 16), augment=augment).at(step)
    inside = labels[0] != split.packed.ignore_index
    assert inside.any()
    row, column = ((images[0] + 1) * 127.5)[:, inside]
    there = labels[0][inside]
    # A nearest pixel lies at most half a pixel away, along the borders too.
    assert ((row - there // 36).abs() <= 0.51).all()
    assert ((column - there % 36).abs() <= 0.51).all()


def test_what_a_turn_brings_in_from_outside_is_grey_and_ignored():
    split = random_split(2, size=(12, 12))
    images, labels, _, _ = batches_of(split, crop=(12, 12), augment=Augment(rotate=45)).at(0)
    outside = labels == split.packed.ignore_index
    assert outside.any()
    assert (images.movedim(1, -1)[outside] == 0).all()


@pytest.mark.parametrize("given", [*EVERY_CHANGE, "jitter"])
def test_a_change_of_values_draws_nothing_that_another_draws(given):
    alone = batches_of(random_split(), augment=Augment(flip=True)).at(1)
    changed = batches_of(random_split(), augment=Augment(flip=True, **{given: 0.5})).at(1)
    assert torch.equal(alone.labels, changed.labels)
    assert not torch.equal(alone.images, changed.images)


@pytest.mark.parametrize("white", [255, 65535])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_values_stay_between_black_and_white(white, channels):
    augment = Augment(jitter=0.9, **{**EVERY_CHANGE, **({} if channels == 3 else {"hue": 0, "grey": 0})})
    images = torch.rand(4, channels, 9, 9) * white
    for step in range(5):
        found = change_values(augment, images, white, draws(step=step))
        assert found.min() >= 0
        assert found.max() <= white * (1 + 1e-5)


def test_without_a_change_values_are_as_they_are_stored():
    images = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    assert change_values(Augment(rotate=10, cutmix=1.0), images, 255, draws(1)) is images


@pytest.mark.parametrize("name", ["hue", "grey"])
def test_changes_of_colour_are_refused_for_other_images_than_rgb(name):
    with pytest.raises(
        DataError, match=rf"augment.{name} changes the colours of RGB images, and these have 2 channels"
    ):
        batches_of(random_split(channels=2), augment=Augment(**{name: 0.1}))


def test_quarter_turns_are_refused_where_crops_are_not_square():
    with pytest.raises(DataError, match=r"\[8, 6\] \(height, width\) is not square; set crop to \[6, 6\]"):
        batches_of(random_split(), crop=(8, 6), augment=Augment(rotate90=True))


def test_a_patch_shows_another_image_with_its_labels():
    split = random_split(4)
    plain, mixed = (batches_of(split, batch_size=4, augment=Augment(cutmix=share)).at(2) for share in (0, 1))
    patches = draw_patches(Augment(cutmix=1), (8, 8), Draws(0, "", 2, 4), CPU)
    assert mixed.indices == plain.indices
    for one in range(4):
        inside = patches[one]
        assert torch.equal(mixed.images[one][:, inside], plain.images[one - 1][:, inside])
        assert torch.equal(mixed.images[one][:, ~inside], plain.images[one][:, ~inside])
        assert torch.equal(mixed.labels[one][inside], plain.labels[one - 1][inside])
        assert torch.equal(mixed.labels[one][~inside], plain.labels[one][~inside])


def test_patches_are_rectangles_of_a_share_of_the_images():
    patches = draw_patches(Augment(cutmix=0.5), (20, 30), Draws(0, "", 0, 400), CPU)
    there = patches.flatten(1).any(dim=1)
    assert 150 < there.sum() < 250
    for one in patches[there]:
        rows, columns = one.any(dim=1), one.any(dim=0)
        assert torch.equal(one, rows[:, None] & columns)
    fields = torch.rand(400, 2, 20, 30)
    assert torch.equal(paste(fields, patches)[:, 1], paste(fields[:, 1], patches))
