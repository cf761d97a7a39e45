from __future__ import annotations

import pytest

from segbench.contracts import RESERVED_OPTIONS
from segbench.spec.adversarial import ADVERSARIAL_KEYS, PENALTY_KEYS
from segbench.spec.protocol import Optimizer
from segbench.spec.recipe import Adversarial, Encoding, Penalty

CRITIC = """
net:
  generator: net
  losses: [entropy]
  discriminator: critic
  adversarial: {}
"""

PLAIN = Adversarial(use="toy/hinge", options={"margin": 1.0, "flip": False})


def read(workshop, adversarial):
    return workshop.methods(CRITIC.format(adversarial)).methods["net"].adversarial


def refusal(workshop, adversarial):
    return workshop.methods_refusal(CRITIC.format(adversarial))


def test_a_bare_name_has_the_default_settings(workshop):
    found = read(workshop, "hinge")
    assert found == PLAIN
    assert (found.weight, found.d_steps, found.conditional, found.encoding.use) == (1, 1, True, "straight_through")
    assert found.optimizer == Optimizer(use="adam", lr=2e-4, betas=(0.5, 0.999))


def test_keys_of_the_recipe_and_options_of_the_loss_stand_beside_each_other(workshop):
    found = read(
        workshop,
        "{use: toy/hinge, margin: 2, weight: 0.05, clip: 0.01, d_steps: 5, warmup_steps: 7, conditional: false, "
        "placebo: frozen}",
    )
    changes = {"weight": 0.05, "clip": 0.01, "d_steps": 5, "warmup_steps": 7, "conditional": False, "placebo": "frozen"}
    assert found == PLAIN.model_copy(update={"options": {"margin": 2.0, "flip": False}, **changes})


def test_every_key_is_reserved_so_that_no_option_can_hide_behind_it():
    assert {*ADVERSARIAL_KEYS, *PENALTY_KEYS, "use", "pseudo_labels_from"} == RESERVED_OPTIONS


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("smoothed", Encoding(use="smoothed")),
        ("{use: smoothed, smoothing: 0.2}", Encoding(use="smoothed", smoothing=0.2)),
        ("{use: scaled, tau: 0.7}", Encoding(use="scaled", tau=0.7)),
        ("null", Encoding()),
    ],
)
def test_an_encoding_is_a_name_or_a_mapping(workshop, given, meant):
    assert read(workshop, f"{{use: hinge, encoding: {given}}}").encoding == meant


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("null", None),
        ("slope", Penalty(use="toy/slope", options={"target": 1.0})),
        (
            "{use: slope, weight: 5, every: 16, target: 0}",
            Penalty(use="toy/slope", options={"target": 0.0}, weight=5, every=16),
        ),
    ],
)
def test_a_penalty_is_a_name_or_a_mapping(workshop, given, meant):
    assert read(workshop, f"{{use: hinge, penalty: {given}}}").penalty == meant


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("{lr: 1e-4}", Optimizer(use="adam", lr=1e-4, betas=(0.5, 0.999))),
        ("adam", Optimizer(use="adam", lr=2e-4, betas=(0.5, 0.999))),
        ("{betas: [0, 0.9]}", Optimizer(use="adam", lr=2e-4, betas=(0, 0.9))),
        ("{betas: null}", Optimizer(use="adam", lr=2e-4)),
        ("{use: rmsprop, lr: 5e-5}", Optimizer(use="rmsprop", lr=5e-5)),
        ("sgd", Optimizer(use="sgd", lr=1e-3)),
        ("null", Optimizer(use="adam", lr=2e-4, betas=(0.5, 0.999))),
    ],
)
def test_settings_of_the_critics_optimizer_are_laid_over_the_default(workshop, given, meant):
    assert read(workshop, f"{{use: hinge, optimizer: {given}}}").optimizer == meant


def test_a_method_changes_what_it_inherits(workshop):
    text = CRITIC.format("{use: hinge, margin: 2, weight: 0.5, penalty: {use: slope, weight: 3}}")
    more = "more: {extends: net, adversarial: {weight: 0, penalty: {every: 4}, optimizer: {lr: 1}}}"
    found = workshop.methods(text + more).methods["more"].adversarial
    assert (found.weight, found.options["margin"], found.optimizer.lr) == (0, 2.0, 1.0)
    assert (found.penalty.weight, found.penalty.every) == (3, 4)


