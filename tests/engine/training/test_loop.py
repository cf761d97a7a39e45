from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch

from segbench.config.protocol import Budget
from segbench.engine.model.cost import PeakMemory
from segbench.engine.numerics import derive
from segbench.engine.training.loop import steps_in, train
from segbench.engine.training.setup import Unlabelled, deep_supervision
from segbench.errors import CellError, SpecError

from ...devices import ON_CPU_AND_GPU  # noqa: TID252 - tests have no absolute name
from .short import NEVER, assert_equal, entropy, trained, weights

GROUPS = {"multipliers": {"0.*": 0.5, "4.*": 2.0}, "weight_decay": 0.1, "no_decay": "norms_and_biases"}


@ON_CPU_AND_GPU
def test_the_loop_equals_a_plain_loop_written_by_hand(training, recorder, tmp_path):
    ours = training(schedule="constant", optimizer={"use": "sgd", "lr": 0.1, "momentum": 0.9})
    outcome = train(ours, tmp_path / "checkpoint", NEVER, recorder())

    plain = training()
    network = plain.network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for step in range(8):
        batch = plain.batches.at(step)
        torch.manual_seed(derive(plain.seed, "noise", step))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(batch.images), batch.labels, ignore_index=255).backward()
        optimizer.step()

    assert outcome.finished
    assert outcome.steps == 8
    for name, tensor in plain.network.state_dict().items():
        torch.testing.assert_close(ours.network.state_dict()[name], tensor)


@ON_CPU_AND_GPU
def test_fp16_scaled_at_the_cut_equals_plain_mixed_precision(training, recorder, tmp_path, device):
    settings = {"precision": "fp16", "schedule": "constant", "optimizer": {"use": "sgd", "lr": 0.1}}
    ours, _ = trained(training, recorder, tmp_path / "checkpoint", **settings)
    plain = training(**settings)
    network, scaler = plain.network.train(), torch.amp.GradScaler(device.type)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for step in range(8):
        batch = plain.batches.at(step)
        torch.manual_seed(derive(plain.seed, "noise", step))
        optimizer.zero_grad()
        with torch.autocast(device.type, dtype=torch.float16):
            logits = network(batch.images)
        loss = torch.nn.functional.cross_entropy(logits.float(), batch.labels, ignore_index=255)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(ours.network.state_dict()[name], tensor)


def test_the_peak_of_memory_begins_anew_once_the_warm_up_is_over(training, recorder, tmp_path, monkeypatch):
    steps, forgotten = [], []
    monkeypatch.setattr(PeakMemory, "forget", lambda self: forgotten.append(len(steps)))
    made = training(budget={"steps": 13})
    source = made.batches.at
    monkeypatch.setattr(made.batches, "at", lambda step: (steps.append(step), source(step))[1])
    outcome = train(made, tmp_path / "checkpoint", NEVER, recorder())
    assert forgotten == [10]
    assert outcome.reserved_bytes is None


class Deep(torch.nn.Module):
    """A network with an auxiliary output of half the size, and a loss of its own that must not be taken."""

    def __init__(self):
        super().__init__()
        self.body, self.head = torch.nn.Conv2d(3, 4, 3, stride=2, padding=1), torch.nn.Conv2d(4, 2, 1)
        self.early = torch.nn.Conv2d(4, 2, 1)

    def forward(self, images):
        features = self.body(images).relu()
        return (self.head(features), self.early(features)) if self.training else self.head(features)

    def auxiliary_loss(self, auxiliary, target):
        raise AssertionError


def test_deep_supervision_equals_a_plain_loop_written_by_hand(training, recorder, tmp_path):
    torch.manual_seed(0)
    ours = training(network=Deep(), schedule="constant", optimizer={"use": "sgd", "lr": 0.1})
    plain = copy.deepcopy(ours.network.network).train()
    train(
        replace(ours, deep_supervision=deep_supervision(ours.mapping, ours.losses, 0.4)),
        tmp_path / "checkpoint",
        NEVER,
        recorder(),
    )

    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)
    for step in range(8):
        batch = ours.batches.at(step)
        optimizer.zero_grad()
        main, auxiliary = (
            torch.nn.functional.cross_entropy(
                torch.nn.functional.interpolate(output, (8, 8), mode="bilinear", align_corners=False),
                batch.labels,
                ignore_index=255,
            )
            for output in plain(batch.images)
        )
        (main + 0.4 * auxiliary).backward()
        optimizer.step()

    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(ours.network.network.state_dict()[name], tensor)


