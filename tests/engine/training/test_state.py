from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open

from segbench.engine.training.state import Learner, Progress, TrainingState

from .short import assert_equal, weights


def start(training) -> TrainingState:
    return TrainingState.start(training.network, training.adversary, training.protocol, training.device)


def take_step(learner: Learner) -> None:
    """Take one step against gradients of 1."""
    for parameter in learner.network.parameters():
        parameter.grad = torch.ones_like(parameter)
    learner.step()


def test_only_a_higher_score_is_the_best_and_its_seconds_are_kept():
    progress = Progress()
    best = []
    for seconds, miou in enumerate([0.2, 0.6, 0.4, 0.6], start=1):
        progress.seconds = float(seconds)
        best.append(progress.is_best(miou))
    assert best == [True, True, False, False]
    assert progress.best_miou == 0.6
    assert progress.best_seconds == 2.0


@pytest.mark.parametrize(("bound", "change"), [(None, 5.0), (2.5, 2.5), (10.0, 5.0)])
def test_the_norm_of_all_gradients_is_bounded(bound, change):
    network = torch.nn.Linear(2, 1, bias=False)
    before = network.weight.detach().clone()
    network.weight.grad = torch.tensor([[3.0, 4.0]])
    learner = Learner(network, torch.optim.SGD(network.parameters(), 1.0), torch.amp.GradScaler("cpu", enabled=False))
    learner.step(bound)
    assert (network.weight.detach() - before).norm().item() == pytest.approx(change, rel=1e-5)


def test_a_restored_state_is_the_saved_one_bit_by_bit(training, tmp_path):
    made = training(adversary={}, ema=0.5, precision="bf16")
    saved = start(made)
    for learner in saved.learners.values():
        take_step(learner)
    saved.average.update_parameters(made.network)
    saved.keep_as_best()
    saved.progress = Progress(step=7, critic_step=9, seconds=1.5, validations=2, best_miou=0.25, best_seconds=0.5)
    saved.health.add(0, {"real": torch.tensor(0.5)})
    saved.save(tmp_path / "checkpoint")

    restored = start(training(adversary={}, ema=0.5, precision="bf16"))
    restored.restore(tmp_path / "checkpoint")
    for name, learner in saved.learners.items():
        assert_equal(learner.tensors(), restored.learners[name].tensors())
    assert_equal(weights(saved.average), weights(restored.average))
    assert_equal(saved.best, restored.best)
    assert restored.progress == saved.progress
    assert [(point.step, point.real) for point in restored.health.points()] == [(0, 0.5)]


def test_a_checkpoint_has_the_names_that_older_ones_have(training, tmp_path):
    state = start(training(adversary={}, ema=0.5))
    state.keep_as_best()
    state.save(tmp_path / "checkpoint")
    with safe_open(tmp_path / "checkpoint", framework="pt") as file:
        names, kept = set(file.keys()), json.loads(file.metadata()["state"])
    assert {name.split("/")[0] for name in names} == {"generator", "critic", "best", "average"}
    assert {"generator/weights/network.0.weight", "critic/weights/0.weight", "best/network.0.weight"} <= names
    assert kept.keys() == {"progress", "scalers", "health"}
    assert kept["scalers"].keys() == {"generator", "critic"}
    assert kept["progress"].keys() == {
        *("step", "critic_step", "seconds", "validations", "best_miou", "best_seconds"),
    }


def test_averaged_weights_are_evaluated_where_the_protocol_asks_for_them(training):
    plain, averaged = start(training()), start(training(ema=0.5))
    assert plain.evaluated_network is plain.generator.network
    before = weights(averaged.evaluated_network)
    take_step(averaged.generator)
    assert_equal(before, weights(averaged.evaluated_network))


def test_the_best_weights_do_not_change_with_later_steps(training):
    state = start(training())
    before = weights(state.generator.network)
    state.keep_as_best()
    take_step(state.generator)
    assert_equal(before, state.best)
    assert not torch.equal(state.generator.network.network[0].weight, before["network.0.weight"])


def test_a_training_without_a_discriminator_has_one_learner(training):
    assert start(training()).learners.keys() == {"generator"}
    assert start(training(adversary={})).learners.keys() == {"generator", "critic"}
