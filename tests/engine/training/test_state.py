from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open

from segbench.engine.model.checkpoint import load_tensors, save_tensors
from segbench.engine.training.state import Learner, Progress, TrainingState
from segbench.errors import RecordError

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


def test_a_ratios_means_and_weights_are_restored_and_those_of_other_steps_refused(training, tmp_path):
    made = start(training(adversary={"weight": {"ratio": 0.1}}))
    for step in range(3):
        made.balance.weigh(torch.ones(2, 2), torch.full((2, 2), 0.5 + step), torch.ones(()))
    made.progress = Progress(step=3)
    made.save(tmp_path / "checkpoint")
    restored = start(training(adversary={"weight": {"ratio": 0.1}}))
    restored.restore(tmp_path / "checkpoint")
    assert_equal(made.balance.tensors(), restored.balance.tensors())
    made.progress = Progress(step=4)
    made.save(tmp_path / "other")
    with pytest.raises(RecordError, match="balance/course"):
        start(training(adversary={"weight": {"ratio": 0.1}})).restore(tmp_path / "other")
    with pytest.raises(RecordError, match="unexpected: balance/"):
        start(training(adversary={})).restore(tmp_path / "checkpoint")


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


def rename(name, other):
    def change(tensors, state):
        tensors[other] = tensors.pop(name)

    return change


def drop(name):
    return lambda tensors, state: tensors.pop(name)


def replace_tensor(name, value):
    return lambda tensors, state: tensors.update({name: value})


def replace_state(**values):
    return lambda tensors, state: state.update(values)


def state_progress(**values):
    return lambda tensors, state: state["progress"].update(values)


WEIGHT, MOMENT = "generator/weights/network.0.weight", "generator/optimizer/0.exp_avg"


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (rename(WEIGHT, f"{WEIGHT}s"), f"missing: {WEIGHT}; unexpected: {WEIGHT}s"),
        (rename(MOMENT, "generator/optimizer/0.exp_average"), "missing: generator/optimizer/0.exp_avg;"),
        (rename(MOMENT, "generator/optimizer/99.exp_avg"), "unexpected: generator/optimizer/99.exp_avg"),
        (rename(MOMENT, "generator/optimizer/x"), "unexpected: generator/optimizer/x"),
        (rename("best/network.0.bias", "best/0.bias"), "missing: best/network.0.bias; unexpected: best/0.bias"),
        (drop("critic/weights/0.weight"), "missing: critic/weights/0.weight"),
        (drop("critic/optimizer/0.step"), "missing: critic/optimizer/0.step"),
        (drop("generator/weights/network.1.num_batches_tracked"), "tensors are missing or of other types"),
        (drop("average/n_averaged"), "missing: average/n_averaged"),
        (replace_tensor(WEIGHT, torch.zeros(1)), r"of another shape: .*weight \(1,\) instead of"),
        (replace_tensor(MOMENT, torch.zeros(())), r"of another shape: .*exp_avg \(\) instead of"),
        (replace_tensor("critic/optimizer/0.step", torch.tensor(7)), "tensors are missing or of other types"),
        (replace_tensor("other", torch.zeros(1)), "unexpected: other"),
        (state_progress(step=1000), "it is at step 1000, and the budget is 8 steps"),
        (state_progress(step=-1), "it is at step -1"),
        (state_progress(seconds=float("nan")), "it is at step 7"),
        (state_progress(best_miou=float("inf")), "it is at step 7"),
        (state_progress(step=10**4000), r"it is at step 100000000000000000\.\.\.0+, and"),
        (state_progress(step="seven"), "step: Input should be a valid integer"),
        (replace_state(progress=[]), "Progress"),
        (replace_state(scalers={}), "'generator'"),
        (replace_state(scalers={"generator": {}, "critic": {"scale": 1}}), "its scaler of the critic is of another"),
        (replace_state(health={"every": 0, "points": []}), "a log of every 0 steps"),
        (replace_state(health={"every": 10, "points": [[0, {"unreal": 1}]]}), "unreal"),
        (replace_state(health={"every": float("inf"), "points": []}), "infinity"),
        (replace_state(health=None), "NoneType"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_an_error_and_changes_nothing(training, tmp_path, change, cause):
    settings = {"adversary": {}, "ema": 0.5}
    saved = start(training(**settings))
    for learner in saved.learners.values():
        take_step(learner)
    saved.keep_as_best()
    saved.progress = Progress(step=7, critic_step=9, seconds=1.5)
    saved.save(tmp_path / "checkpoint")
    tensors, state = load_tensors(tmp_path / "checkpoint")
    change(tensors, state)
    save_tensors(tmp_path / "checkpoint", tensors, state)

    fresh = start(training(**settings))
    before = {name: tensor.clone() for name, tensor in fresh._tensors().items()}
    with pytest.raises(RecordError, match=f"checkpoint does not fit what is trained here: .*{cause}"):
        fresh.restore(tmp_path / "checkpoint", total_steps=8)
    assert_equal(before, fresh._tensors())
    assert fresh.progress == Progress()


@pytest.mark.parametrize(
    "optimizer",
    [
        *({"use": "adamw"}, {"use": "adam"}, {"use": "sgd"}, {"use": "sgd", "momentum": 0.9}),
        *({"use": "rmsprop"}, {"use": "rmsprop", "momentum": 0.9}),
    ],
)
def test_a_checkpoint_of_every_optimizer_fits_before_and_after_a_step(training, tmp_path, optimizer):
    state = start(training(optimizer={"lr": 0.1, **optimizer}))
    for steps in range(2):
        state.save(tmp_path / "checkpoint")
        restored = start(training(optimizer={"lr": 0.1, **optimizer}))
        restored.restore(tmp_path / "checkpoint")
        assert_equal(restored._tensors(), state._tensors())
        if steps == 0:
            take_step(state.generator)


def test_a_checkpoint_with_a_discriminator_does_not_fit_a_training_without(training, tmp_path):
    start(training(adversary={})).save(tmp_path / "checkpoint")
    with pytest.raises(RecordError, match=r"unexpected: critic/weights/0\.bias, critic/weights/0\.weight,"):
        start(training()).restore(tmp_path / "checkpoint")
