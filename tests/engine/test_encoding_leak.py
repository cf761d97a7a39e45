from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segbench.engine import encoding_leak
from segbench.engine.data.batches import Batch
from segbench.engine.data.dataset import open_data
from segbench.engine.encoding_leak import (
    HARMLESS_ACCURACY,
    HELD_OUT_BATCHES,
    LEAK_STANDARD_ERRORS,
    STRONG_ACCURACY,
    Finding,
    check_can_be_probed,
    check_same_classes,
    correct_colours,
    nearest_class,
    network_predictor,
    probe_leak,
    reachable_levels,
    sharpness,
    shift_to_true_colours,
    split_images,
    synthetic_predictor,
)
from segbench.engine.model.mapping import FieldForm, GeneratorMapping
from segbench.engine.model.network import Decoded
from segbench.errors import CellError, DataError, RecordError, SpecError
from segbench.plan.plan import open_plan
from segbench.registry import load_registry
from segbench.store.description import description_of

CPU = torch.device("cpu")


BATCH_SIZE = 4


BENCHMARK = """\
name: leaks
datasets: {{shapes: {{use: data/shapes, classes: 3, size: [24, 24], train: {train}, val: {val}, test: 1}}}}
protocol: {{budget: {{steps: 1}}, batch_size: 4, crop: [16, 16], threads: 1, absent_classes: allow, evaluate: train}}
seeds: [{seed}]
methods:
  method: {{generator: {generator}, {losses} discriminator: {discriminator}, adversarial: {{{adversarial}}}}}
"""


QUICK = "optimizer: {use: adam, lr: 0.01}"


@pytest.fixture
def cell(tmp_path, training_seed):
    """Makes a cell with a small discriminator that learns quickly."""

    def make(
        encoding="straight_through",
        loss="gan/non_saturating",
        more=QUICK,
        generator="basic/fcn",
        losses="losses: [losses/cross_entropy],",
        discriminator="{use: gan/patchgan, receptive_field: 16, width: 16, norm: none}",
        train=12,
        val=4,
    ):
        adversarial = ", ".join(filter(None, (f"use: {loss}", f"encoding: {encoding}", more)))
        path = tmp_path / "leaks.yaml"
        path.write_text(
            BENCHMARK.format(
                generator=generator,
                losses=losses,
                discriminator=discriminator,
                adversarial=adversarial,
                train=train,
                val=val,
                seed=training_seed,
            )
        )
        [made] = open_plan(str(path), threads=1).cells
        return made

    return make


def probed(cell, level, monkeypatch, steps=200):
    """Return the finding at one level of confidence."""
    monkeypatch.setattr(encoding_leak, "SYNTHETIC_CONFIDENCES", (level,))
    [found] = probe_leak(cell, CPU, steps)
    return found


@pytest.fixture
def assert_strong_leak(record_property):
    """Asserts the verdict, and reports how far the accuracy is beyond its bound."""

    def check(found):
        record_property("margin", found.accuracy - STRONG_ACCURACY)
        assert found.verdict == "strong leak"

    return check


@pytest.mark.parametrize("encoding", ["straight_through", "confidence_matched"])
def test_equal_fields_leave_a_discriminator_at_chance_whatever_the_confidence(cell, encoding):
    found = list(probe_leak(cell(encoding), CPU, 3))
    assert [round(one.confidence, 1) for one in found] == [0.4, 0.6, 0.8, 1.0, 1.0]
    assert {(one.predictions, one.difference, one.accuracy, one.standard_error) for one in found} == {
        ("made", 0, 0.5, 0)
    }
    assert {one.verdict for one in found} == {"clean"}


def test_equal_fields_need_no_training(cell, monkeypatch):
    monkeypatch.setattr(encoding_leak, "train_discriminator", None)
    assert probed(cell("confidence_matched"), 0.6, monkeypatch).verdict == "clean"


@pytest.mark.trains
def test_dropout_moves_a_discriminator_from_chance_by_no_more_than_its_draws(cell, monkeypatch, record_property):
    found = probed(cell(discriminator="{use: gan/image, width: 4}"), 0.6, monkeypatch, steps=20)
    # A score an image and field, half of each right at chance: four standard deviations of so many fair coins.
    bound = 4 * 0.5 / math.sqrt(2 * HELD_OUT_BATCHES * BATCH_SIZE)
    record_property("margin", bound - abs(found.accuracy - 0.5))
    assert abs(found.accuracy - 0.5) <= bound
    assert found.difference == 0
    assert found.verdict == "clean"


@pytest.mark.trains
@pytest.mark.parametrize("encoding", ["one_hot", "smoothed", "scaled", "product"])
def test_truth_and_soft_predictions_differ_by_sharpness(cell, monkeypatch, record_property, encoding):
    found = probed(cell(encoding), 0.41, monkeypatch)
    record_property("margin", found.accuracy - 0.95)
    assert found.accuracy > 0.95
    assert found.verdict == "strong leak"
    assert found.confidence == pytest.approx(0.41, abs=0.03)


