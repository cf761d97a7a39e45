from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from segbench.engine.adversary import CriticUpdate, Reading
from segbench.engine.data.batches import Batch
from segbench.engine.health import HealthLog
from segbench.engine.mapping import Mapping
from segbench.engine.observe import observe_output, observe_pull, observe_step, unseen_reading
from segbench.engine.train import train
from segbench.engine.unlabelled import Unlabelled

NEVER = 1e9


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


def update_of(made, pair) -> CriticUpdate:
    return made.adversary.critic_loss(pair, torch.zeros(2, 8, 8, dtype=torch.int64), 0)


def test_a_step_tells_scores_and_confidence_by_names_of_the_record(training):
    made = training(adversary={"critic": Mean(), "encoding": "one_hot"})
    batch, z, pair = step_of(made)
    seen = observe_step(made, made.adversary, 0, batch, pair, update_of(made, pair), z)
    HealthLog().add(0, seen)  # refuses names that the record does not know
    real, fake = (torch.cat([pair.condition, field], 1).mean() for field in (pair.real, pair.fake))
    torch.testing.assert_close(seen["fake"], fake)
    assert seen["real"] == pytest.approx(real.item(), abs=0.02)  # images with more void count less
    torch.testing.assert_close(seen["top_probability"], z.softmax(1).amax(1).mean())
    assert seen["critic_gradient"] == 0  # this critic has no parameters
    assert all(value.ndim == 0 and not value.requires_grad for value in map(torch.Tensor.detach, seen.values()))


def test_scores_are_those_of_the_critics_own_step_where_there_was_one(training):
    made = training(adversary={"critic": Mean()})
    batch, z, pair = step_of(made)
    update = CriticUpdate(
        torch.tensor(7.0), Reading([torch.full((2, 1, 1, 1), 3.0)], []), Reading([torch.full((2, 1, 1, 1), -2.0)], [])
    )
    seen = observe_step(made, made.adversary, 0, batch, pair, update, z)
    assert (seen["real"], seen["fake"], seen["critic_loss"]) == (3, -2, 7)
    assert (seen["real_accuracy"], seen["fake_accuracy"]) == (1, 1)


def test_shuffled_labels_are_not_taken_for_true_ones(training):
    made = training(adversary={"critic": Mean(), "placebo": "shuffled"})
    batch, z, pair = step_of(made)
    swapped = CriticUpdate(torch.tensor(7.0), Reading([torch.full((2, 1, 1, 1), 3.0)], []), Reading([], []))
    seen = observe_step(made, made.adversary, 0, batch, pair, swapped, z)
    assert seen["real"] != 3
    assert seen["critic_loss"] == 7


def test_without_a_critic_step_on_this_batch_there_is_no_critic_loss(training):
    made = training(adversary={"critic": Mean(), "alternate": 3})
    batch, z, pair = step_of(made)
    seen = observe_step(made, made.adversary, 0, batch, pair, None, z)
    assert "critic_loss" not in seen
    assert {"real", "fake", "validation", "overfit"} <= seen.keys()


def test_without_reals_that_are_never_trained_on_there_is_no_validation_score(training):
    made = training(adversary={"critic": Mean()})
    blind = replace(made.adversary, validation=None)
    batch, z, pair = step_of(made)
    assert unseen_reading(made, blind, 0, z) is None
    seen = observe_step(made, blind, 0, batch, pair, None, z)
    assert not {"validation", "validation_accuracy", "overfit"} & seen.keys()


def test_unseen_reals_are_crops_of_the_validation_split_under_their_truth(training):
    made = training(adversary={"critic": Mean(), "encoding": "one_hot"})
    reading, mask = unseen_reading(made, made.adversary, 5, step_of(made)[1])
    batch = made.adversary.validation.at(5)
    valid = (batch.labels != 255)[:, None]
    truth = torch.stack([batch.labels == 0, batch.labels == 1], 1).float()
    expected = torch.cat([batch.images, truth], 1).mean((1, 2, 3))
    torch.testing.assert_close(reading.scores[0].flatten(), expected)
    assert torch.equal(mask, valid)