@pytest.mark.parametrize(
    ("adversarial", "message"),
    [
        ("3", "adversarial: must be the name of a loss, or {use: NAME, option: value}, not the number 3"),
        ("{weight: 1}", "adversarial: must name its loss: {use: NAME, option: value}"),
        (
            "entropy",
            "adversarial: loss toy/entropy has the role 'supervised'; under adversarial: stand those with "
            "'adversarial'",
        ),
        (
            "{use: slope}",
            "adversarial.use: loss toy/slope has the role 'penalty'; under adversarial: stand those with 'adversarial'",
        ),
        (
            "{use: hinge, penalty: {use: calm}}",
            "adversarial.penalty.use: loss toy/calm has the role 'unlabelled'; under penalty: stand those with "
            "'penalty'",
        ),
        (
            "{use: hinge, wieght: 1}",
            "adversarial.wieght: loss toy/hinge has no option 'wieght'; its options are margin, flip. Beside options "
            "there may be weight, penalty, clip, d_steps, alternate, optimizer, warmup_steps, encoding, conditional, "
            "placebo. Did you mean 'weight'?",
        ),
        (
            "{use: hinge, penalty: {use: slope, evry: 2}}",
            "adversarial.penalty.evry: loss toy/slope has no option 'evry'; its options are target. Beside options "
            "there may be weight, every. Did you mean 'every'?",
        ),
        (
            "{use: hinge, margin: x}",
            "adversarial.margin: option 'margin' of loss toy/hinge must be float, but 'x' was given",
        ),
        ("{use: hinge, weight: -1}", "adversarial.weight: must be greater than or equal to 0, not the number -1"),
        ("{use: hinge, weight: true}", "adversarial.weight: must be a valid number, not true"),
        ("{use: hinge, clip: 0}", "adversarial.clip: must be greater than 0, not the number 0"),
        ("{use: hinge, d_steps: 0}", "adversarial.d_steps: must be greater than 0, not the number 0"),
        ("{use: hinge, d_steps: 1.5}", "adversarial.d_steps: must be a valid integer, not the number 1.5"),
        ("{use: hinge, warmup_steps: -1}", "adversarial.warmup_steps: must be greater than or equal to 0, not the"),
        ("{use: hinge, conditional: 1}", "adversarial.conditional: must be true or false, not the number 1"),
        (
            "{use: hinge, placebo: sleepy}",
            "adversarial.placebo: must be 'frozen', 'shuffled', 'noise' or 'detached', not the text 'sleepy'",
        ),
        ("{use: hinge, penalty: {use: slope, weight: 0}}", "adversarial.penalty.weight: must be greater than 0, not"),
        ("{use: hinge, penalty: {use: slope, every: 0}}", "adversarial.penalty.every: must be greater than 0, not"),
        ("{use: hinge, optimizer: {lr: 0}}", "adversarial.optimizer.lr: must be greater than 0, not the number 0"),
        ("{use: hinge, optimizer: {use: sgd, betas: [0, 0.9]}}", "adversarial.optimizer: sgd has no betas"),
        ("{use: hinge, optimizer: {rate: 1}}", "adversarial.optimizer.rate: unknown key 'rate'; allowed here: use, lr"),
        (
            "{use: hinge, encoding: hard}",
            "adversarial.encoding.use: must be 'one_hot', 'smoothed', 'product', 'scaled', 'confidence_matched' or "
            "'straight_through', not the text 'hard'",
        ),
        (
            "{use: hinge, encoding: {use: smoothed, smoothing: 1}}",
            "adversarial.encoding.smoothing: must be less than 1",
        ),
        ("{use: hinge, encoding: {use: scaled, smoothing: 0.2}}", "adversarial.encoding: scaled has no smoothing"),
        ("{use: hinge, encoding: {tau: 0.5}}", "adversarial.encoding: straight_through has no tau"),
        ("{use: hinge, encoding: {tua: 0.5}}", "adversarial.encoding.tua: unknown key 'tua'; allowed here: use, smo"),
        (
            "{use: hinge, d_steps: 2, alternate: 500}",
            "adversarial: give d_steps or alternate, not both: with alternate: 500 the critic takes 500 steps and then "
            "the generator as many",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(workshop, adversarial, message):
    assert refusal(workshop, adversarial).startswith(f"bench.yaml:13: methods.net.{message}")


def test_one_critic_step_beside_alternate_is_no_contradiction(workshop):
    found = read(workshop, "{use: hinge, d_steps: 1, alternate: 500}")
    assert (found.d_steps, found.alternate) == (1, 500)


def test_a_clip_beside_a_penalty_is_allowed(workshop):
    found = read(workshop, "{use: hinge, clip: 0.01, penalty: slope}")
    assert (found.clip, found.penalty.use) == (0.01, "toy/slope")