@pytest.mark.trains
def test_smoothing_gives_confident_predictions_away(cell, monkeypatch, assert_strong_leak):
    assert_strong_leak(probed(cell("smoothed"), 0.9999, monkeypatch, steps=400))


@pytest.mark.trains
def test_one_hot_labels_do_not_give_confident_predictions_away(cell, monkeypatch, record_property):
    found = probed(cell("one_hot"), 0.9999, monkeypatch)
    record_property("margin", HARMLESS_ACCURACY - (found.accuracy - LEAK_STANDARD_ERRORS * found.standard_error))
    assert found.verdict == "clean"


def test_scaling_leaves_less_to_see_near_its_threshold(cell, monkeypatch):
    low, near = (probed(cell("scaled"), level, monkeypatch, steps=1).difference for level in (0.41, 0.9999))
    assert near < low / 100


def test_the_difference_is_that_of_truth_and_prediction(cell, monkeypatch):
    found = probed(cell("one_hot"), 0.6, monkeypatch, steps=1)
    # Of 3 classes the true one lacks 1 - p, and the others have as much together.
    assert found.difference == pytest.approx(2 * (1 - found.confidence) / 3, rel=1e-4)


@pytest.mark.trains
def test_findings_are_the_same_every_time(cell, monkeypatch, record_property):
    one, other = (probed(cell("one_hot"), 0.41, monkeypatch, steps=60) for _ in range(2))
    record_property("margin", one.accuracy - 0.5)
    assert one == other
    assert one.accuracy > 0.5


@pytest.mark.parametrize("placebo", ["frozen", "shuffled"])
def test_a_placebo_is_probed_as_the_method_it_stands_for(cell, monkeypatch, placebo):
    without = probed(cell("one_hot"), 0.6, monkeypatch, steps=10)
    assert probed(cell("one_hot", more=f"{QUICK}, placebo: {placebo}"), 0.6, monkeypatch, steps=10) == without


@pytest.mark.trains
@pytest.mark.parametrize(
    ("loss", "more"),
    [
        ("gan/lsgan", QUICK),
        ("gan/wgan", f"{QUICK}, clip: 0.1"),
        ("gan/wgan_gp", "optimizer: {use: adam, lr: 0.003}"),
        ("gan/relativistic", QUICK),
    ],
)
def test_the_boundary_is_that_of_the_loss(cell, monkeypatch, assert_strong_leak, loss, more):
    assert_strong_leak(probed(cell("one_hot", loss=loss, more=more), 0.41, monkeypatch))
    assert probed(cell("straight_through", loss=loss, more=more), 0.41, monkeypatch, steps=5).accuracy == 0.5


@pytest.mark.trains
def test_pixel_classes_are_read_as_the_odds_of_being_real(cell, monkeypatch, assert_strong_leak):
    recipe = {"loss": "gan/per_pixel_classes", "discriminator": "{use: gan/unet, depth: 2, width: 4}"}
    assert_strong_leak(probed(cell("one_hot", **recipe), 0.41, monkeypatch))


@pytest.mark.parametrize(("encoding", "verdict"), [("one_hot", "undefined"), ("straight_through", "clean")])
def test_a_discriminator_of_features_has_no_accuracy(cell, monkeypatch, encoding, verdict):
    recipe = {"loss": "gan/segan_l1", "discriminator": "{use: gan/segan, width: 4, norm: none}"}
    found = probed(cell(encoding, more="clip: 0.05", **recipe), 0.6, monkeypatch, steps=2)
    assert (found.accuracy, found.standard_error) == (None, None)
    assert found.verdict == verdict


@pytest.mark.trains
def test_colours_leak_what_soft_labels_would(cell, monkeypatch, assert_strong_leak):
    colours = {"generator": "gan/pix2pix_unet_colours", "losses": "losses: [gan/l1],"}
    assert_strong_leak(probed(cell(**colours), 0.6, monkeypatch, steps=400))


@pytest.mark.trains
def test_labels_that_come_with_images_are_probed_beside_real_ones(cell, monkeypatch, assert_strong_leak):
    joint = {"generator": "gan/joint", "losses": ""}
    assert_strong_leak(probed(cell("one_hot", **joint), 0.41, monkeypatch))
    assert probed(cell("straight_through", **joint), 0.41, monkeypatch, steps=2).difference == 0


def test_the_discriminator_of_a_refiner_needs_no_predictions_of_its_base(cell, monkeypatch):
    made = cell("one_hot")
    refiner = made.method.model_copy(update={"maps": "image, labels -> labels"})
    refining = made.model_copy(update={"method": refiner})
    assert probed(refining, 0.41, monkeypatch, steps=5) == probed(made, 0.41, monkeypatch, steps=5)


