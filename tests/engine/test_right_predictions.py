from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segbench.engine.data.batches import Batch
from segbench.engine.mapping import Mapping
from segbench.engine.network import Decoded
from segbench.engine.pairing import FieldForm
from segbench.engine.right_predictions import (
    made_predictions,
    nearest_class,
    network_predictions,
    reachable_levels,
    right_colours,
    sharpness,
    with_true_colours,
)
from segbench.errors import RecordError

# Three colours on one line, so that a mixture of the outer two is nearest to the middle one.
LINE = [(0, 0, 0), (127, 127, 127), (255, 255, 255), (255, 0, 0), (0, 0, 255)]
IGNORED = 255


def mapping(maps="image -> labels", classes=3):
    return Mapping(maps, FieldForm(classes, IGNORED, LINE[:classes]), 4)


def random_batch(classes=3, number=2, size=(19, 22), seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (number, *size), generator=generator)
    labels[:, 0, 0] = IGNORED
    images = 2 * torch.rand((number, 3, *size), generator=generator) - 1
    return Batch(images, labels, tuple(range(number)))


def recorded(network, maps="image -> labels", classes=3):
    return SimpleNamespace(
        network=network,
        mapping=mapping(maps, classes),
        protocol=SimpleNamespace(precision="fp32"),
        key="0123456789abcdef",
    )


def labelled(batch):
    return batch.labels != IGNORED


@given(
    classes=st.integers(2, 5),
    place=st.integers(0, 3),
    seed=st.integers(0, 99),
    size=st.tuples(*[st.integers(1, 20)] * 2),
)
def test_made_predictions_are_right_at_every_pixel(classes, place, seed, size):
    batch = random_batch(classes, size=size, seed=seed)
    level = reachable_levels(classes)[place]
    made = made_predictions(mapping(classes=classes), level, seed)(batch, seed)
    assert torch.equal(made.output.argmax(1)[labelled(batch)], batch.labels[labelled(batch)])
    assert torch.equal(made.top_probability, made.output.softmax(1).amax(1))


@pytest.mark.parametrize("classes", [2, 3, 5, 20])
def test_made_predictions_have_the_mean_top_probability_that_is_asked_for(classes):
    batch = random_batch(classes, number=4, size=(64, 64))
    for level in reachable_levels(classes):
        made = made_predictions(mapping(classes=classes), level, 0)(batch, 0)
        found = made.top_probability[labelled(batch)].mean().item()
        # Their doubt, and not only their confidence, is met to within a third.
        assert 1 - found == pytest.approx(1 - level, rel=1 / 3)


def test_classes_cannot_be_less_sure_than_chance():
    assert reachable_levels(2) == (0.6, 0.83, 0.99, 0.9999)
    assert reachable_levels(3)[0] == 0.41


def test_sharpness_grows_with_the_level():
    factors = [sharpness(level, 3) for level in (0.4, 0.6, 0.9, 0.9999)]
    assert factors == sorted(factors)
    assert factors[0] > 0


def test_neighbours_are_as_sure_as_one_another():
    batch = random_batch(size=(64, 64))
    top = made_predictions(mapping(), 0.6, 0)(batch, 0).top_probability
    beside, far = (top[..., 1:] - top[..., :-1]).abs().mean(), (top[..., 32:] - top[..., :32]).abs().mean()
    assert beside < far / 3


def test_made_predictions_are_a_function_of_seed_and_step():
    batch = random_batch()
    first, again, other_step, other_seed = (
        made_predictions(mapping(), 0.6, seed)(batch, step).output for seed, step in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other_step)
    assert not torch.equal(first, other_seed)


def test_what_makes_images_too_is_given_the_real_ones():
    batch = random_batch()
    output = made_predictions(mapping("noise -> image, labels"), 0.6, 0)(batch, 0).output
    assert torch.equal(output[:, :3], batch.images)
    assert torch.equal(output[:, 3:].argmax(1)[labelled(batch)], batch.labels[labelled(batch)])


