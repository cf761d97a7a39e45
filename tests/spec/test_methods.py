from __future__ import annotations

import pytest

from segbench.spec.methods import differing

BASE = """
base: {generator: {use: net, width: 3}, losses: [entropy]}
"""


def test_a_method_overrides_protocol_keys(workshop):
    text = (
        BASE
        + "fast: {extends: base, protocol: {budget: {epochs: 2}, optimizer: {lr: 0.5}, crop: [8, 8], batch_size: 8}}"
    )
    fast = workshop.methods(text).methods["fast"]
    assert (fast.protocol.budget.epochs, fast.protocol.budget.steps) == (2, None)
    assert (fast.protocol.optimizer.use, fast.protocol.optimizer.lr) == ("adamw", 0.5)
    assert fast.overrides == ("budget.epochs", "budget.steps", "crop", "optimizer.lr")


def test_an_override_is_inherited(workshop):
    text = "a: {generator: net, losses: [entropy], protocol: {batch_size: 2}}\nb: {extends: a}"
    assert workshop.methods(text).methods["b"].overrides == ("batch_size",)


def test_a_wrong_override_has_its_own_line(workshop):
    message = workshop.methods_refusal("a:\n  generator: net\n  losses: [entropy]\n  protocol:\n    batch_size: x")
    assert message == "bench.yaml:13: methods.a.protocol.batch_size: must be a valid integer, not the text 'x'"


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("{losses: [entropy]}", "bench.yaml:9: methods.a.generator: is missing"),
        ("{generator: net}", "bench.yaml:9: methods.a.losses: is missing; there is nothing to train this method by"),
        ("{}", "bench.yaml:9: methods.a.generator: is missing"),
        ("net", "bench.yaml:9: methods.a: must be a mapping with keys of generator, losses"),
        ("", "bench.yaml:9: methods.a: must be a mapping with keys of generator, losses"),
        ("{extends: [b]}", "bench.yaml:9: methods.a.extends: must be the name of a method, not a list"),
        ("{generator: net, losses: [dice], start_from: 1}", "methods.a.start_from: must be the name of a method, not"),
        ("{extends: b}", "bench.yaml:9: methods.a.extends: there is no method 'b'; there is a."),
        (
            "{generator: net, losses: [dice], start_from: b}",
            "methods.a.start_from: there is no method 'b'; there is a.",
        ),
        ("{generator: net, losses: [dice], start_from: a}", "this goes round in a circle: a -> a"),
        ("{extends: a}", "this goes round in a circle: a -> a"),
    ],
)
def test_a_method_that_is_wrong_is_refused(workshop, method, message):
    assert message in workshop.methods_refusal(f"a: {method}")


CHAIN = (
    BASE
    + "second: {extends: base, start_from: base}\nthird: {extends: base, start_from: second}\nfourth: {extends: third}"
)


@pytest.mark.parametrize(
    ("only", "kept"),
    [
        (["base"], ["base"]),
        (["third"], ["base", "second", "third"]),
        (["third", "base"], ["base", "second", "third"]),
        (["fourth"], ["base", "second", "fourth"]),
        ([], ["base", "second", "third", "fourth"]),
    ],
)
def test_only_some_methods_are_kept_with_what_they_need(workshop, only, kept):
    assert list(workshop.methods(CHAIN, only=only).methods) == kept


def test_an_unknown_method_is_refused_with_the_nearest(workshop):
    assert workshop.methods_refusal(CHAIN, only=["thirt"]) == (
        "--only thirt: there is no method 'thirt'; there is base, second, third, fourth. Did you mean 'third'?"
    )


def test_a_method_that_is_left_out_may_need_what_is_not_installed(workshop):
    text = BASE + "heavy: {generator: heavy, losses: [entropy]}\nruined: {generator: ruined/x, losses: [entropy]}"
    assert list(workshop.methods(text, only=["base"]).methods) == ["base"]


def test_differences_are_named_by_their_paths():
    first = {"a": 1, "b": {"c": 2, "d": 3}, "e": {"f": 1}, "g": 1}
    second = {"a": 1, "b": {"c": 2, "d": 4}, "e": None, "h": 1}
    assert differing(first, second) == ["b.d", "e", "g", "h"]
    assert differing(first, first) == []


CRITIC = """
net: {generator: net, losses: [entropy]}
net+critic: {extends: net, discriminator: critic, adversarial: hinge}
synth: {generator: {use: synthesizer}, discriminator: critic, adversarial: hinge, noise_channels: 7}
"""


def test_an_adversarial_method_has_all_its_parts(workshop):
    method = workshop.methods(CRITIC).methods["net+critic"]
    assert [(kind, use.use) for kind, use in method.components] == [
        ("generator", "toy/net"),
        ("discriminator", "toy/critic"),
        ("loss", "toy/entropy"),
        ("loss", "toy/hinge"),
    ]
    assert method.is_trained
    assert (method.twin, method.placebo_of, method.noise_channels) == ("net", None, 100)


def test_noise_channels_are_given(workshop):
    assert workshop.methods(CRITIC).methods["synth"].noise_channels == 7


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "true", "x", "[3]"])
def test_noise_channels_are_a_whole_number(workshop, given):
    message = workshop.methods_refusal(CRITIC, sets=[f"methods.synth.noise_channels={given}"])
    assert "methods.synth.noise_channels: must be a whole number of at least 1, not " in message


def test_what_is_needed_for_any_reason_is_kept(workshop):
    text = (
        CRITIC
        + """
half: {extends: net, labels: {fraction: 0.5}}
fine: {generator: refiner, losses: [entropy], refines: net+critic}
made: {extends: net, trains_on: {synthetic: synth}}
labelled: {extends: half, unlabelled: {pseudo_labels_from: fine}}
"""
    )
    assert list(workshop.methods(text, only=["made"]).methods) == ["synth", "made"]
    assert list(workshop.methods(text, only=["labelled"]).methods) == ["net+critic", "fine", "labelled"]