@pytest.mark.trains
def test_a_trained_network_is_probed_last(cell, monkeypatch, training_seed, assert_strong_leak):
    monkeypatch.setattr(encoding_leak, "SYNTHETIC_CONFIDENCES", (0.6,))
    made = cell("one_hot")
    data = open_data(made, load_registry(), CPU)
    torch.manual_seed(training_seed)
    trained = SimpleNamespace(
        network=torch.nn.Conv2d(3, 3, 1),
        mapping=GeneratorMapping("image -> labels", FieldForm(3, 255, data.dataset.palette), 4),
        dataset=description_of(data.dataset),
        protocol=made.method.protocol,
        key="0123456789abcdef",
    )
    *_, last = probe_leak(made, CPU, 100, trained)
    assert last.predictions == "0123456789abcdef"
    assert_strong_leak(last)
    *_, clean = probe_leak(cell("confidence_matched"), CPU, 5, trained)
    assert (clean.accuracy, clean.difference) == (0.5, 0)
    # The held-out predictions are of other crops, since they follow the steps of training.
    assert clean.confidence == pytest.approx(last.confidence, abs=0.02)


def test_held_out_images_are_those_of_val(cell):
    made = cell()
    places, held_out = split_images(made, open_data(made, load_registry(), CPU))
    assert places.labelled == tuple(range(12))
    assert held_out.split.packed.split == "val"


def test_without_val_a_part_of_train_is_held_out(cell):
    made = cell(val=0)
    places, held_out = split_images(made, open_data(made, load_registry(), CPU))
    assert held_out.split.packed.split == "train"
    assert set(places.labelled) | set(held_out.places) == set(range(12))
    assert not set(places.labelled) & set(held_out.places)
    assert len(held_out.places) == 3


def test_one_image_alone_is_too_few(cell):
    made = cell(val=0, train=1)
    with pytest.raises(DataError, match="only 1 labelled training image; it needs at least 2"):
        split_images(made, open_data(made, load_registry(), CPU))


def test_a_method_without_a_discriminator_is_refused(cell):
    method = cell().method.model_copy(update={"adversarial": None})
    with pytest.raises(SpecError, match="method 'method' has no adversarial loss, so it has no discriminator to probe"):
        check_can_be_probed(method)


@pytest.mark.parametrize("maps", ["labels -> image", "noise -> image"])
def test_a_discriminator_of_images_is_refused_with_the_reason(cell, maps):
    method = cell().method.model_copy(update={"maps": maps})
    with pytest.raises(
        SpecError, match=rf"maps '{maps}': its discriminator compares images.*can be probed map 'image -> labels'"
    ):
        check_can_be_probed(method)


def test_a_network_of_other_classes_is_refused(cell):
    dataset = open_data(cell(), load_registry(), CPU).dataset
    description = description_of(replace(dataset, classes=("a", "b", "c")))
    trained = SimpleNamespace(dataset=description, key="0123456789abcdef")
    with pytest.raises(RecordError, match=r"0123456789abcdef: .* 3 channels and the classes a, b, c; the dataset has"):
        check_same_classes(trained, dataset)


def test_scores_that_are_not_finite_are_an_error(cell, monkeypatch):
    wild = cell("one_hot", loss="gan/linear", more="optimizer: {use: sgd, lr: 1.0e+30}")
    with pytest.raises(CellError, match=r"not finite after 5 steps; lower adversarial\.optimizer\.lr"):
        probed(wild, 0.6, monkeypatch, steps=5)


@pytest.mark.parametrize(
    ("accuracy", "error", "verdict"),
    [
        (0.4, 0.01, "clean"),
        (0.51, 0.0, "clean"),
        (0.53, 0.01, "clean"),
        (0.55, 0.01, "leaks"),
        (0.9, 0.01, "leaks"),
        (0.91, 0.01, "strong leak"),
    ],
)
def test_verdicts_go_by_stated_bounds(accuracy, error, verdict):
    assert Finding("made", 0.5, 0.1, accuracy, error).verdict == verdict


# Three colours on one line, so that a mixture of the outer two is nearest to the middle one.
LINE = [(0, 0, 0), (127, 127, 127), (255, 255, 255), (255, 0, 0), (0, 0, 255)]


IGNORED = 255


def mapping(maps="image -> labels", classes=3):
    return GeneratorMapping(maps, FieldForm(classes, IGNORED, LINE[:classes]), 4)


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
    made = synthetic_predictor(mapping(classes=classes), level, seed)(batch, seed)
    assert torch.equal(made.output.argmax(1)[labelled(batch)], batch.labels[labelled(batch)])
    assert torch.equal(made.top_probability, made.output.softmax(1).amax(1))


