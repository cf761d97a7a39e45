from __future__ import annotations

import json
import math
import warnings
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from segbench.engine.adversarial.adversary import DiscriminatorOutput, DiscriminatorUpdate
from segbench.engine.adversarial.monitor import (
    MOST_POINTS,
    HealthLog,
    compare_gradients,
    gradient_norm,
    observe_classes,
    observe_confidence,
    observe_gradient,
    observe_output,
    observe_scores,
    observe_step,
    overfit,
    score_unseen_reals,
)
from segbench.engine.data.batches import Batch
from segbench.engine.model.mapping import GeneratorMapping
from segbench.engine.training.loop import train
from segbench.engine.training.setup import Unlabelled
from segbench.stats import health as rules
from segbench.store.record import HealthPoint

from ..training.short import NEVER, entropy  # noqa: TID252 - tests have no absolute name

IGNORE = 255


def maps(*values):
    """Return scores (1, 1, 1, w)."""
    return torch.tensor(values).view(1, 1, 1, -1)


def numbers(observed):
    assert all(value.shape == () and value.dtype == torch.float32 for value in observed.values())
    return {name: value.item() for name, value in observed.items()}


def test_scores_are_right_on_their_side_of_the_boundary_and_half_right_on_it():
    observed = numbers(observe_scores(maps(2.0, 0.0, -1.0, 3.0), maps(-1.0, -2.0, 0.0, 1.0), 0.0))
    assert observed == {"real": 1.0, "real_accuracy": 2.5 / 4, "fake": -0.5, "fake_accuracy": 2.5 / 4}


def test_a_loss_with_another_boundary_says_where_it_is():
    assert numbers(observe_scores(maps(0.4, 0.6), maps(0.4, 0.2), 0.5))["real_accuracy"] == 0.5


def test_without_a_boundary_it_is_midway_between_the_means():
    observed = numbers(observe_scores(maps(10.0, 14.0), maps(8.0, 12.0), None))
    assert (observed["real_accuracy"], observed["fake_accuracy"]) == (0.5, 0.5)
    shifted = numbers(observe_scores(maps(12.0, 14.0), maps(8.0, 9.0), None, validation=maps(11.0, 10.0)))
    assert (shifted["real_accuracy"], shifted["fake_accuracy"], shifted["validation_accuracy"]) == (1.0, 1.0, 0.5)


def test_validation_reals_bring_the_overfit_heuristic():
    observed = numbers(observe_scores(maps(2.0), maps(-2.0), 0.0, validation=maps(1.0, -1.0)))
    assert observed["validation"] == 0.0
    assert observed["validation_accuracy"] == 0.5
    assert observed["overfit"] == rules.overfit(2.0, -2.0, 0.0) == 0.5


def test_masked_scores_do_not_count_and_partly_masked_ones_count_in_part():
    mask = torch.tensor([[1, 1, 1, 0, 0, 0]]).bool().view(1, 1, 1, 6).expand(1, 1, 2, 6)  # cells of 2 pixels
    observed = numbers(observe_scores(maps(1.0, 4.0, 99.0), maps(-1.0, 2.0, 99.0), 0.0, mask=mask))
    assert observed["real"] == pytest.approx((1 * 1 + 0.5 * 4) / 1.5)
    assert observed["fake_accuracy"] == pytest.approx(1 / 1.5)


def test_validation_reals_have_a_mask_of_their_own():
    masks = {"mask": maps(1, 0).bool(), "validation_mask": maps(0, 1).bool()}
    observed = numbers(observe_scores(maps(1.0, 5.0), maps(-1.0, 5.0), 0.0, validation=maps(5.0, 2.0), **masks))
    assert (observed["real"], observed["fake"], observed["validation"]) == (1.0, -1.0, 2.0)


def test_scores_without_any_labelled_pixel_are_finite():
    observed = numbers(observe_scores(maps(1.0), maps(1.0), 0.0, mask=maps(0).bool()))
    assert all(math.isfinite(value) for value in observed.values())


def test_score_maps_of_several_scales_count_alike_each_with_its_midpoint():
    real, fake = [maps(1.0, 1.0, 1.0, 1.0), maps(101.0)], [maps(0.0, 0.0, 0.0, 0.0), maps(100.0)]
    observed = numbers(observe_scores(real, fake, None))
    assert observed == {"real": 51.0, "real_accuracy": 1.0, "fake": 50.0, "fake_accuracy": 1.0}


def test_a_discriminator_of_classes_is_observed_by_its_log_odds():
    scores = torch.tensor([1.0, 1.0, 0.0]).view(1, 3, 1, 1)
    assert numbers(observe_scores(scores, -scores, 0.0))["real"] == pytest.approx(1 + math.log(2))


