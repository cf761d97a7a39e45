"""The loop with a discriminator beside the generator."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from segbench.engine.numerics import derive
from segbench.engine.training.loop import train
from segbench.errors import SpecError

from ...devices import ON_CPU_AND_GPU  # noqa: TID252 - tests have no absolute name
from .short import NEVER, assert_equal, entropy, trained, weights

RECIPES = {
    "one critic step": {},
    "three critic steps": {"d_steps": 3},
    "slow alternation": {"alternate": 3},
    "clipped": {"clip": 0.01, "optimizer": {"use": "rmsprop", "lr": 1e-3}},
    "frozen": {"placebo": "frozen"},
    "shuffled": {"placebo": "shuffled"},
    "noise": {"placebo": "noise"},
    "scaled truth": {"encoding": "scaled"},
    "unconditional": {"conditional": False},
    "ratio": {"weight": {"ratio": 0.3}, "warmup_steps": 2},
    "ratio, slow alternation": {"weight": {"ratio": 0.3}, "alternate": 3},
}


@pytest.fixture(scope="module")
def twins():
    """The weights of twins by their protocol; each is trained once for all games."""
    return {}


@pytest.mark.parametrize(
    "protocol",
    [
        {},
        {"precision": "bf16"},
        {"precision": "fp16"},
        {"channels_last": True},
        {"precision": "bf16", "channels_last": True},
        {"ema": 0.9},
    ],
    ids=["fp32", "bf16", "fp16", "channels_last", "bf16 channels_last", "ema"],
)
@pytest.mark.parametrize("recipe", [*(name for name in RECIPES if "ratio" not in name), "detached"])
def test_a_weight_of_0_leaves_the_bits_of_the_twin(training, recorder, tmp_path, twins, recipe, protocol):
    settings = {"placebo": "detached"} if recipe == "detached" else {**RECIPES[recipe], "weight": 0.0}
    if str(protocol) not in twins:
        twins[str(protocol)] = weights(trained(training, recorder, tmp_path / "twin", **protocol)[0].network)
    other, _ = trained(training, recorder, tmp_path / "other", adversary=settings, **protocol)
    assert_equal(twins[str(protocol)], weights(other.network))


@pytest.mark.parametrize("recipe", [name for name in RECIPES if "ratio" not in name])
def test_a_weight_above_0_changes_the_generator(training, recorder, tmp_path, recipe):
    twin, _ = trained(training, recorder, tmp_path / "twin")
    other, _ = trained(training, recorder, tmp_path / "other", adversary={**RECIPES[recipe], "weight": 1.0})
    assert not torch.equal(twin.network.network[0].weight, other.network.network[0].weight)


def test_a_detached_discriminator_has_no_weight_whatever_ratio_is_asked_for(training, recorder, tmp_path):
    twin, _ = trained(training, recorder, tmp_path / "twin")
    recipe = {"placebo": "detached", "weight": {"ratio": 0.3}}
    other, outcome = trained(training, recorder, tmp_path / "other", adversary=recipe)
    assert_equal(weights(twin.network), weights(other.network))
    assert outcome.weights is None


@ON_CPU_AND_GPU
def test_the_loop_equals_two_plain_passes_written_by_hand(training, recorder, tmp_path):
    settings = {"schedule": "constant", "optimizer": {"use": "sgd", "lr": 0.1}}
    recipe = {"weight": 0.3, "encoding": "one_hot", "optimizer": {"use": "sgd", "lr": 0.05}}
    ours, _ = trained(training, recorder, tmp_path / "checkpoint", adversary=recipe, **settings)

    plain = training(adversary=recipe, **settings)
    generator, discriminator = plain.network.train(), plain.adversary.discriminator
    steps = [torch.optim.SGD(generator.parameters(), lr=0.1), torch.optim.SGD(discriminator.parameters(), lr=0.05)]
    for step in range(8):
        batch = plain.batches.at(step)
        valid = (batch.labels != 255)[:, None]
        truth = functional.one_hot(batch.labels.where(valid[:, 0], 0), 2).movedim(-1, 1) * valid

        def score(field, images=batch.images):
            return discriminator(torch.cat([images, field], 1))

        share = functional.adaptive_avg_pool2d(valid.float(), 4)

        def mean(values, share=share):
            return (values * share).sum() / share.sum()

        torch.manual_seed(derive(plain.seed, "noise", step))
        logits = generator(batch.images)
        fake = logits.softmax(1) * valid
        torch.manual_seed(derive(plain.seed, "critic", step))
        steps[1].zero_grad()
        real_scores, fake_scores = score(truth.float()), score(fake.detach())
        mean(functional.softplus(-real_scores) + functional.softplus(fake_scores)).backward()
        steps[1].step()
        steps[0].zero_grad()
        loss = functional.cross_entropy(logits, batch.labels, ignore_index=255)
        (loss + 0.3 * mean(functional.softplus(-score(fake)))).backward()
        steps[0].step()

    for name, tensor in generator.state_dict().items():
        torch.testing.assert_close(ours.network.state_dict()[name], tensor)
    for name, tensor in discriminator.named_parameters():
        torch.testing.assert_close(dict(ours.adversary.discriminator.named_parameters())[name], tensor)


@pytest.mark.parametrize(
    "protocol",
    [{}, {"channels_last": True}, {"precision": "bf16"}, {"precision": "fp16"}],
    ids=["fp32", "channels_last", "bf16", "fp16"],
)
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_stopped_training_resumes_bit_equal(training, recorder, tmp_path, recipe, protocol):
    whole, outcome = trained(training, recorder, tmp_path / "whole", adversary=RECIPES[recipe], **protocol)
    first = training(adversary=RECIPES[recipe], **protocol)
    assert not train(first, tmp_path / "parts", NEVER, recorder(stop_after=5)).finished
    second, resumed = trained(training, recorder, tmp_path / "parts", adversary=RECIPES[recipe], **protocol)
    assert_equal(weights(whole.network), weights(second.network))
    assert_equal(weights(whole.adversary.discriminator), weights(second.adversary.discriminator))
    assert resumed.health == outcome.health


def test_a_ratio_is_the_share_that_the_adversarial_gradient_has(training, recorder, tmp_path):
    channel = recorder()
    made = training(adversary={"weight": {"ratio": 0.3}}, budget={"steps": 25})
    outcome = train(made, tmp_path / "checkpoint", NEVER, channel)
    curve = outcome.health.curve
    assert [point.step for point in curve] == [0, 10, 20, 24]
    assert [point.weight for point in curve] == [outcome.weights[point.step].item() for point in curve]
    assert curve[0].ratio == pytest.approx(0.3, rel=1e-5)
    assert all(0.15 < point.ratio < 0.6 for point in curve)
    assert channel.of("step")[-1]["adversarial_weight"] == curve[-1].weight


def test_a_fixed_weight_leaves_no_trace_of_a_course(training, recorder, tmp_path):
    channel = recorder()
    outcome = train(training(adversary={}), tmp_path / "checkpoint", NEVER, channel)
    assert outcome.weights is None
    assert not any("weight" in point.model_dump() for point in outcome.health.curve)
    assert not any("adversarial_weight" in step for step in channel.of("step"))


@pytest.mark.parametrize("protocol", [{}, {"precision": "fp16"}], ids=["fp32", "fp16"])
def test_weights_that_are_taken_over_train_as_those_that_were_set(training, recorder, tmp_path, protocol):
    recipe = {"weight": {"ratio": 0.3}, "warmup_steps": 2}
    claimed, outcome = trained(training, recorder, tmp_path / "claimed", adversary=recipe, **protocol)
    made = training(adversary={**recipe, "weight": {"like": "claimed"}}, **protocol)
    other = replace(made, adversary=replace(made.adversary, weights=outcome.weights))
    curve = train(other, tmp_path / "other", NEVER, recorder()).health.curve
    assert_equal(weights(claimed.network), weights(other.network))
    assert curve == outcome.health.curve


def test_weights_that_are_taken_over_stay_as_they_are_after_the_last(training):
    made = training(adversary={"weight": {"like": "claimed"}}).adversary
    adversary = replace(made, weights=torch.tensor([0.5, 0.25]))
    assert [adversary.weight(step).item() for step in range(4)] == [0.5, 0.25, 0.25, 0.25]


def test_the_term_on_unlabelled_images_does_not_count_as_supervised(training, recorder, tmp_path):
    recipe, sgd = {"weight": {"ratio": 0.3}}, {"budget": {"steps": 1}}
    alone, beside = (
        trained(training, recorder, tmp_path / name, term, adversary=recipe, **sgd)[1]
        for name, term in (("alone", None), ("beside", entropy))
    )
    assert alone.weights.tolist() == beside.weights.tolist()


def test_a_frozen_discriminator_keeps_its_weights_and_a_trained_one_does_not(training, recorder, tmp_path):
    fresh = weights(training(adversary={}).adversary.discriminator)
    frozen, _ = trained(training, recorder, tmp_path / "frozen", adversary={"placebo": "frozen"})
    learnt, _ = trained(training, recorder, tmp_path / "learnt", adversary={})
    assert torch.equal(frozen.adversary.discriminator[0].weight, fresh["0.weight"])
    assert not torch.equal(learnt.adversary.discriminator[0].weight, fresh["0.weight"])


def test_what_is_frozen_of_a_discriminator_ends_as_it_began(training, recorder, tmp_path):
    settings = {"optimizer": {"freeze": ["0.*", "1.*"], "multipliers": {"4.*": 0.5}}}
    before = weights(training(adversary=settings).adversary.discriminator)
    made, _ = trained(training, recorder, tmp_path / "checkpoint", adversary=settings)
    after = weights(made.adversary.discriminator)
    assert {name for name in after if not torch.equal(after[name], before[name])} == {"4.weight", "4.bias"}


def test_a_mistake_in_the_optimiser_of_the_discriminator_is_told_with_its_key(training, recorder, tmp_path):
    with pytest.raises(SpecError, match=r"adversarial\.optimizer\.freeze: the pattern 'head' matches no parameter"):
        trained(training, recorder, tmp_path / "checkpoint", adversary={"optimizer": {"freeze": "head"}})


def test_clipping_bounds_every_weight_of_the_discriminator(training, recorder, tmp_path):
    made, _ = trained(training, recorder, tmp_path / "checkpoint", adversary=RECIPES["clipped"])
    assert max(parameter.abs().max() for parameter in made.adversary.discriminator.parameters()) <= 0.01


@pytest.mark.parametrize(("recipe", "expected"), [({}, 8), ({"d_steps": 3}, 24), ({"alternate": 3}, 9)])
def test_the_discriminator_takes_as_many_steps_as_the_recipe_says(training, recorder, tmp_path, recipe, expected):
    made = training(adversary=recipe)
    losses, method = [], made.adversary.loss.discriminator

    def counted(real, fake):
        losses.append(None)
        return method(real, fake)

    made.adversary.loss.discriminator = counted
    train(made, tmp_path / "checkpoint", NEVER, recorder())
    assert len(losses) == expected


def test_extra_discriminator_steps_leave_the_running_statistics_of_the_generator_alone(training, recorder, tmp_path):
    made, _ = trained(training, recorder, tmp_path / "checkpoint", adversary={"d_steps": 4})
    assert made.network.network[1].num_batches_tracked == 8


def test_health_is_recorded_at_sampled_steps(training, recorder, tmp_path):
    _, outcome = trained(training, recorder, tmp_path / "checkpoint", adversary={}, budget={"steps": 25})
    curve = outcome.health.curve
    assert [point.step for point in curve] == [0, 10, 20, 24]
    for point in curve:
        assert 0 <= point.real_accuracy <= 1
        assert 0 <= point.validation_accuracy <= 1
        assert point.ratio > 0
        assert -1 <= point.cosine <= 1
        assert 0.5 <= point.top_probability <= 1
    assert outcome.health.verdict == "unknown"  # four points are too few


def test_without_an_adversary_there_is_no_health(training, recorder, tmp_path):
    assert trained(training, recorder, tmp_path / "checkpoint")[1].health is None


def test_the_warm_up_raises_the_weight_linearly(training):
    adversary = training(adversary={"weight": 2.0, "warmup_steps": 3}).adversary
    assert [adversary.weight(step) for step in range(5)] == [0.5, 1.0, 1.5, 2.0, 2.0]


@pytest.mark.slow
@ON_CPU_AND_GPU
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's compiler looks at it
def test_compiled_forwards_train_like_plain_ones(training, recorder, tmp_path):
    # No batch normalisation nor dropout in the discriminator, whose random numbers a compiled pass draws otherwise.
    def discriminator():
        torch.manual_seed(1)
        return torch.nn.Sequential(
            torch.nn.Conv2d(5, 4, 4, 2, 1), torch.nn.LeakyReLU(0.2), torch.nn.Conv2d(4, 1, 3, padding=1)
        )

    def network():
        torch.manual_seed(2)
        return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 2, 1))

    settings = {"budget": {"steps": 2}, "optimizer": {"use": "sgd", "lr": 0.1}}
    recipe = {"weight": 0.3, "optimizer": {"use": "sgd", "lr": 0.1}}
    plain, compiled = (
        trained(
            training,
            recorder,
            tmp_path / name,
            network=network(),
            adversary={**recipe, "discriminator": discriminator()},
            **settings,
            compile=name == "compiled",
        )[0]
        for name in ("plain", "compiled")
    )
    for one, other in zip(plain.network.parameters(), compiled.network.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    for one, other in zip(
        plain.adversary.discriminator.parameters(), compiled.adversary.discriminator.parameters(), strict=True
    ):
        torch.testing.assert_close(one, other)


class FeatureDistance:
    """L1 between features, as SegAN compares them: the discriminator widens it, the generator closes it."""

    boundary = None

    def discriminator(self, real_features, fake_features):
        return -self.generator(real_features, fake_features)

    def generator(self, real_features, fake_features):
        return torch.stack([(a - b).abs().mean() for a, b in zip(real_features, fake_features, strict=True)]).mean()


class FeaturesOnly(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.layer = torch.nn.Conv2d(5, 4, 3, padding=1)

    def forward(self, shown):
        raise AssertionError("nobody asks for scores")

    def features(self, shown):
        return [shown, self.layer(shown)]


def test_a_discriminator_whose_features_alone_are_compared_is_not_asked_for_scores(training, recorder, tmp_path):
    made, outcome = trained(
        training,
        recorder,
        tmp_path / "checkpoint",
        adversary={"discriminator": FeaturesOnly(), "loss": FeatureDistance()},
    )
    assert not torch.equal(made.adversary.discriminator.layer.weight, FeaturesOnly().layer.weight)
    for point in outcome.health.curve:
        assert point.real_accuracy is None
        assert point.critic_gradient > 0
        assert point.ratio > 0