def test_batch_norm_with_a_batch_of_one_says_what_to_set(training, recorder, tmp_path, monkeypatch):
    ours, norm = training(batch_size=1), torch.nn.BatchNorm2d(3)
    monkeypatch.setattr(ours.network, "forward", lambda images: norm(images.mean((2, 3), keepdim=True)))
    with pytest.raises(
        CellError, match=r"a batch norm layer sees a single value .* set protocol.batch_size to 2 or more"
    ):
        train(ours, tmp_path / "checkpoint", NEVER, recorder())


@pytest.mark.trains
def test_training_learns_classes_that_colour_decides(training, recorder, tmp_path, training_seed, record_property):
    learnt = training(budget={"steps": 60}, optimizer={"lr": 0.02}, seed=training_seed)
    channel = recorder()
    train(learnt, tmp_path / "checkpoint", NEVER, channel)
    batch = learnt.batches.at(0)
    with torch.no_grad():
        prediction = learnt.network.eval()(batch.images).argmax(1)
    valid = batch.labels != 255
    share = (prediction == batch.labels)[valid].float().mean().item()
    record_property("margin", share - 0.95)
    assert share > 0.95


@pytest.mark.parametrize(
    "protocol",
    [
        {},
        {"channels_last": True},
        {"ema": 0.5},
        {"precision": "bf16"},
        {"optimizer": {"use": "rmsprop", "momentum": 0.9}, "clip_gradient": 0.1},
        {"validations": 4, "select": "best"},
        {"optimizer": GROUPS, "schedule": {"use": "cosine", "restarts": 1, "warmup_steps": 3}},
        {"optimizer": {**GROUPS, "use": "timm/lamb", "freeze": "1.*"}, "ema": 0.5, "schedule": "one_cycle"},
    ],
    ids=["fp32", "channels_last", "ema", "bf16", "rmsprop with clipping", "best on val", "groups", "timm and freezing"],
)
@pytest.mark.parametrize("stopped_after", [1, 5])
@ON_CPU_AND_GPU
def test_a_stopped_training_resumes_bit_equal(training, recorder, tmp_path, protocol, stopped_after):
    scores = [0.1, 0.4, 0.2, 0.3]

    def scripted():
        # A score of the weights themselves, so that it does not matter how often it is asked for.
        return lambda network, step: scores[int(network.state_dict()["network.1.num_batches_tracked"]) // 2 - 1]

    whole = training(validate=scripted(), **protocol)
    train(whole, tmp_path / "whole", NEVER, recorder())

    first = training(validate=scripted(), **protocol)
    outcome = train(first, tmp_path / "parts", NEVER, recorder(stop_after=stopped_after))
    assert not outcome.finished
    assert outcome.steps == stopped_after
    second = training(validate=scripted(), **protocol)
    channel = recorder()
    train(second, tmp_path / "parts", NEVER, channel)

    assert channel.of("resumed") == [{"step": stopped_after}]
    assert_equal(weights(whole.network), weights(second.network))


def test_a_killed_training_resumes_bit_equal_from_its_last_checkpoint(training, recorder, tmp_path):
    class Killed(BaseException):
        pass

    class Killer(recorder):
        def stop_requested(self) -> bool:
            if super().stop_requested():
                raise Killed
            return False

    whole = training()
    train(whole, tmp_path / "whole", NEVER, recorder())
    with pytest.raises(Killed):
        train(training(), tmp_path / "parts", 0.0, Killer(stop_after=5))
    second = training()
    channel = recorder()
    train(second, tmp_path / "parts", NEVER, channel)
    assert channel.of("resumed") == [{"step": 5}]
    assert_equal(weights(whole.network), weights(second.network))


def test_a_corrupt_checkpoint_is_set_aside_and_training_begins_anew(training, recorder, tmp_path):
    checkpoint = tmp_path / "checkpoint"
    checkpoint.write_bytes(b"not a checkpoint")
    channel = recorder()
    whole, redone = training(), training()
    train(whole, tmp_path / "whole", NEVER, recorder())
    train(redone, checkpoint, NEVER, channel)
    assert "set aside as checkpoint.corrupt" in channel.of("warning")[0]["message"]
    assert (tmp_path / "checkpoint.corrupt").read_bytes() == b"not a checkpoint"
    assert_equal(weights(whole.network), weights(redone.network))


def test_a_checkpoint_beyond_the_budget_is_set_aside_and_training_begins_anew(training, recorder, tmp_path):
    whole, longer, redone = training(), training(budget={"steps": 12}), training()
    train(longer, tmp_path / "checkpoint", NEVER, recorder(stop_after=10))
    train(whole, tmp_path / "whole", NEVER, recorder())
    channel = recorder()
    train(redone, tmp_path / "checkpoint", NEVER, channel)
    (told,) = channel.of("warning")
    assert told["message"].endswith(
        "checkpoint does not fit what is trained here: it is at step 10, and the budget is 8 steps; "
        "set aside as checkpoint.corrupt, training begins anew"
    )
    assert_equal(weights(whole.network), weights(redone.network))


def test_a_loss_that_is_not_finite_ends_the_cell_and_names_the_step(training, recorder, tmp_path):
    def poisoned(output, target):
        return output.mean() * math.nan

    expected = (
        r"the loss became nan by step \d+: a loss is not finite since step 1, of a finite output; lower optimizer.lr"
    )
    with pytest.raises(CellError, match=expected):
        train(training(loss=poisoned), tmp_path / "checkpoint", NEVER, recorder())


def test_losses_are_summed_with_their_weights(training, recorder, tmp_path):
    channel = recorder()
    losses = [(2.0, lambda z, y: z.sum() * 0 + 3.0), (0.5, lambda z, y: z.sum() * 0 + 4.0)]
    flat = replace(training(budget={"steps": 1}), losses=losses)
    train(flat, tmp_path / "checkpoint", NEVER, channel)
    assert channel.of("step")[-1]["loss"] == 8.0


def test_gradients_are_clipped_to_the_norm(training, recorder, tmp_path):
    norm = 1e-3
    before = training(budget={"steps": 1})
    clipped = training(
        budget={"steps": 1}, clip_gradient=norm, schedule="constant", optimizer={"use": "sgd", "lr": 1.0}
    )
    train(clipped, tmp_path / "checkpoint", NEVER, recorder())
    change = [
        new.detach() - old.detach()
        for new, old in zip(clipped.network.parameters(), before.network.parameters(), strict=True)
    ]
    assert torch.cat([part.flatten() for part in change]).norm().item() == pytest.approx(norm, rel=1e-3)


def test_a_group_with_a_multiplier_trains_as_at_that_learning_rate(training, recorder, tmp_path):
    settings = {"budget": {"steps": 1}, "schedule": "constant"}
    slower = {"use": "sgd", "lr": 0.1, "multipliers": {"4.*": 0.25}}
    one, _ = trained(training, recorder, tmp_path / "one", optimizer=slower, **settings)
    for name, rate in (("network.0.weight", 0.1), ("network.4.weight", 0.025)):
        other, _ = trained(training, recorder, tmp_path / name, optimizer={"use": "sgd", "lr": rate}, **settings)
        assert torch.equal(one.network.state_dict()[name], other.network.state_dict()[name])


@pytest.mark.parametrize("protocol", [{}, {"ema": 0.5}])
def test_what_is_frozen_ends_as_it_began(training, recorder, tmp_path, protocol):
    before = weights(training(**protocol).network)
    settings = {"optimizer": {"freeze": ["0.*", "1.*"], "weight_decay": 0.1}, "validations": 2, "clip_gradient": 1.0}
    made, _ = trained(training, recorder, tmp_path / "checkpoint", **settings, **protocol)
    changed = {name for name, tensor in weights(made.network).items() if not torch.equal(tensor, before[name])}
    assert changed == {"network.4.weight", "network.4.bias"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"freeze": "encoder.*"}, r"protocol\.optimizer\.freeze: the pattern 'encoder\.\*' matches no parameter"),
        ({"use": "timm/lamp"}, r"protocol\.optimizer\.use: timm has no optimiser 'lamp'"),
    ],
)
def test_a_mistake_in_the_optimiser_is_told_with_its_key(training, recorder, tmp_path, settings, message):
    with pytest.raises(SpecError, match=message):
        trained(training, recorder, tmp_path / "checkpoint", optimizer=settings)