def test_scores_in_half_precision_are_averaged_in_single():
    scores = torch.full((1, 1, 30, 30), 60000.0, dtype=torch.float16)
    assert numbers(observe_scores(scores, -scores, None))["real"] == scores[0, 0, 0, 0].item()


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_overfit_is_free_of_the_scale_and_0_where_undefined(scale):
    means = [torch.tensor(scale * value) for value in (3.0, -1.0, 1.0)]
    assert overfit(*means).item() == 0.5
    assert overfit(means[0], means[0], means[2]).item() == 0.0


def test_gradients_are_compared_by_norm_ratio_and_cosine():
    observed = numbers(compare_gradients(torch.tensor([3.0, 4.0]), torch.tensor([0.0, 2.0])))
    assert observed == pytest.approx(
        {"supervised_gradient": 5.0, "adversarial_gradient": 2.0, "ratio": 0.4, "cosine": 0.8}
    )


@pytest.mark.parametrize(("one", "other"), [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_gradients_of_which_one_is_zero_stay_finite_and_have_no_cosine(one, other):
    observed = numbers(compare_gradients(torch.full((4,), one), torch.full((4,), other)))
    assert all(math.isfinite(value) for value in observed.values())
    assert observed["cosine"] == 0
    assert (observed["ratio"] == 0) == (other == 0)


def test_gradients_in_half_precision_do_not_overflow():
    gradient = torch.full((10_000,), 1000.0, dtype=torch.float16)
    observed = numbers(compare_gradients(gradient, gradient))
    assert observed == pytest.approx(
        {"supervised_gradient": 1e5, "adversarial_gradient": 1e5, "ratio": 1.0, "cosine": 1.0}
    )


def test_without_a_supervised_term_there_is_the_adversarial_norm_only():
    assert numbers(compare_gradients(None, torch.tensor([3.0, 4.0]))) == {"adversarial_gradient": 5.0}


def test_confidence_is_the_mean_top_probability_and_entropy():
    even, sure = torch.zeros(3), torch.tensor([0.0, -torch.inf, -torch.inf])
    logits = torch.stack([even, sure], dim=1).view(1, 3, 1, 2)
    assert numbers(observe_confidence(logits)) == pytest.approx(
        {"top_probability": (1 / 3 + 1) / 2, "entropy": math.log(3) / 2}
    )


def test_entropy_is_that_of_torch():
    logits = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    expected = torch.distributions.Categorical(logits=logits.movedim(1, -1)).entropy().mean().item()
    assert numbers(observe_confidence(logits))["entropy"] == pytest.approx(expected)


def classes(predicted, true, num_classes=3):
    logits = torch.nn.functional.one_hot(torch.tensor([[predicted]]), num_classes).movedim(-1, 1).float()
    return numbers(observe_classes(logits, torch.tensor([[true]]), IGNORE))["class_entropy"]


def test_class_entropy_compares_the_histograms_of_predicted_and_true_classes():
    assert classes([1, 0, 2, 1], [0, 1, 1, 2]) == pytest.approx(1)
    assert classes([0, 0, 0, 0], [0, 1, 1, 0]) == pytest.approx(0, abs=0.01)
    assert classes([0, 0, 0, 1], [0, 1, 1, 0]) == pytest.approx(0.562335 / math.log(2), abs=0.001)


def test_class_entropy_is_1_where_truth_and_prediction_have_one_class():
    assert classes([1, 1], [2, 2]) == 1


def test_what_is_predicted_at_ignored_pixels_changes_no_class_entropy():
    assert classes([0, 1, 2, 2], [0, 1, IGNORE, IGNORE]) == pytest.approx(1)
    assert classes([0, 1], [IGNORE, IGNORE]) == 1


def test_the_norm_over_parameters_is_that_of_all_gradients_as_one_vector():
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
    network(torch.ones(1, 3)).sum().backward()
    expected = torch.cat([parameter.grad.flatten() for parameter in network.parameters()]).norm()
    torch.testing.assert_close(gradient_norm(network.parameters()), expected)


def test_parameters_without_gradients_have_norm_0():
    assert gradient_norm(torch.nn.Linear(2, 2).parameters()).item() == 0


def test_observing_keeps_no_graph():
    values = torch.ones(1, 1, 2, 2, requires_grad=True)
    observed = {**observe_scores(values, values, None, validation=values), **compare_gradients(values, values)}
    observed |= observe_confidence(values)
    assert not any(value.requires_grad for value in observed.values())


def test_a_log_gives_its_points_in_the_order_of_their_steps():
    log = HealthLog()
    log.add(10, {"real": torch.tensor(2.0)})
    log.add(0, {"real": torch.tensor(1.0), "critic_loss": torch.tensor(0.5, dtype=torch.bfloat16)})
    assert log.points() == [HealthPoint(step=0, real=1.0, critic_loss=0.5), HealthPoint(step=10, real=2.0)]


def test_observations_of_one_step_are_put_together():
    log = HealthLog()
    log.add(0, {"real": torch.tensor(1.0)})
    log.add(0, {"fake": torch.tensor(2.0)})
    log.points()
    log.add(0, {"ratio": torch.tensor(3.0)})
    log.add(0, {})
    assert log.points() == [HealthPoint(step=0, real=1.0, fake=2.0, ratio=3.0)]


def test_what_is_not_finite_is_null_and_remembered():
    log = HealthLog()
    log.add(0, {"real": torch.tensor(1.0)})
    log.add(10, {"real": torch.tensor(torch.nan), "fake": torch.tensor(torch.inf)})
    assert log.points()[1] == HealthPoint(step=10)
    assert log.non_finite() == [10]
    assert HealthLog.from_state(log.state()).non_finite() == [10]
    assert rules.judge(log.points(), log.non_finite()).verdict == "diverged"


def test_a_log_survives_a_checkpoint():
    log = HealthLog()
    for step in range(0, 50, 10):
        log.add(step, {"real": torch.tensor(step / 7)})
    restored = HealthLog.from_state(json.loads(json.dumps(log.state(), allow_nan=False)))
    for one in (log, restored):
        one.add(50, {"real": torch.tensor(1.0)})
    assert restored.points() == log.points()
    assert restored.every == log.every


def test_steps_are_observed_at_the_first_every_tenth_and_the_last():
    log = HealthLog()
    assert [step for step in range(35) if log.is_due(step, 35)] == [0, 10, 20, 30, 34]
    assert [step for step in range(7) if log.is_due(step, 7)] == [0, 6]
    assert [step for step in range(7) if log.is_due(step)] == [0]


@pytest.mark.parametrize("fetched", [False, True])
def test_a_long_run_is_observed_less_often_and_its_points_stay_evenly_spread(fetched):
    log, value = HealthLog(), torch.tensor(1.0)
    for step in range(10 * MOST_POINTS + 101):
        if log.is_due(step):
            log.add(step, {"real": value})
            if fetched and step % 1000 == 0:
                log.points()
    steps = [point.step for point in log.points()]
    assert log.every == 20
    assert steps == list(range(0, 10 * MOST_POINTS + 101, 20))


def test_a_name_that_no_point_has_is_refused_at_once():
    with pytest.raises(ValueError, match="no such fields of HealthPoint: critic, step"):
        HealthLog().add(0, {"critic": torch.tensor(1.0), "step": torch.tensor(1.0)})


@pytest.mark.gpu
def test_nothing_waits_for_the_device_until_the_log_is_read():
    scores = torch.randn(2, 1, 8, 8, device="cuda", requires_grad=True)
    logits, labels = torch.randn(2, 3, 16, 16, device="cuda"), torch.randint(0, 3, (2, 16, 16), device="cuda")
    mask, layer, log = labels[:, None] != 2, torch.nn.Conv2d(1, 1, 3, device="cuda"), HealthLog()
    layer(scores).sum().backward()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Synchronization debug mode is a prototype")
            torch.cuda.set_sync_debug_mode("error")
        log.add(0, observe_scores(scores, scores, None, validation=scores, mask=mask, validation_mask=mask))
        log.add(0, {**compare_gradients(logits, logits), "critic_gradient": gradient_norm(layer.parameters())})
        log.add(0, {**observe_confidence(logits), **observe_classes(logits, labels, IGNORE)})
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert log.points()[0].cosine == pytest.approx(1)


def test_a_score_that_is_no_number_makes_the_accuracy_none_either():
    broken = torch.tensor([1.0, float("nan")]).view(2, 1, 1, 1)
    seen = observe_scores(broken, torch.zeros(2, 1, 1, 1), 0.0)
    assert seen["real_accuracy"].isnan()
    assert seen["fake_accuracy"] == 0.5


class Mean(nn.Module):
    """The mean of all that it sees of a sample."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(1, 2, 3)).view(-1, 1, 1, 1)


def step_of(made, step: int = 0):
    """Return batch, z and pair of a step."""
    batch = made.batches.at(step)
    torch.manual_seed(0)
    z = torch.rand(2, 2, 8, 8, requires_grad=True)
    return batch, z, made.adversary.pair(batch, z)


def update_of(made, pair) -> DiscriminatorUpdate:
    return made.adversary.discriminator_loss(pair, torch.zeros(2, 8, 8, dtype=torch.int64), 0)


def test_a_step_is_observed_by_scores_and_confidence_by_names_of_the_record(training):
    made = training(adversary={"discriminator": Mean(), "encoding": "one_hot"})
    batch, z, pair = step_of(made)
    seen = observe_step(made.adversary, made.network, made.seed, 0, batch, pair, update_of(made, pair), z)
    HealthLog().add(0, seen)  # refuses names that the record does not know
    real, fake = (torch.cat([pair.condition, field], 1).mean() for field in (pair.real, pair.fake))
    torch.testing.assert_close(seen["fake"], fake)
    assert seen["real"] == pytest.approx(real.item(), abs=0.02)  # images with more void count less
    torch.testing.assert_close(seen["top_probability"], z.softmax(1).amax(1).mean())
    assert seen["critic_gradient"] == 0  # this discriminator has no parameters
    assert all(value.ndim == 0 and not value.requires_grad for value in map(torch.Tensor.detach, seen.values()))


def test_scores_are_those_of_the_discriminators_own_step_where_there_was_one(training):
    made = training(adversary={"discriminator": Mean()})
    batch, z, pair = step_of(made)
    update = DiscriminatorUpdate(
        torch.tensor(7.0),
        DiscriminatorOutput([torch.full((2, 1, 1, 1), 3.0)], []),
        DiscriminatorOutput([torch.full((2, 1, 1, 1), -2.0)], []),
    )
    seen = observe_step(made.adversary, made.network, made.seed, 0, batch, pair, update, z)
    assert (seen["real"], seen["fake"], seen["critic_loss"]) == (3, -2, 7)
    assert (seen["real_accuracy"], seen["fake_accuracy"]) == (1, 1)


def test_shuffled_labels_are_not_taken_for_true_ones(training):
    made = training(adversary={"discriminator": Mean(), "placebo": "shuffled"})
    batch, z, pair = step_of(made)
    swapped = DiscriminatorUpdate(
        torch.tensor(7.0), DiscriminatorOutput([torch.full((2, 1, 1, 1), 3.0)], []), DiscriminatorOutput([], [])
    )
    seen = observe_step(made.adversary, made.network, made.seed, 0, batch, pair, swapped, z)
    assert seen["real"] != 3
    assert seen["critic_loss"] == 7


def test_without_a_discriminator_step_on_this_batch_there_is_no_discriminator_loss(training):
    made = training(adversary={"discriminator": Mean(), "alternate": 3})
    batch, z, pair = step_of(made)
    seen = observe_step(made.adversary, made.network, made.seed, 0, batch, pair, None, z)
    assert "critic_loss" not in seen
    assert {"real", "fake", "validation", "overfit"} <= seen.keys()


def test_without_reals_that_are_never_trained_on_there_is_no_validation_score(training):
    made = training(adversary={"discriminator": Mean()})
    blind = replace(made.adversary, validation=None)
    batch, z, pair = step_of(made)
    assert score_unseen_reals(blind, made.network, made.seed, 0, z) is None
    seen = observe_step(blind, made.network, made.seed, 0, batch, pair, None, z)
    assert not {"validation", "validation_accuracy", "overfit"} & seen.keys()


def test_unseen_reals_are_crops_of_the_validation_split_under_their_truth(training):
    made = training(adversary={"discriminator": Mean(), "encoding": "one_hot"})
    reading, mask = score_unseen_reals(made.adversary, made.network, made.seed, 5, step_of(made)[1])
    batch = made.adversary.validation.at(5)
    valid = (batch.labels != 255)[:, None]
    truth = torch.stack([batch.labels == 0, batch.labels == 1], 1).float()
    expected = torch.cat([batch.images, truth], 1).mean((1, 2, 3))
    torch.testing.assert_close(reading.scores[0].flatten(), expected)
    assert torch.equal(mask, valid)


@pytest.mark.parametrize("encoding", ["scaled", "confidence_matched"])
def test_truth_that_follows_the_prediction_is_matched_to_that_of_the_same_images(training, encoding):
    made = training(adversary={"discriminator": Mean(), "encoding": encoding})
    reading, _ = score_unseen_reals(made.adversary, made.network, made.seed, 0, step_of(made)[1])
    batch = made.adversary.validation.at(0)
    with torch.no_grad():
        logits = made.network.eval()(batch.images)
        expected = Mean()(torch.cat([batch.images, made.adversary.pair(batch, logits).real], 1))
    torch.testing.assert_close(reading.scores[0], expected)


def test_the_pull_is_compared_without_the_scale_of_the_loss():
    supervised, adversarial = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    seen = observe_gradient(supervised * 1024, adversarial * 1024, torch.tensor(0.5), 1024.0)
    assert (seen["supervised_gradient"], seen["adversarial_gradient"]) == (3, 4)
    assert seen["ratio"] == pytest.approx(4 / 3)
    assert seen["cosine"] == 0
    assert seen["generator_loss"] == 0.5


def test_without_a_supervised_term_there_is_nothing_to_compare_the_pull_with():
    seen = observe_gradient(None, torch.tensor([[0.0, 4.0]]), torch.tensor(0.5), 2.0)
    assert seen.keys() == {"generator_loss", "adversarial_gradient"}
    assert seen["adversarial_gradient"] == 2


@pytest.mark.parametrize(
    ("maps", "names"),
    [
        ("image -> labels", {"top_probability", "entropy", "class_entropy"}),
        ("image, labels -> labels", {"top_probability", "entropy", "class_entropy"}),
        ("image -> image", set()),
        ("labels -> image", set()),
        ("noise -> image", {"diversity", "real_diversity", "nearest"}),
        ("noise -> image, labels", {"diversity", "real_diversity", "nearest", "top_probability", "entropy"}),
    ],
)
def test_outputs_are_observed_by_what_is_made(training, maps, names):
    made = training()
    mapping = GeneratorMapping(maps, made.mapping.form, 1)
    batch = Batch(torch.rand(2, 3, 8, 8), torch.randint(2, (2, 8, 8)), (0, 1))
    z = torch.rand(2, mapping.output_channels(3), 8, 8)
    assert observe_output(mapping, batch, z).keys() == names


def test_generated_images_are_compared_with_one_another_and_with_the_batch(training):
    mapping = GeneratorMapping("noise -> image, labels", training().mapping.form, 1)
    batch = Batch(torch.zeros(2, 1, 2, 2), torch.zeros(2, 2, 2, dtype=torch.int64), (0, 1))
    images = torch.stack([torch.zeros(1, 2, 2), torch.full((1, 2, 2), 0.5)])
    seen = observe_output(mapping, batch, torch.cat([images, torch.zeros(2, 2, 2, 2)], 1))
    assert seen["diversity"] == pytest.approx(0.5)
    assert seen["nearest"] == pytest.approx(0.25)  # one is there already, the other 0.5 away
    assert seen["top_probability"] == 0.5


# Observing leaves no trace -------------------------------------------------------------------------------------------


def spectral_discriminator() -> nn.Module:
    """Its weights depend on vectors that every pass in training mode moves on."""
    torch.manual_seed(1)
    layers = [spectral_norm(nn.Conv2d(5, 4, 4, 2, 1)), nn.LeakyReLU(0.2), nn.Dropout(0.2), nn.Conv2d(4, 1, 3)]
    return nn.Sequential(*layers)


def state_of(made) -> dict[str, torch.Tensor]:
    modules = {"generator": made.network, "discriminator": made.adversary.discriminator}
    return {f"{who} {name}": t for who, module in modules.items() for name, t in module.state_dict().items()}


RECIPES = {
    "plain": {},
    "extra steps": {"d_steps": 2},
    "alternating": {"alternate": 2},
    "matched": {"encoding": "confidence_matched"},
    "shuffled": {"placebo": "shuffled"},
    "frozen": {"placebo": "frozen"},
    "noise": {"placebo": "noise"},
    "spectral": {"discriminator": spectral_discriminator},
}


@pytest.mark.parametrize("term", [None, entropy], ids=["labelled", "unlabelled"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_observing_changes_no_bit_of_a_training(training, recorder, tmp_path, monkeypatch, recipe, term):
    states = []
    for observed in (False, True):
        monkeypatch.setattr(HealthLog, "is_due", lambda log, step, steps=None, due=observed: due)
        settings = {name: value() if callable(value) else value for name, value in RECIPES[recipe].items()}
        made = training(adversary=settings)
        if term is not None:
            made = replace(made, unlabelled=Unlabelled(made.batches, term))
        outcome = train(made, tmp_path / f"{observed}", NEVER, recorder())
        assert len(outcome.health.curve) == (8 if observed else 0)
        states.append(state_of(made))
    changed = [name for name in states[0] if not torch.equal(states[0][name], states[1][name])]
    assert changed == []
