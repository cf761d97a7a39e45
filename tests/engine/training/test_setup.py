from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from segbench.config.protocol import Budget, TrainingProtocol
from segbench.config.recipe import Adversarial, ComponentUse, Method, Penalty
from segbench.engine.data.batches import Batch
from segbench.engine.data.subset import split_places
from segbench.engine.model.build import build_loss
from segbench.engine.model.mapping import FieldForm, GeneratorMapping
from segbench.engine.training.setup import (
    add_default_penalty,
    check_palette,
    deep_supervision,
    prepare_training,
    pseudo_label_term,
    unlabelled_loss_term,
)
from segbench.engine.training.upstream import PseudoLabelledBatches, SyntheticBatches, Upstream, make_stand_ins
from segbench.errors import DataError, SpecError
from segbench.plan.cell import Subset

CPU = torch.device("cpu")


FILE = """
name: test
datasets: {shapes: {use: data/shapes, size: [24, 32], classes: 3, train: 8, val: 2, test: 3}}
protocol: {budget: {steps: 1}, batch_size: 4, crop: [16, 16], augment: {flip: true, scale: [0.5, 2]}}
seeds: [0]
methods:
  base: {generator: {use: basic/fcn, width: 4}, losses: [losses/cross_entropy]}
  critic:
    extends: base
    discriminator: {use: gan/patchgan, receptive_field: 16, width: 4, norm: NORM}
    adversarial: {use: LOSS, weight: 0.1}
  refiner: {extends: critic, generator: {use: refine/unet, width: 2, depth: 1}, refines: {method: base, folds: 2}}
  half: {extends: critic, labels: {fraction: [0.5, 1]}, unlabelled: {use: gan/semi_adversarial, weight: 2}}
  taught: {extends: base, labels: {fraction: 0.5}, unlabelled: {pseudo_labels_from: base, threshold: 0.25}}
  trusting: {extends: base, labels: {fraction: 0.5}, unlabelled: {use: gan/self_training}}
  augmented: {extends: base, trains_on: {synthetic: painter, share: 0.5}}
  painter:
    generator: {use: gan/spade, width: 4, depth: 1}
    discriminator: {use: gan/patchgan, receptive_field: 16, width: 4, norm: NORM}
    adversarial: {use: gan/hinge}
"""


@pytest.fixture
def prepared(planned, tmp_path):
    """Return the training of a cell; stand-ins take the place of upstream cells."""

    def make(name: str, *changes: str, loss="gan/hinge", norm="none", upstream: Upstream | None = None):
        benchmark = planned(FILE.replace("LOSS", loss).replace("NORM", norm), *changes)
        cell, data = benchmark.cells[name], benchmark.data(name)
        given = upstream or make_stand_ins(cell, data, CPU)
        return prepare_training(cell, benchmark.registry, data, CPU, given, tmp_path)

    return make


def drawn(batches, steps: int = 8) -> set[int]:
    return {index for step in range(steps) for index in batches.at(step).indices}


def test_a_supervised_cell_has_no_discriminator(prepared):
    training = prepared("base")
    assert training.adversary is None
    assert training.unlabelled is None
    assert drawn(training.batches) == set(range(8))


def test_a_seed_starts_anew_in_every_test_fold_and_its_methods_start_alike_there(prepared):
    first, second = (prepared(f"critic test fold {fold}/2", "datasets.shapes.folds=2") for fold in (1, 2))
    twin = prepared("base test fold 1/2", "datasets.shapes.folds=2")
    for network in (lambda made: made.network, lambda made: made.adversary.discriminator):
        assert not torch.equal(first_weight(network(first)), first_weight(network(second)))
    assert torch.equal(first_weight(first.network), first_weight(twin.network))
    assert torch.equal(first.batches.at(0).images, twin.batches.at(0).images)
    assert len({first.seed, second.seed, first.batches.seed, second.adversary.batches.seed}) == 2


def first_weight(network):
    return next(network.parameters())


def test_extra_discriminator_steps_and_unseen_reals_have_streams_of_their_own(prepared):
    training = prepared("critic")
    adversary = training.adversary
    assert drawn(adversary.batches) == set(range(8))
    assert any(training.batches.at(step).indices != adversary.batches.at(step).indices for step in range(4))
    assert adversary.validation.split.packed.split == "val"
    assert adversary.validation.batch_size == 2  # val has no more
    assert not adversary.validation.augment.flip
    assert adversary.discriminator.training


