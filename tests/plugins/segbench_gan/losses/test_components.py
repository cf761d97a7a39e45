"""What the losses are called, and what options they have."""

from __future__ import annotations

import inspect

import pytest

from segbench import SegbenchError
from segbench.contract import RESERVED_OPTIONS
from segbench.registry.options import read_signature
from segbench_gan.losses import components

COMPONENTS = {component.name: component for component in components()}
ADVERSARIAL = {
    "minimax": 0.0,
    "non_saturating": 0.0,
    "lsgan": 0.5,
    "wgan": None,
    "wgan_gp": None,
    "hinge": 0.0,
    "linear": None,
    "relativistic": None,
    "feature_matching": 0.0,
    "segan_l1": None,
    "per_pixel_classes": 0.0,
}
PLAYERS = {"real", "fake", "real_features", "fake_features", "labels"}


def build(name, **options):
    vocabulary = {"num_classes": 3, "ignore_index": 255}
    component = COMPONENTS[name]
    asked = read_signature("loss", component.build).asked
    return component.build(**{word: vocabulary[word] for word in asked}, **options)


def names_of(method):
    return set(inspect.signature(method).parameters)


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("adversarial", set(ADVERSARIAL)),
        ("penalty", {"gradient_penalty", "r1"}),
        ("unlabelled", {"semi_adversarial", "self_training", "entropy"}),
        ("supervised", {"l1", "confidence"}),
    ],
)
def test_each_role_has_its_losses(role, names):
    assert {name for name, component in COMPONENTS.items() if component.role == role} == names


@pytest.mark.parametrize("name", COMPONENTS)
def test_no_option_has_a_reserved_name(name):
    options = read_signature("loss", COMPONENTS[name].build).options
    assert not RESERVED_OPTIONS & {option.name for option in options}


@pytest.mark.parametrize(("name", "boundary"), ADVERSARIAL.items())
def test_an_adversarial_loss_has_two_players_and_a_boundary(name, boundary):
    loss = build(name)
    assert names_of(loss.discriminator) <= PLAYERS
    assert names_of(loss.generator) <= PLAYERS
    assert loss.boundary == boundary


@pytest.mark.parametrize("name", ["gradient_penalty", "r1"])
def test_a_penalty_is_called_with_critic_real_and_fake(name):
    assert list(inspect.signature(build(name)).parameters) == ["critic", "real", "fake"]


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("semi_adversarial", {"logits", "scores"}),
        ("self_training", {"logits", "scores"}),
        ("entropy", {"logits"}),
    ],
)
def test_an_unlabelled_loss_asks_by_name(name, names):
    assert names_of(build(name)) == names


@pytest.mark.parametrize("name", ["l1", "confidence"])
def test_a_supervised_loss_is_called_with_output_and_target(name):
    assert list(inspect.signature(build(name)).parameters) == ["output", "target"]


def test_wgan_gp_is_wgan_with_its_penalty():
    assert type(build("wgan_gp")) is type(build("wgan"))
    assert build("wgan").default_penalty is None
    name, weight = build("wgan_gp").default_penalty
    assert COMPONENTS[name.removeprefix("gan/")].role == "penalty"
    assert weight == 10


def test_the_kinds_of_feature_matching_differ_in_their_distance():
    kinds = [build("feature_matching", kind=kind).distance.__name__ for kind in ("batch_mean", "paired")]
    assert kinds == ["distance_of_means", "distance_of_pairs"]


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("feature_matching", "adversarial", -1.0),
        ("semi_adversarial", "adversarial", -0.1),
        ("semi_adversarial", "self_training", float("nan")),
        ("semi_adversarial", "threshold", 1.0),
        ("self_training", "threshold", -0.1),
    ],
)
def test_an_option_out_of_range_is_an_error(name, option, value):
    with pytest.raises(SegbenchError, match=f"gan/{name}: {option} is {value}; give a number"):
        build(name, **{option: value})


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [1.0, -1.0]])
def test_segan_weights_that_weigh_nothing_are_an_error(weights):
    with pytest.raises(SegbenchError, match=r"gan/segan_l1: weights is .*give a number >= 0 for each feature"):
        build("segan_l1", weights=weights)