def test_averaged_weights_follow_the_exponential_moving_average(training, recorder, tmp_path):
    decay, steps = 0.75, 4
    path = []
    for count in range(1, steps + 1):
        plain = training(budget={"steps": steps}, schedule="constant")
        train(plain, tmp_path / f"stop {count}", NEVER, recorder(stop_after=count))
        path.append(plain.network.state_dict()["network.0.weight"].clone())
    # torch's AveragedModel takes the weights after the first step as they are.
    expected = path[0]
    for weight in path[1:]:
        expected = decay * expected + (1 - decay) * weight
    averaged = training(budget={"steps": steps}, schedule="constant", ema=decay)
    train(averaged, tmp_path / "averaged", NEVER, recorder())
    torch.testing.assert_close(averaged.network.state_dict()["network.0.weight"], expected)


def test_the_weights_best_on_val_are_selected(training, recorder, tmp_path):
    seen = []

    def validate(network, step) -> float:
        seen.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        return [0.2, 0.6, 0.4, 0.6][len(seen) - 1]

    best = training(validate=validate, validations=4, select="best")
    channel = recorder()
    train(best, tmp_path / "checkpoint", NEVER, channel)
    assert [event["step"] for event in channel.of("validation")] == [2, 4, 6, 8]
    assert_equal(weights(best.network), seen[1])


