from __future__ import annotations

import pytest

from segbench.spec.methods import differing

BASE = """
base: {generator: {use: net, width: 3}, losses: [entropy]}
"""


def test_a_method_inherits_what_it_does_not_change(workshop):
    methods = workshop.methods(BASE + "wide: {extends: base, generator: {width: 9}, losses: [dice]}").methods
    wide = methods["wide"]
    assert wide.generator.options == {"width": 9, "encoder": "none"}
    assert [loss.use for loss in wide.losses] == ["toy/dice"]
    assert (wide.twin, methods["base"].twin) == ("base", None)


def test_extending_goes_over_several_steps_in_any_order_of_the_file(workshop):
    text = """
        c: {extends: b, losses: [dice]}
        b: {extends: a, generator: {encoder: small}}
        a: {generator: {use: net, width: 5}, losses: [entropy]}
    """
    methods = workshop.methods(text).methods
    assert list(methods) == ["c", "b", "a"]
    assert methods["c"].generator.options == {"width": 5, "encoder": "small"}
    assert methods["c"].twin == "b"


def test_another_generator_does_not_inherit_options(workshop):
    other = workshop.methods(BASE + "other: {extends: base, generator: {use: other}}").methods["other"]
    assert other.generator.options == {"width": 16, "encoder": "none"}


def test_null_removes_what_is_inherited(workshop):
    text = (
        BASE
        + "more: {extends: base, start_from: base}\nless: {extends: more, start_from: null, generator: {width: null}}"
    )
    less = workshop.methods(text).methods["less"]
    assert less.start_from is None
    assert less.generator.options["width"] == 16


def test_null_is_as_if_a_key_were_not_there(workshop):
    method = workshop.methods(
        "a: {generator: net, losses: [entropy], protocol: null, start_from: ~, extends: null}"
    ).methods["a"]
    assert (method.twin, method.start_from, method.overrides) == (None, None, ())


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


def test_what_is_inherited_wrong_is_told_where_it_is_written(workshop):
    message = workshop.methods_refusal("b: {extends: a}\na: {generator: {use: net, width: x}, losses: [entropy]}")
    assert message.startswith("bench.yaml:10: methods.a.generator.width: ")


@pytest.mark.parametrize("key", ["discriminator", "adversarial", "refines", "trains_on", "labels", "unlabelled"])
def test_keys_that_are_not_built_yet_are_unknown(workshop, key):
    message = workshop.methods_refusal(f"a:\n  generator: net\n  losses: [entropy]\n  {key}: x")
    assert message.startswith(
        f"bench.yaml:12: methods.a.{key}: unknown key '{key}'; allowed here: generator, losses, protocol, extends, "
        "start_from."
    )


def test_an_unknown_key_names_the_nearest(workshop):
    assert workshop.methods_refusal("a: {generator: net, loses: [entropy]}").endswith("Did you mean 'losses'?")


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("{losses: [entropy]}", "bench.yaml:9: methods.a.generator: is missing"),
        ("{generator: net}", "bench.yaml:9: methods.a.losses: is missing"),
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


def test_extending_in_a_circle_is_refused_with_every_line(workshop):
    message = workshop.methods_refusal("a: {extends: b}\nb: {extends: c}\nc: {extends: a}")
    assert "this goes round in a circle: " in message
    assert all(
        f"bench.yaml:{line}: methods.{name}.extends: " in message for line, name in [(9, "a"), (10, "b"), (11, "c")]
    )


def test_starting_in_a_circle_is_refused_with_every_line(workshop):
    message = workshop.methods_refusal(BASE + "b: {extends: base, start_from: c}\nc: {extends: base, start_from: b}")
    assert "this goes round in a circle: " in message
    assert all(f"bench.yaml:{line}: methods.{name}.start_from: " in message for line, name in [(10, "b"), (11, "c")])


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


def test_weights_that_are_not_kept_cannot_be_started_from(workshop):
    keeping_nothing = "a: {generator: net, losses: [dice], protocol: {keep: {model: none}}}\n"
    message = workshop.methods_refusal(keeping_nothing + "b: {generator: net, losses: [dice], start_from: a}")
    assert "methods.b.start_from: 'a' leaves no weights to start from" in message
