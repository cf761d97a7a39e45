from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.config.inheritance import lay_over
from segbench.config.recipe import ComponentUse, UnlabelledTerm
from segbench.config.yaml import Place, read_text


def over(base, patch):
    place = Place("bench.yaml", Path(), line=1)
    return lay_over(read_text(base, place), read_text(patch, place)).plain()


def test_mappings_merge_deeply():
    assert over("{a: {b: 1, c: 2}, d: 3}", "{a: {c: 4}}") == {"a": {"b": 1, "c": 4}, "d": 3}


def test_lists_and_scalars_replace():
    assert over("{a: [1, 2], b: 1}", "{a: [3], b: 2}") == {"a": [3], "b": 2}


def test_null_removes():
    assert over("{a: 1, b: {c: 2, d: 3}}", "{a: null, b: {c: null}, e: null}") == {"b": {"d": 3}}


def test_a_changed_use_replaces_the_mapping():
    assert over("{g: {use: x, width: 3}}", "{g: {use: y, depth: 2}}") == {"g": {"use": "y", "depth": 2}}


def test_the_same_use_merges():
    assert over("{g: {use: x, width: 3}}", "{g: {use: x, depth: 2}}") == {"g": {"use": "x", "width": 3, "depth": 2}}


def test_options_are_added_to_a_bare_name():
    assert over("{g: x}", "{g: {width: 3}}") == {"g": {"use": "x", "width": 3}}


def test_a_bare_name_replaces_the_mapping_of_another_component():
    assert over("{g: {use: x, width: 3}}", "{g: y}") == {"g": {"use": "y"}}


def test_a_bare_name_keeps_the_options_of_the_same_component():
    assert over("{g: {use: x, width: 3}}", "{g: x}") == {"g": {"use": "x", "width": 3}}


def test_another_budget_replaces_the_first():
    assert over("{budget: {steps: 5}}", "{budget: {epochs: 1}}") == {"budget": {"epochs": 1}}


def test_pseudo_labels_replace_a_loss_and_the_reverse():
    loss, labels = "{use: x, weight: 2}", "{pseudo_labels_from: m, weight: 3}"
    assert over(f"{{u: {loss}}}", f"{{u: {labels}}}") == {"u": {"pseudo_labels_from": "m", "weight": 3}}
    assert over(f"{{u: {labels}}}", f"{{u: {loss}}}") == {"u": {"use": "x", "weight": 2}}


def test_labels_of_another_method_keep_the_settings():
    over_them = over("{u: {pseudo_labels_from: m, weight: 3}}", "{u: {pseudo_labels_from: n}}")
    assert over_them == {"u": {"pseudo_labels_from": "n", "weight": 3}}


def test_a_bare_name_of_what_is_refined_is_a_method():
    assert over("{refines: {method: m, folds: 3}}", "{refines: n}") == {"refines": {"method": "n", "folds": 3}}
    assert over("{refines: m}", "{refines: {folds: 3}}") == {"refines": {"method": "m", "folds": 3}}


def test_nulls_inside_what_is_new_stay():
    assert over("{a: 1}", "{g: {use: x, width: null}}") == {"a": 1, "g": {"use": "x", "width": None}}


names = st.sampled_from(["a", "b", "use", "budget", "pseudo_labels_from", "refines"])
leaves = st.integers(0, 3) | st.sampled_from(["x", "y"]) | st.lists(st.integers(0, 3), max_size=2)

mappings = st.recursive(
    st.dictionaries(names, leaves, max_size=3), lambda inner: st.dictionaries(names, inner | leaves, max_size=3)
)


@given(mappings)
def test_laying_nothing_or_itself_over_changes_nothing(base):
    assert over(repr(base), "{}") == base
    assert over(repr(base), repr(base)) == base


@given(mappings, mappings)
def test_laying_over_twice_is_laying_over_once(base, patch):
    once = over(repr(base), repr(patch))
    assert over(repr(once), repr(patch)) == once


METHODS = """
net: {generator: {use: toy/net, width: 8}, losses: [{use: toy/entropy, weight: 2}, toy/dice]}
net-v1.5: {extends: net, generator: {encoder: small}}
"""