def test_a_networks_predictions_become_right_and_keep_their_confidence():
    batch = random_batch()
    network = torch.nn.Conv2d(3, 3, 1)
    predicted = network_predictions(recorded(network), mapping())(batch, 0)
    own = network(batch.images).detach()
    assert torch.equal(predicted.output.argmax(1)[labelled(batch)], batch.labels[labelled(batch)])
    assert torch.equal(predicted.output.sort(1).values, own.sort(1).values)
    assert torch.allclose(predicted.top_probability, own.softmax(1).amax(1))
    right = own.argmax(1) == batch.labels
    assert torch.equal(predicted.output.movedim(1, -1)[right], own.movedim(1, -1)[right])


@pytest.mark.parametrize("level", reachable_levels(5))
def test_mixed_palette_colours_are_decoded_as_the_truth(level):
    batch = random_batch(5)
    made = made_predictions(mapping("image -> image", 5), level, 0)(batch, 0)
    nearest = nearest_class(made.output, torch.tensor(LINE) / 127.5 - 1)
    assert torch.equal(nearest[labelled(batch)], batch.labels[labelled(batch)])


def test_two_colours_are_mixed_in_the_shares_of_their_probabilities():
    form = FieldForm(2, IGNORED, [(0, 0, 0), (255, 255, 255)])
    batch = random_batch(2)
    made = made_predictions(Mapping("image -> image", form, 4), 0.83, 0)(batch, 0)
    distance = (made.output - (2 * batch.labels[:, None] - 1)).abs()
    doubt = (2 * (1 - made.top_probability))[:, None].expand_as(distance)
    everywhere = labelled(batch)[:, None].expand_as(distance)
    assert torch.allclose(distance[everywhere], doubt[everywhere], atol=1e-6)


def test_a_wrong_colour_keeps_its_offset_from_the_true_one():
    form = FieldForm(2, IGNORED, [(0, 0, 0), (255, 255, 255)])
    batch = Batch(torch.zeros(1, 3, 1, 2), torch.tensor([[[1, 0]]]), (0,))
    colours = torch.full((1, 3, 1, 2), 0.75)
    moved = with_true_colours(colours, batch, form)
    assert moved[0, :, 0, 0].tolist() == [0.75] * 3
    assert moved[0, :, 0, 1].tolist() == [-1.0] * 3  # -1.25 is no colour


def test_a_colour_between_is_moved_until_it_is_nearest_to_its_own():
    form = FieldForm(3, IGNORED, [(0, 0, 0), (127, 127, 127), (255, 255, 255)])
    batch = Batch(torch.zeros(1, 3, 1, 1), torch.tensor([[[0]]]), (0,))
    moved = right_colours(torch.full((1, 3, 1, 1), 0.2), batch, form)
    # The offset of 1.2 from black is halved to 0.6, still nearer to grey, and again to 0.3.
    assert torch.allclose(moved, torch.full_like(moved, -0.7))


def test_a_networks_colours_are_decoded_as_the_truth():
    batch = random_batch(5)
    network = Decoded(torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), torch.nn.Tanh()), torch.tensor(LINE) / 127.5 - 1)
    predict = network_predictions(recorded(network, "image -> image", 5), mapping("image -> image", 5))
    predicted = predict(batch, 0)
    nearest = nearest_class(predicted.output, network.colours)
    assert torch.equal(nearest[labelled(batch)], batch.labels[labelled(batch)])
    assert predicted.top_probability is None


@pytest.mark.parametrize(
    ("trained", "probed"),
    [
        ("image -> image", "image -> labels"),
        ("image -> labels", "image -> image"),
        ("image -> labels", "noise -> image, labels"),
    ],
)
def test_a_network_that_predicts_something_else_is_refused(trained, probed):
    with pytest.raises(RecordError, match=f"0123456789abcdef: its network maps '{trained}'; the critic .*'{probed}'"):
        network_predictions(recorded(torch.nn.Identity(), trained), mapping(probed))
