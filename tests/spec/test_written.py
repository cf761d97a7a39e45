from __future__ import annotations

import pytest

from segbench.spec.recipe import ComponentUse, UnlabelledTerm

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


def test_what_is_inherited_wrong_is_told_where_it_is_written(workshop):
    message = workshop.methods_refusal("b: {extends: a}\na: {generator: {use: net, width: x}, losses: [entropy]}")
    assert message.startswith("bench.yaml:10: methods.a.generator.width: ")


def test_an_unknown_key_names_the_nearest(workshop):
    assert workshop.methods_refusal("a: {generator: net, loses: [entropy]}").endswith("Did you mean 'losses'?")


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


def test_an_unknown_key_is_refused_with_those_that_there_are(workshop):
    message = workshop.methods_refusal("a:\n  generator: net\n  losses: [entropy]\n  critic: x")
    assert message == (
        "bench.yaml:12: methods.a.critic: unknown key 'critic'; allowed here: generator, losses, discriminator, "
        "adversarial, noise_channels, protocol, extends, start_from, refines, trains_on, labels, unlabelled, tune."
    )


NAMING = {
    "start_from": "start_from: {}",
    "refines": "refines: {}",
    "refines.method": "refines: {{method: {}}}",
    "trains_on.synthetic": "trains_on: {{synthetic: {}}}",
    "unlabelled.pseudo_labels_from": "unlabelled: {{pseudo_labels_from: {}}}",
    "protocol.budget.like": "protocol: {{budget: {{like: {}, in: seconds}}}}",
}


@pytest.mark.parametrize("path", NAMING)
def test_a_method_that_is_needed_exists(workshop, path):
    message = workshop.methods_refusal(BASE + f"more: {{extends: base, {NAMING[path].format('bsae')}}}")
    assert message == (
        f"bench.yaml:10: methods.more.{path}: there is no method 'bsae'; there is base, more. Did you mean 'base'?"
    )


@pytest.mark.parametrize("path", NAMING)
def test_a_method_that_is_needed_is_given_by_its_name(workshop, path):
    message = workshop.methods_refusal(BASE + f"more: {{extends: base, {NAMING[path].format('[base]')}}}")
    assert message.startswith(f"bench.yaml:10: methods.more.{path}: must be the name of a method, not a list") or (
        path == "refines"
        and "methods.more.refines: must be a mapping with keys of method, folds, not a list" in message
    )


@pytest.mark.parametrize("path", NAMING)
def test_methods_that_need_each_other_are_refused(workshop, path):
    text = BASE + f"a: {{extends: base, {NAMING[path].format('b')}}}\nb: {{extends: base, start_from: a}}"
    message = workshop.methods_refusal(text)
    assert "this goes round in a circle: " in message
    assert f"bench.yaml:10: methods.a.{path}: b" in message or "bench.yaml:11: methods.b.start_from: a" in message


def test_a_method_cannot_train_as_long_as_itself(workshop):
    message = workshop.methods_refusal(BASE + "a: {extends: base, protocol: {budget: {like: a, in: seconds}}}")
    assert message == "bench.yaml:10: methods.a.protocol.budget.like: this goes round in a circle: a -> a"


def test_the_unit_of_a_budget_is_told_where_it_is_wrong(workshop):
    message = workshop.methods_refusal(BASE + "a: {extends: base, protocol: {budget: {like: base, in: steps}}}")
    assert message.startswith("bench.yaml:10: methods.a.protocol.budget: methods are made alike in seconds only; for")


def test_another_method_to_refine_keeps_the_folds(workshop):
    text = """
        a: {generator: net, losses: [entropy]}
        b: {extends: a}
        fine: {generator: refiner, losses: [entropy], refines: {method: a, folds: 3}}
        finer: {extends: fine, refines: b}
        short: {generator: refiner, losses: [entropy], refines: a}
        long: {extends: short, refines: {folds: 9}}
    """
    methods = workshop.methods(text, sets=["methods.short.refines.folds=4"]).methods
    found = {name: (m.refines.method, m.refines.folds) for name, m in methods.items() if m.refines}
    assert found == {"fine": ("a", 3), "finer": ("b", 3), "short": ("a", 4), "long": ("a", 9)}


def test_pseudo_labels_take_the_place_of_an_inherited_loss_and_the_reverse(workshop):
    text = """
        base: {generator: net, losses: [entropy], labels: {fraction: 0.5}}
        own: {extends: base, unlabelled: {use: calm, threshold: 0.5, weight: 2}}
        others: {extends: own, unlabelled: {pseudo_labels_from: base}}
        strict: {extends: others, unlabelled: {threshold: 0.75}}
        back: {extends: strict, unlabelled: calm}
    """
    methods = workshop.methods(text).methods
    assert methods["others"].unlabelled == UnlabelledTerm(pseudo_labels_from="base")
    assert methods["strict"].unlabelled == UnlabelledTerm(pseudo_labels_from="base", threshold=0.75)
    assert methods["back"].unlabelled == UnlabelledTerm(loss=ComponentUse(use="toy/calm", options={"threshold": 0.5}))