@pytest.fixture
def changed(workshop):
    return lambda *sets: workshop.methods(METHODS, sets=sets)


@pytest.fixture
def refusal(workshop):
    return lambda *sets: workshop.methods_refusal(METHODS, sets=sets)


def test_a_value_is_set(changed):
    assert changed("protocol.batch_size=3").methods["net"].protocol.batch_size == 3


def test_the_value_is_yaml(changed):
    protocol = changed("protocol.crop=[32, 48]", "protocol.optimizer={use: sgd, lr: 1e-1}").methods["net"].protocol
    assert protocol.crop == (32, 48)
    assert (protocol.optimizer.use, protocol.optimizer.lr) == ("sgd", 0.1)


def test_another_kind_of_budget_replaces_that_of_the_file(changed):
    budget = changed("protocol.budget.epochs=3").methods["net"].protocol.budget
    assert (budget.epochs, budget.steps) == (3, None)


def test_an_option_is_added_to_a_bare_name(workshop):
    start = "name: t\ndatasets: {shapes: toy/shapes}\nprotocol: {budget: {steps: 1}, schedule: cosine}\nseeds: [0]\n"
    sets = ["datasets.shapes.images=7", "protocol.schedule.warmup_steps=5"]
    benchmark = workshop.methods(METHODS, start, sets=sets)
    assert benchmark.datasets["shapes"].options == {"images": 7}
    schedule = benchmark.methods["net"].protocol.schedule
    assert (schedule.use, schedule.warmup_steps) == ("cosine", 5)


def test_an_item_of_a_list_is_set(changed):
    losses = changed("methods.net.losses.1.weight=3").methods["net"].losses
    assert [loss.weight for loss in losses] == [2, 3]


def test_methods_that_extend_the_changed_one_change_too(changed):
    methods = changed("methods.net.generator.width=32").methods
    assert methods["net-v1.5"].generator.options == {"width": 32, "encoder": "small"}


def test_names_may_hold_dots(changed):
    methods = changed("methods.net-v1.5.generator.encoder=large").methods
    assert methods["net-v1.5"].generator.options["encoder"] == "large"
    assert methods["net"].generator.options["encoder"] == "none"


def test_null_stands_for_the_default(changed):
    assert changed("protocol.batch_size=null").methods["net"].protocol.batch_size == 8
    assert changed("protocol.optimizer=").methods["net"].protocol.optimizer.lr == 1e-3


def test_later_settings_win(changed):
    assert changed("protocol.batch_size=3", "protocol.batch_size=4").methods["net"].protocol.batch_size == 4


def test_an_unknown_key_is_an_error_that_names_the_setting_and_the_nearest_key(refusal):
    message = refusal("protocol.bugdet.epochs=3")
    assert message.startswith(
        "--set protocol.bugdet.epochs=3: protocol.bugdet: unknown key 'bugdet'. Did you mean 'budget'? Available: b"
    )


def test_an_unknown_option_is_an_error_that_names_the_setting(refusal):
    assert refusal("methods.net.generator.widht=3") == (
        "--set methods.net.generator.widht=3: methods.net.generator.widht: generator toy/net has no option 'widht'. "
        "Did you mean 'width'? Available: width, encoder."
    )


def test_a_wrong_value_is_an_error_that_names_the_setting(refusal):
    assert refusal("protocol.budget.epochs=three") == (
        "--set protocol.budget.epochs=three: protocol.budget.epochs: must be a valid number, not the text 'three'"
    )


@pytest.mark.parametrize("path", ["methods.nett.generator.width", "methods.nett"])
def test_a_setting_makes_no_new_method(refusal, path):
    message = refusal(f"{path}=3")
    assert "methods: there is no 'nett'. Did you mean 'net'? Available: net, net-v1.5." in message


def test_an_inherited_list_is_to_be_set_where_it_is_written(refusal):
    message = refusal("methods.net-v1.5.losses.0.weight=3")
    assert "methods.net-v1.5.losses: must be a list of losses" in message