def test_without_a_validation_split_there_are_no_unseen_reals(prepared):
    training = prepared("critic", "datasets.shapes.val=0", "protocol.validations=0")
    assert training.adversary.validation is None


@pytest.mark.parametrize(("encoding", "has_them"), [("straight_through", True), ("scaled", False)])
def test_a_refiner_has_unseen_reals_unless_they_depend_on_predictions_of_val(prepared, encoding, has_them):
    training = prepared("refiner", f"methods.refiner.adversarial.encoding={encoding}")
    assert (training.adversary.validation is not None) == has_them


def test_a_refiner_sees_probabilities_in_every_training_batch(prepared):
    training = prepared("refiner")
    batch = training.batches.at(0)
    assert batch.probabilities.shape == (4, 3, 16, 16)
    assert training.adversary.batches.at(0).probabilities.shape == (4, 3, 16, 16)


def test_wgan_gp_brings_its_penalty(prepared):
    adversary = prepared("critic", loss="gan/wgan_gp").adversary
    assert (adversary.recipe.penalty.use, adversary.recipe.penalty.weight) == ("gan/gradient_penalty", 10)
    assert adversary.recipe.penalty.every == 1
    # Of a discriminator whose gradient is 0 it is (0 - 1)^2.
    flat = adversary.penalty(
        lambda field: 0 * field.mean((1, 2, 3), keepdim=True), torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    )
    assert flat == 1


def test_wgan_alone_brings_none(prepared):
    adversary = prepared("critic", loss="gan/wgan").adversary
    assert adversary.penalty is None
    assert adversary.recipe.penalty is None


def test_a_penalty_of_the_recipe_takes_the_place_of_the_usual_one(prepared):
    change = "methods.critic.adversarial.penalty={use: gan/r1, weight: 3, every: 16}"
    adversary = prepared("critic", change, loss="gan/wgan_gp").adversary
    assert (adversary.recipe.penalty.use, adversary.recipe.penalty.weight) == ("gan/r1", 3)
    assert adversary.recipe.penalty.every == 16


def test_the_usual_penalty_changes_nothing_else_of_a_recipe():
    class Loss:
        default_penalty = ("gan/r1", 5.0)

    recipe = Adversarial(use="test/loss", d_steps=5, weight=0.3)
    resolved = add_default_penalty(recipe, Loss())
    assert resolved.penalty == Penalty(use="gan/r1", weight=5.0)
    assert resolved.model_copy(update={"penalty": None}) == recipe
    assert add_default_penalty(recipe, object()) is recipe


@pytest.mark.parametrize("changes", [["methods.critic.adversarial.penalty=gan/r1"], []], ids=["r1", "wgan_gp"])
def test_a_batch_norm_discriminator_under_a_penalty_is_refused(prepared, changes):
    loss = "gan/hinge" if changes else "gan/wgan_gp"
    with pytest.raises(SpecError, match="the discriminator normalises over the batch"):
        prepared("critic", *changes, loss=loss, norm="batch")
    assert prepared("critic", *changes, loss=loss, norm="instance").adversary.penalty is not None


def test_what_has_no_label_is_drawn_apart_from_what_has(prepared, planned):
    training = prepared("half labels 0.5")
    labelled, unlabelled = drawn(training.batches), drawn(training.unlabelled.batches)
    data = planned(FILE.replace("LOSS", "gan/hinge").replace("NORM", "none")).data("base")
    places = split_places(data.packed("train"), Subset.parse("labels 0.5"))
    assert (labelled, unlabelled) == (set(places.labelled), set(places.unlabelled))
    assert drawn(training.adversary.batches) == labelled
    shown = training.unlabelled.batches.at(0).labels
    assert set(shown.unique().tolist()) <= {0, 255}  # nothing but where the image ends


