from __future__ import annotations

import pytest

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
        "--set protocol.bugdet.epochs=3: protocol.bugdet: unknown key 'bugdet'; allowed here: budget"
    )
    assert message.endswith("Did you mean 'budget'?")


def test_an_unknown_option_is_an_error_that_names_the_setting(refusal):
    assert refusal("methods.net.generator.widht=3") == (
        "--set methods.net.generator.widht=3: methods.net.generator.widht: generator toy/net has no option 'widht'; "
        "its options are width, encoder. Did you mean 'width'?"
    )


def test_a_wrong_value_is_an_error_that_names_the_setting(refusal):
    assert refusal("protocol.budget.epochs=three") == (
        "--set protocol.budget.epochs=three: protocol.budget.epochs: must be a valid number, not the text 'three'"
    )


@pytest.mark.parametrize("path", ["methods.nett.generator.width", "methods.nett"])
def test_a_setting_makes_no_new_method(refusal, path):
    message = refusal(f"{path}=3")
    assert "methods: there is no 'nett'; there are net, net-v1.5. Did you mean 'net'?" in message


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