@pytest.mark.parametrize("index", ["2", "-1", "x", "weight"])
def test_an_item_that_is_not_there_is_an_error(refusal, index):
    assert "methods.net.losses: is a list of 2; give the number of an item, from 0" in refusal(
        f"methods.net.losses.{index}.weight=1"
    )


def test_a_number_has_no_keys(refusal):
    assert "seeds.0: is the number 0 and has no 'x'" in refusal("seeds.0.x=1")


@pytest.mark.parametrize("setting", ["protocol", "=3", "protocol..budget=3", ".protocol=3"])
def test_a_setting_is_a_path_and_a_value(refusal, setting):
    assert "write PATH=VALUE" in refusal(setting)


def test_a_value_that_is_no_yaml_is_an_error(refusal):
    assert "--set protocol.crop=[1: protocol.crop: not valid YAML" in refusal("protocol.crop=[1")


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


def test_what_is_inherited_wrong_is_reported_where_it_is_written(workshop):
    message = workshop.methods_refusal("b: {extends: a}\na: {generator: {use: net, width: x}, losses: [entropy]}")
    assert message.startswith("bench.yaml:10: methods.a.generator.width: ")


def test_an_unknown_key_names_the_nearest(workshop):
    assert "Did you mean 'losses'?" in workshop.methods_refusal("a: {generator: net, loses: [entropy]}")


def test_extending_in_a_circle_is_refused_with_every_line(workshop):
    message = workshop.methods_refusal("a: {extends: b}\nb: {extends: c}\nc: {extends: a}")
    assert "cyclic reference: " in message
    assert all(
        f"bench.yaml:{line}: methods.{name}.extends: " in message for line, name in [(9, "a"), (10, "b"), (11, "c")]
    )


def test_starting_in_a_circle_is_refused_with_every_line(workshop):
    message = workshop.methods_refusal(BASE + "b: {extends: base, start_from: c}\nc: {extends: base, start_from: b}")
    assert "cyclic reference: " in message
    assert all(f"bench.yaml:{line}: methods.{name}.start_from: " in message for line, name in [(10, "b"), (11, "c")])


def test_an_unknown_key_is_refused_with_those_that_there_are(workshop):
    message = workshop.methods_refusal("a:\n  generator: net\n  losses: [entropy]\n  critic: x")
    assert message == (
        "bench.yaml:12: methods.a.critic: unknown key 'critic'. Available: generator, losses, discriminator, "
        "adversarial, latent_channels, protocol, extends, start_from, refines, trains_on, labels, unlabelled, tune, "
        "authors, paper, code, licence."
    )


NAMING = {
    "start_from": "start_from: {}",
    "refines": "refines: {}",
    "refines.method": "refines: {{method: {}}}",
    "trains_on.synthetic": "trains_on: {{synthetic: {}}}",
    "unlabelled.pseudo_labels_from": "unlabelled: {{pseudo_labels_from: {}}}",
    "protocol.budget.like": "protocol: {{budget: {{like: {}, in: seconds}}}}",
    "adversarial.weight.like": "adversarial: {{use: hinge, weight: {{like: {}}}}}",
}


@pytest.mark.parametrize("path", NAMING)
def test_a_method_that_is_needed_exists(workshop, path):
    message = workshop.methods_refusal(BASE + f"more: {{extends: base, {NAMING[path].format('bsae')}}}")
    assert message == (
        f"bench.yaml:10: methods.more.{path}: there is no method 'bsae'. Did you mean 'base'? Available: base, more."
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
    assert "cyclic reference: " in message
    assert f"bench.yaml:10: methods.a.{path}: b" in message or "bench.yaml:11: methods.b.start_from: a" in message


def test_a_method_cannot_train_as_long_as_itself(workshop):
    message = workshop.methods_refusal(BASE + "a: {extends: base, protocol: {budget: {like: a, in: seconds}}}")
    assert message == "bench.yaml:10: methods.a.protocol.budget.like: cyclic reference: a -> a"


def test_the_unit_of_a_budget_is_reported_where_it_is_wrong(workshop):
    message = workshop.methods_refusal(BASE + "a: {extends: base, protocol: {budget: {like: base, in: steps}}}")
    assert message.startswith("bench.yaml:10: methods.a.protocol.budget: a method can train as long as another only in")


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