@pytest.mark.parametrize("classes", [2, 3, 5, 20])
def test_made_predictions_have_the_mean_top_probability_that_is_asked_for(classes):
    batch = random_batch(classes, number=4, size=(64, 64))
    for level in reachable_levels(classes):
        made = synthetic_predictor(mapping(classes=classes), level, 0)(batch, 0)
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
    top = synthetic_predictor(mapping(), 0.6, 0)(batch, 0).top_probability
    beside, far = (top[..., 1:] - top[..., :-1]).abs().mean(), (top[..., 32:] - top[..., :32]).abs().mean()
    assert beside < far / 3


def test_made_predictions_are_a_function_of_seed_and_step():
    batch = random_batch()
    first, again, other_step, other_seed = (
        synthetic_predictor(mapping(), 0.6, seed)(batch, step).output for seed, step in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other_step)
    assert not torch.equal(first, other_seed)


def test_what_makes_images_too_is_given_the_real_ones():
    batch = random_batch()
    output = synthetic_predictor(mapping("noise -> image, labels"), 0.6, 0)(batch, 0).output
    assert torch.equal(output[:, :3], batch.images)
    assert torch.equal(output[:, 3:].argmax(1)[labelled(batch)], batch.labels[labelled(batch)])


def test_a_networks_predictions_become_right_and_keep_their_confidence():
    batch = random_batch()
    network = torch.nn.Conv2d(3, 3, 1)
    predicted = network_predictor(recorded(network), mapping())(batch, 0)
    own = network(batch.images).detach()
    assert torch.equal(predicted.output.argmax(1)[labelled(batch)], batch.labels[labelled(batch)])
    assert torch.equal(predicted.output.sort(1).values, own.sort(1).values)
    assert torch.allclose(predicted.top_probability, own.softmax(1).amax(1))
    right = own.argmax(1) == batch.labels
    assert torch.equal(predicted.output.movedim(1, -1)[right], own.movedim(1, -1)[right])


@pytest.mark.parametrize("level", reachable_levels(5))
def test_mixed_palette_colours_are_decoded_as_the_truth(level):
    batch = random_batch(5)
    made = synthetic_predictor(mapping("image -> image", 5), level, 0)(batch, 0)
    nearest = nearest_class(made.output, torch.tensor(LINE) / 127.5 - 1)
    assert torch.equal(nearest[labelled(batch)], batch.labels[labelled(batch)])


def test_two_colours_are_mixed_in_the_shares_of_their_probabilities():
    form = FieldForm(2, IGNORED, [(0, 0, 0), (255, 255, 255)])
    batch = random_batch(2)
    made = synthetic_predictor(GeneratorMapping("image -> image", form, 4), 0.83, 0)(batch, 0)
    distance = (made.output - (2 * batch.labels[:, None] - 1)).abs()
    doubt = (2 * (1 - made.top_probability))[:, None].expand_as(distance)
    everywhere = labelled(batch)[:, None].expand_as(distance)
    assert torch.allclose(distance[everywhere], doubt[everywhere], atol=1e-6)


def test_a_wrong_colour_keeps_its_offset_from_the_true_one():
    form = FieldForm(2, IGNORED, [(0, 0, 0), (255, 255, 255)])
    batch = Batch(torch.zeros(1, 3, 1, 2), torch.tensor([[[1, 0]]]), (0,))
    colours = torch.full((1, 3, 1, 2), 0.75)
    moved = shift_to_true_colours(colours, batch, form)
    assert moved[0, :, 0, 0].tolist() == [0.75] * 3
    assert moved[0, :, 0, 1].tolist() == [-1.0] * 3  # -1.25 is no colour


def test_a_colour_between_is_moved_until_it_is_nearest_to_its_own():
    form = FieldForm(3, IGNORED, [(0, 0, 0), (127, 127, 127), (255, 255, 255)])
    batch = Batch(torch.zeros(1, 3, 1, 1), torch.tensor([[[0]]]), (0,))
    moved = correct_colours(torch.full((1, 3, 1, 1), 0.2), batch, form)
    # The offset of 1.2 from black is halved to 0.6, still nearer to grey, and again to 0.3.
    assert torch.allclose(moved, torch.full_like(moved, -0.7))


def test_a_networks_colours_are_decoded_as_the_truth():
    batch = random_batch(5)
    network = Decoded(torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), torch.nn.Tanh()), torch.tensor(LINE) / 127.5 - 1)
    predict = network_predictor(recorded(network, "image -> image", 5), mapping("image -> image", 5))
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
    with pytest.raises(RecordError, match=f"0123456789abcdef: its network maps '{trained}'; .* maps '{probed}'"):
        network_predictor(recorded(torch.nn.Identity(), trained), mapping(probed))