def test_the_seconds_until_the_best_validation_are_returned_whatever_is_selected(training, recorder, tmp_path):
    scores = iter([0.2, 0.6, 0.4, 0.6])
    outcome = train(
        training(validate=lambda network, step: next(scores), validations=4), tmp_path / "one", NEVER, recorder()
    )
    assert outcome.seconds_to_best is not None
    assert 0 < outcome.seconds_to_best < outcome.seconds
    unvalidated = train(training(), tmp_path / "other", NEVER, recorder())
    assert unvalidated.seconds_to_best is None


def test_the_shares_of_training_are_those_of_data_and_generator(training, recorder, tmp_path):
    outcome = train(training(budget={"steps": 14}), tmp_path / "checkpoint", NEVER, recorder())
    assert outcome.shares is not None
    assert outcome.shares.keys() == {"data", "generator"}
    assert sum(outcome.shares.values()) == pytest.approx(1)


def test_auxiliary_outputs_are_trained_by_their_own_loss(training, recorder, tmp_path):
    class TwoHeads(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.main, self.extra = torch.nn.Conv2d(3, 2, 1), torch.nn.Conv2d(3, 2, 1)

        def forward(self, images):
            return (self.main(images), self.extra(images)) if self.training else self.main(images)

        def auxiliary_loss(self, auxiliary, target):
            return torch.nn.functional.cross_entropy(auxiliary[0], target)

    torch.manual_seed(0)
    network = TwoHeads()
    before = network.extra.weight.detach().clone()
    train(training(network=network), tmp_path / "checkpoint", NEVER, recorder())
    assert not torch.equal(network.extra.weight, before)


def test_a_budget_in_seconds_ends_when_they_are_spent(training, recorder, tmp_path):
    outcome = train(training(budget={"seconds": 0.05}), tmp_path / "checkpoint", NEVER, recorder())
    assert outcome.finished
    assert outcome.seconds >= 0.05


@pytest.mark.trains
@ON_CPU_AND_GPU
def test_fp16_scales_the_loss_and_still_learns(training, recorder, tmp_path, training_seed, record_property):
    learnt = training(budget={"steps": 30}, precision="fp16", optimizer={"lr": 0.02}, seed=training_seed)
    channel = recorder()
    train(learnt, tmp_path / "checkpoint", NEVER, channel)
    loss = channel.of("step")[-1]["loss"]
    record_property("margin", math.log(2) - loss)
    assert loss < math.log(2)


@pytest.mark.parametrize(
    ("budget", "steps"), [({"epochs": 2}, 184), ({"epochs": 0.5}, 46), ({"steps": 7}, 7), ({"seconds": 9}, None)]
)
def test_steps_of_a_budget(budget, steps):
    assert steps_in(Budget(**budget), images_per_epoch=367, batch_size=4) == steps


def test_the_loop_runs_on_a_compiled_forward_when_asked(training, recorder, tmp_path, monkeypatch):
    compiled = []

    def note(network):
        compiled.append(network)
        return network

    monkeypatch.setattr(torch, "compile", note)
    asked = training(compile=True)
    train(asked, tmp_path / "checkpoint", NEVER, recorder())
    assert compiled == [asked.network]


# A term on unlabelled images -----------------------------------------------------------------------------------------


def test_a_term_changes_what_is_learnt(training, recorder, tmp_path):
    plain, _ = trained(training, recorder, tmp_path / "plain")
    term, _ = trained(training, recorder, tmp_path / "term", entropy)
    assert not torch.equal(plain.network.network[0].weight, term.network.network[0].weight)


def test_the_gradient_of_a_term_is_that_of_autograd(training, recorder, tmp_path):
    settings = {"schedule": "constant", "optimizer": {"use": "sgd", "lr": 0.5}, "budget": {"steps": 1}}
    network = torch.nn.Conv2d(3, 2, 1)
    start = [parameter.detach().clone() for parameter in network.parameters()]
    ours, _ = trained(training, recorder, tmp_path / "ours", entropy, network=network, **settings)

    plain = training(network=network, **settings)
    batch = plain.batches.at(0)
    weight, bias = (parameter.requires_grad_() for parameter in start)
    logits = torch.nn.functional.conv2d(batch.images, weight, bias)
    loss = torch.nn.functional.cross_entropy(logits, batch.labels, ignore_index=255) + entropy(logits, batch)
    for parameter, gradient in zip(start, torch.autograd.grad(loss, start), strict=True):
        parameter.data -= 0.5 * gradient
    for expected, parameter in zip(start, ours.network.parameters(), strict=True):
        torch.testing.assert_close(parameter, expected)


@pytest.mark.parametrize("protocol", [{}, {"precision": "bf16", "channels_last": True}], ids=["fp32", "bf16"])
@ON_CPU_AND_GPU
def test_a_discriminator_of_weight_0_leaves_the_bits_of_the_twin_beside_an_unlabelled_term(
    training, recorder, tmp_path, protocol
):
    # The generator has dropout, which must not draw otherwise because there is a discriminator.
    twin, _ = trained(training, recorder, tmp_path / "twin", entropy, **protocol)
    other, _ = trained(training, recorder, tmp_path / "other", entropy, adversary={"weight": 0.0}, **protocol)
    assert_equal(weights(twin.network), weights(other.network))


@ON_CPU_AND_GPU
def test_a_stopped_training_with_a_term_resumes_bit_equal(training, recorder, tmp_path):
    whole, _ = trained(training, recorder, tmp_path / "whole", entropy, adversary={})
    first = training(adversary={})
    first = replace(first, unlabelled=Unlabelled(first.batches, entropy))
    assert not train(first, tmp_path / "parts", NEVER, recorder(stop_after=5)).finished
    second, _ = trained(training, recorder, tmp_path / "parts", entropy, adversary={})
    assert_equal(weights(whole.network), weights(second.network))