@pytest.mark.parametrize("name", ["half labels 0.5", "taught labels 0.5"])
def test_class_weights_are_made_from_the_labels_that_the_cell_sees(prepared, planned, name):
    loss = "[{use: losses/cross_entropy, class_weights: inverse_square_root}]"
    training = prepared(name, f"methods.{name.split()[0]}.losses={loss}")
    packed = planned(FILE.replace("LOSS", "gan/hinge").replace("NORM", "none")).data("base").packed("train")
    seen = [packed.labels(place) for place in split_places(packed, Subset.parse("labels 0.5")).labelled]
    frequency = np.bincount(np.concatenate([labels.ravel() for labels in seen]), minlength=3)[:3] / len(seen)
    expected = frequency**-0.5 / (frequency**-0.5).mean()
    assert training.class_weights["inverse_square_root"] == pytest.approx(expected)
    ((_, built),) = training.losses
    assert built.function.class_weights.tolist() == training.class_weights["inverse_square_root"]


def test_auxiliary_outputs_are_trained_with_the_losses_of_the_method_at_one_weight(prepared):
    changes = [
        "methods.base.generator=realtime/fast_scnn",
        "methods.base.losses=[{use: losses/cross_entropy, weight: 0.5, label_smoothing: 0.1}, losses/dice]",
        "protocol.crop=[33, 40]",
    ]
    training = prepared("base", *changes, "protocol.auxiliary_weight=0.3")
    network, labels = training.network.train(), torch.randint(3, (4, 33, 40))
    labels[0, :9] = 255
    images = torch.rand(4, 3, 33, 40)
    returned = network(images)
    _, *outputs = network.outputs_of_one_size(returned, images)
    loss = training.deep_supervision(outputs, labels)
    expected = torch.zeros(())
    for output in returned[1:]:
        logits = functional.interpolate(output, (64, 64), mode="bilinear", align_corners=False)[..., :33, :40]
        smoothed = functional.cross_entropy(logits, labels, ignore_index=255, label_smoothing=0.1)
        known = (labels != 255).unsqueeze(1)
        truth = functional.one_hot(labels.masked_fill(labels == 255, 0), 3).movedim(-1, 1) * known
        shares = logits.softmax(1) * known
        dice = 2 * (shares * truth).sum((0, 2, 3)) / (shares + truth).sum((0, 2, 3))
        expected = expected + 0.5 * smoothed + 1 - dice.mean()
    torch.testing.assert_close(loss, 0.3 * expected)


def test_auxiliary_outputs_of_a_painter_are_compared_with_colours():
    mapping = GeneratorMapping("image -> image", FieldForm(2, 255, ((0, 0, 0), (255, 0, 255))), 1)
    seen = []
    term = deep_supervision(mapping, [(2.0, lambda output, target: seen.append(target) or output.mean())], 0.5)
    outputs, labels = torch.rand(2, 1, 3, 1, 3), torch.tensor([[[0, 1, 255]]])
    torch.testing.assert_close(term(list(outputs), labels), outputs.mean((1, 2, 3, 4)).sum())
    assert all(target.nan_to_num(9).equal(seen[0].nan_to_num(9)) for target in seen)
    assert seen[0].nan_to_num(9)[0, :, 0].tolist() == [[-1, 1, 9], [-1, -1, 9], [-1, 1, 9]]


def test_what_makes_images_and_what_has_no_weight_keep_the_own_loss_of_the_network(prepared):
    assert prepared("painter", "protocol.auxiliary_weight=0.4").deep_supervision is None
    assert prepared("base").deep_supervision is None
    assert prepared("refiner", "protocol.auxiliary_weight=0").deep_supervision is not None


def test_without_losses_there_is_nothing_to_train_auxiliary_outputs_with():
    term = deep_supervision(GeneratorMapping("image -> labels", FieldForm(2, 255, ()), 1), [], 0.4)
    with pytest.raises(SpecError, match="trained with the losses of the method, and it has none; add losses, or set"):
        term([torch.zeros(1, 2, 4, 4)], torch.zeros(1, 4, 4, dtype=torch.int64))


def test_where_all_images_have_labels_there_is_no_unlabelled_term(prepared):
    assert prepared("half").unlabelled is None