@pytest.mark.parametrize("encoding", ["scaled", "confidence_matched"])
def test_truth_that_follows_the_prediction_is_matched_to_that_of_the_same_images(training, encoding):
    made = training(adversary={"critic": Mean(), "encoding": encoding})
    reading, _ = unseen_reading(made, made.adversary, 0, step_of(made)[1])
    batch = made.adversary.validation.at(0)
    with torch.no_grad():
        logits = made.network.eval()(batch.images)
        expected = Mean()(torch.cat([batch.images, made.adversary.pair(batch, logits).real], 1))
    torch.testing.assert_close(reading.scores[0], expected)


def test_the_pull_is_compared_without_the_scale_of_the_loss():
    supervised, adversarial = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    seen = observe_pull(supervised * 1024, adversarial * 1024, torch.tensor(0.5), 1024.0)
    assert (seen["supervised_gradient"], seen["adversarial_gradient"]) == (3, 4)
    assert seen["ratio"] == pytest.approx(4 / 3)
    assert seen["cosine"] == 0
    assert seen["generator_loss"] == 0.5


def test_without_a_supervised_term_there_is_nothing_to_compare_the_pull_with():
    seen = observe_pull(None, torch.tensor([[0.0, 4.0]]), torch.tensor(0.5), 2.0)
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
def test_outputs_tell_what_they_can_by_what_is_made(training, maps, names):
    made = training()
    mapping = Mapping(maps, made.mapping.form, 1)
    batch = Batch(torch.rand(2, 3, 8, 8), torch.randint(2, (2, 8, 8)), (0, 1))
    z = torch.rand(2, mapping.output_channels(3), 8, 8)
    assert observe_output(replace(made, mapping=mapping), batch, z).keys() == names


def test_generated_images_are_compared_with_one_another_and_with_the_batch(training):
    made = training()
    made = replace(made, mapping=Mapping("noise -> image, labels", made.mapping.form, 1))
    batch = Batch(torch.zeros(2, 1, 2, 2), torch.zeros(2, 2, 2, dtype=torch.int64), (0, 1))
    images = torch.stack([torch.zeros(1, 2, 2), torch.full((1, 2, 2), 0.5)])
    seen = observe_output(made, batch, torch.cat([images, torch.zeros(2, 2, 2, 2)], 1))
    assert seen["diversity"] == pytest.approx(0.5)
    assert seen["nearest"] == pytest.approx(0.25)  # one is there already, the other 0.5 away
    assert seen["top_probability"] == 0.5


# Observing leaves no trace -------------------------------------------------------------------------------------------


def spectral_critic() -> nn.Module:
    """Its weights depend on vectors that every pass in training mode moves on."""
    torch.manual_seed(1)
    layers = [spectral_norm(nn.Conv2d(5, 4, 4, 2, 1)), nn.LeakyReLU(0.2), nn.Dropout(0.2), nn.Conv2d(4, 1, 3)]
    return nn.Sequential(*layers)


def entropy(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    return torch.special.entr(logits.softmax(1)).sum(1).mean()


def state_of(made) -> dict[str, torch.Tensor]:
    modules = {"generator": made.network, "critic": made.adversary.critic}
    return {f"{who} {name}": t for who, module in modules.items() for name, t in module.state_dict().items()}


GAMES = {
    "plain": {},
    "extra steps": {"d_steps": 2},
    "alternating": {"alternate": 2},
    "matched": {"encoding": "confidence_matched"},
    "shuffled": {"placebo": "shuffled"},
    "frozen": {"placebo": "frozen"},
    "noise": {"placebo": "noise"},
    "spectral": {"critic": spectral_critic},
}


@pytest.mark.parametrize("term", [None, entropy], ids=["labelled", "unlabelled"])
@pytest.mark.parametrize("game", GAMES)
def test_a_game_that_is_watched_is_the_game_that_is_not(training, recorder, tmp_path, monkeypatch, game, term):
    states = []
    for watched in (False, True):
        monkeypatch.setattr(HealthLog, "is_due", lambda log, step, steps=None, due=watched: due)
        recipe = {name: value() if callable(value) else value for name, value in GAMES[game].items()}
        made = training(adversary=recipe)
        if term is not None:
            made = replace(made, unlabelled=Unlabelled(made.batches, term))
        outcome = train(made, tmp_path / f"{watched}", NEVER, recorder())
        assert len(outcome.health.curve) == (8 if watched else 0)
        states.append(state_of(made))
    changed = [name for name in states[0] if not torch.equal(states[0][name], states[1][name])]
    assert changed == []