def test_the_term_of_the_recipe_is_weighted_and_sees_the_discriminator(prepared, planned):
    training = prepared("half labels 0.5")
    batch = training.unlabelled.batches.at(0)
    logits = torch.rand(4, 3, 16, 16)
    benchmark = planned(FILE.replace("LOSS", "gan/hinge").replace("NORM", "none"))
    loss = build_loss(
        ComponentUse(use="gan/semi_adversarial", options={}), benchmark.registry, benchmark.data("base"), CPU
    )
    expected = 2 * loss(logits=logits, scores=training.adversary.score_map(batch.images, logits))
    torch.testing.assert_close(training.unlabelled.loss(logits, batch), expected)


def test_the_discriminator_pulls_at_predictions_on_unlabelled_images(prepared):
    options = "methods.half.unlabelled={use: gan/semi_adversarial, adversarial: 1, self_training: 0}"
    training = prepared("half labels 0.5", options)
    logits = torch.rand(4, 3, 16, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(training.unlabelled.loss(logits, training.unlabelled.batches.at(0)), logits)
    assert gradient.abs().sum() > 0


def test_a_term_that_needs_a_discriminator_is_refused_without_one(prepared):
    with pytest.raises(SpecError, match="needs a discriminator's scores, but the method has none"):
        prepared("trusting labels 0.5")


def test_labels_of_another_method_are_learnt_where_it_is_sure(prepared):
    sure = torch.nn.Conv2d(3, 3, 1)
    with torch.no_grad():
        sure.weight.zero_()
        sure.bias.copy_(torch.tensor([0.0, 5.0, 0.0]))
    training = prepared("taught labels 0.5", upstream=Upstream(labeller=sure.eval()))
    assert isinstance(training.unlabelled.batches, PseudoLabelledBatches)
    labels = training.unlabelled.batches.at(0).labels
    assert set(labels.unique().tolist()) <= {1, 255}
    logits = torch.rand(4, 3, 16, 16)
    expected = torch.nn.functional.cross_entropy(logits, labels, ignore_index=255)
    torch.testing.assert_close(training.unlabelled.loss(logits, training.unlabelled.batches.at(0)), expected)


def test_synthetic_samples_take_their_share_of_a_batch(prepared):
    def synthesise(batch, step):
        return torch.full_like(batch.images, 0.5), torch.full_like(batch.labels, 2)

    training = prepared("augmented", upstream=Upstream(synthesise=synthesise))
    assert isinstance(training.batches, SyntheticBatches)
    batch = training.batches.at(0)
    assert (batch.images == 0.5).all(dim=(1, 2, 3)).tolist() == [False, False, True, True]
    assert batch.images.shape == (4, 3, 16, 16)


def test_weights_to_start_from_are_those_of_the_network(prepared):
    start = {name: torch.full_like(tensor, 0.5) for name, tensor in prepared("base").network.state_dict().items()}
    training = prepared("base", upstream=Upstream(start=start))
    assert all((parameter == 0.5).all() for parameter in training.network.parameters())


def test_more_folds_than_labelled_images_are_refused(prepared):
    with pytest.raises(DataError, match="has 8 labelled images, which cannot be divided into 9 folds"):
        prepared("base fold 1/9", "methods.refiner.refines.folds=9")


def test_a_painter_of_colours_is_refused_where_two_classes_share_one(dataset):
    painter = Method(
        name="painter",
        generator=ComponentUse(use="gan/resnet_colours"),
        maps="image -> image",
        protocol=TrainingProtocol(budget={"steps": 1}),
    )
    shared = replace(dataset, palette=(dataset.palette[0], dataset.palette[0]))
    check_palette(painter, dataset)
    check_palette(painter.model_copy(update={"maps": "image -> labels"}), shared)
    first, second = map(re.escape, map(repr, dataset.classes))
    with pytest.raises(DataError, match=f"gan/resnet_colours .* that of {second} is taken for {first}"):
        check_palette(painter, shared)


SETTINGS = TrainingProtocol(budget=Budget(steps=8), batch_size=2, crop=(8, 8))


def a_batch(size: int = 8) -> Batch:
    torch.manual_seed(0)
    return Batch(torch.rand(2, 3, size, size), torch.randint(2, (2, size, size)), (0, 1))


def mapping(maps: str) -> GeneratorMapping:
    return GeneratorMapping(maps, FieldForm(2, 255, ((0, 0, 0), (255, 0, 0))), 1)


class Brightness(nn.Module):
    """A score for each 2 x 2 pixels: the mean of all that it sees there."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.avg_pool2d(x.mean(dim=1, keepdim=True), 2)


def test_labels_of_another_method_are_learnt_by_the_supervised_losses_times_the_weight():
    def squared(logits, labels):
        return (logits[:, 0] - labels).square().mean()

    def constant(logits, labels):
        return torch.tensor(10.0)

    term = pseudo_label_term(mapping("image -> labels"), [(2.0, squared), (0.5, constant)], weight=3.0)
    batch, logits = a_batch(), torch.rand(2, 2, 8, 8)
    expected = 3 * (2 * (logits[:, 0] - batch.labels).square().mean() + 0.5 * 10)
    torch.testing.assert_close(term(logits, batch), expected)


def test_colours_are_learnt_from_the_palette_colours_of_another_methods_labels():
    def distance(colours, target):
        return (colours - target).abs().nansum()

    batch = Batch(torch.rand(1, 3, 1, 2), torch.tensor([[[1, 255]]]), (0,))
    term = pseudo_label_term(mapping("image -> image"), [(1.0, distance)], weight=1.0)
    # Class 1 is red, (1, -1, -1); the other pixel was not labelled.
    assert term(torch.zeros(1, 3, 1, 2), batch) == 3


def test_a_loss_is_given_logits_and_no_discriminator_where_it_asks_for_none():
    term = unlabelled_loss_term(lambda logits: logits.square().mean(), 2.0, None)
    assert term(torch.full((1, 2, 4, 4), 3.0), a_batch()) == 18


def test_a_module_is_asked_for_what_its_forward_takes(adversary):
    class Loss(nn.Module):
        def forward(self, scores):
            return scores.mean()

    made = adversary(SETTINGS, discriminator=Brightness(), encoding="one_hot")
    logits = torch.rand(2, 2, 8, 8)
    expected = made.score_map(a_batch().images, logits).mean()
    torch.testing.assert_close(unlabelled_loss_term(Loss(), 1.0, made)(logits, a_batch()), expected)


def test_scores_without_a_discriminator_are_refused():
    class Trusting:
        def __call__(self, logits, scores):
            return scores.mean()

    with pytest.raises(SpecError, match="Trusting needs a discriminator's scores, but the method has none"):
        unlabelled_loss_term(Trusting(), 1.0, None)


def test_scores_are_those_of_the_encoded_prediction_under_its_image_at_the_size_of_the_image(adversary):
    made = adversary(SETTINGS, discriminator=Brightness(), encoding="one_hot")
    batch, logits = a_batch(), torch.rand(2, 2, 8, 8)
    seen = torch.cat([batch.images, logits.softmax(1)], 1)
    expected = functional.interpolate(Brightness()(seen), size=(8, 8), mode="bilinear", align_corners=False)
    torch.testing.assert_close(made.score_map(batch.images, logits), expected)


def test_scores_of_several_scales_are_averaged_and_classes_become_log_odds(adversary):
    class Scales(nn.Module):
        def forward(self, x):
            classes = torch.tensor([0.1, 0.3, 0.6]).log().view(1, 3, 1, 1).expand(len(x), 3, 4, 4)
            return [torch.full((len(x), 1, 1, 1), 1.0), classes]

    scores = adversary(SETTINGS, discriminator=Scales()).score_map(a_batch().images, torch.rand(2, 2, 8, 8))
    expected = (1 + torch.tensor(0.4 / 0.6).log()) / 2
    torch.testing.assert_close(scores, expected.expand(2, 1, 8, 8))


@pytest.mark.parametrize("encoding", ["one_hot", "straight_through"])
def test_gradients_reach_the_logits_through_the_scores_and_leave_none_at_the_discriminator(adversary, encoding):
    discriminator = nn.Conv2d(5, 1, 3, padding=1)
    made = adversary(SETTINGS, discriminator=discriminator, encoding=encoding)
    logits = torch.rand(2, 2, 8, 8, requires_grad=True)
    term = unlabelled_loss_term(lambda scores: scores.mean(), 1.0, made)(logits, a_batch())
    (gradient,) = torch.autograd.grad(term, logits)
    assert gradient.abs().sum() > 0
    assert discriminator.weight.grad is None
