from __future__ import annotations

import pytest

from segbench.spec.recipe import ComponentUse, WeightedLoss

NET = "net: {generator: toy/net, losses: [toy/entropy]}"


def test_names_become_full_and_options_complete(workshop):
    method = workshop.methods("net: {generator: {use: net, width: 3}, losses: [entropy]}").methods["net"]
    assert method.generator == ComponentUse(use="toy/net", options={"width": 3, "encoder": "none"})
    assert method.losses == (WeightedLoss(use="toy/entropy", options={"smooth": 0.0}, weight=1.0),)


def test_losses_have_weights(workshop):
    losses = (
        workshop.methods("net: {generator: net, losses: [{use: dice, weight: 0.5, smooth: 1}]}").methods["net"].losses
    )
    assert losses == (WeightedLoss(use="toy/dice", options={"smooth": 1.0}, weight=0.5),)


def test_an_unknown_component_keeps_the_text_of_the_registry(workshop):
    message = workshop.methods_refusal("\nnet:\n  generator: {use: toy/nett}\n  losses: [toy/entropy]")
    assert message.startswith(
        "bench.yaml:10: methods.net.generator.use: unknown generator 'toy/nett'. There is: toy/heavy"
    )
    assert "Did you mean 'toy/net'?" in message


def test_a_component_of_a_broken_plugin_tells_what_is_broken(workshop):
    message = workshop.methods_refusal("net: {generator: ruined/net, losses: [toy/entropy]}")
    assert "methods.net.generator: generator 'ruined/net' cannot be had: plugin 'ruined'" in message
    assert "boom" in message


def test_an_unknown_option_has_the_line_of_the_option(workshop):
    assert workshop.methods_refusal("net:\n  generator:\n    use: net\n    widht: 3\n  losses: [entropy]") == (
        "bench.yaml:12: methods.net.generator.widht: generator toy/net has no option 'widht'; its options are width, "
        "encoder. Did you mean 'width'?"
    )


def test_a_wrong_option_has_the_line_of_the_option(workshop):
    message = workshop.methods_refusal(
        "net:\n  generator:\n    use: net\n    width: 3\n    encoder: tiny\n  losses: [entropy]"
    )
    assert message.startswith(
        "bench.yaml:13: methods.net.generator.encoder: option 'encoder' of generator toy/net must be"
    )


def test_of_two_wrong_options_the_first_is_told(workshop):
    message = workshop.methods_refusal("net: {generator: {use: net, encoder: tiny, width: x}, losses: [entropy]}")
    assert "methods.net.generator.width: option 'width'" in message


def test_a_missing_option_has_the_line_of_the_component(workshop):
    message = workshop.methods_refusal("net:\n  generator: net\n  losses:\n    - entropy\n    - tuned")
    assert message == (
        "bench.yaml:13: methods.net.losses.1: option 'rate' of loss toy/tuned is missing; it is required and of type "
        "float."
    )


def test_a_generator_maps_an_image_to_labels(workshop):
    message = workshop.methods_refusal("net: {generator: painter, losses: [entropy]}")
    assert (
        "methods.net.generator: generator toy/painter maps 'noise -> image'; a method can train those that" in message
    )
    assert message.endswith("map 'image -> labels'")


def test_a_loss_is_supervised(workshop):
    message = workshop.methods_refusal("net: {generator: net, losses: [entropy, hinge]}")
    assert "methods.net.losses.1: loss toy/hinge has the role 'adversarial'" in message


def test_a_library_that_is_missing_is_told_with_the_cure(workshop):
    message = workshop.methods_refusal("net: {generator: heavy, losses: [entropy]}")
    assert "methods.net.generator: generator toy/heavy needs no-such-library" in message
    assert "pip install 'toy-plugin[heavy]'" in message


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ("3", "must be the name of a generator, or {use: NAME, option: value}, not the number 3"),
        ("[net]", "must be the name of a generator, or {use: NAME, option: value}, not a list"),
        ("{width: 3}", "must name its generator: {use: NAME, option: value}"),
        ("{use: 3}", "must be the name of a generator, not the number 3"),
        ("{use: net, weight: 2}", "generator toy/net has no option 'weight'"),
    ],
)
def test_a_generator_is_a_name_or_a_mapping(workshop, generator, message):
    assert message in workshop.methods_refusal(f"net: {{generator: {generator}, losses: [entropy]}}")


@pytest.mark.parametrize("losses", ["entropy", "{use: entropy}", "3"])
def test_losses_are_a_list(workshop, losses):
    message = workshop.methods_refusal(f"net: {{generator: net, losses: {losses}}}")
    assert "bench.yaml:9: methods.net.losses: must be a list of losses" in message


def test_there_is_at_least_one_loss(workshop):
    assert "methods.net.losses: must name at least one loss" in workshop.methods_refusal(
        "net: {generator: net, losses: []}"
    )


@pytest.mark.parametrize("weight", ["0", "-1", "true", "x", "[1]"])
def test_a_weight_is_a_positive_number(workshop, weight):
    message = workshop.methods_refusal(f"net: {{generator: net, losses: [{{use: dice, weight: {weight}}}]}}")
    assert "methods.net.losses.0.weight: must be a number greater than 0, not" in message


def with_dataset(text):
    return f"name: t\nprotocol: {{budget: {{steps: 1}}}}\nseeds: [0]\nmethods: {{{NET}}}\ndatasets:\n  data: {text}\n"


def test_a_relative_root_is_relative_to_the_file(workshop):
    dataset = workshop.load(with_dataset("{use: pictures, root: ../somewhere, size: [3, 4]}")).datasets["data"]
    assert dataset.root == str(workshop.path.parent.parent / "somewhere")
    assert dataset.options == {"size": [3, 4]}


def test_a_tilde_is_the_home_folder(workshop, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    dataset = workshop.load(with_dataset("{use: pictures, root: ~/data}")).datasets["data"]
    assert dataset.root == str(tmp_path / "home" / "data")


def test_a_relative_root_of_the_command_line_is_relative_to_the_working_folder(workshop, monkeypatch, tmp_path):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    dataset = workshop.load(with_dataset("pictures"), sets=["datasets.data.root=x"]).datasets["data"]
    assert dataset.root == str(tmp_path / "here" / "x")


def test_a_root_may_be_left_out(workshop):
    assert workshop.load(with_dataset("pictures")).datasets["data"].root is None
    assert workshop.load(with_dataset("{use: pictures, root: null}")).datasets["data"].root is None


def test_a_dataset_without_files_takes_no_root(workshop):
    message = workshop.refusal(with_dataset("\n    use: shapes\n    root: x"))
    assert message.startswith("bench.yaml:8: datasets.data.root: dataset toy/shapes reads no folder")


def test_a_root_is_text(workshop):
    assert "datasets.data.root: must be the path of a folder, not the number 3" in workshop.refusal(
        with_dataset("{use: pictures, root: 3}")
    )


def test_the_home_of_nobody_is_an_error(workshop):
    assert "datasets.data.root: '~no-such-user-here/x':" in workshop.refusal(
        with_dataset("{use: pictures, root: ~no-such-user-here/x}")
    )


def test_the_path_of_a_file_is_relative_to_the_benchmark_file(workshop):
    weights = workshop.path.parent / "w.safetensors"
    weights.touch()
    method = workshop.methods("net: {generator: {use: pretrained, weights: ./w.safetensors}, losses: [entropy]}")
    assert method.methods["net"].generator.options == {"weights": str(weights.resolve())}


def test_text_that_names_no_file_stays_as_it_is(workshop):
    method = workshop.methods("net: {generator: {use: pretrained, weights: in1k.a1}, losses: [entropy]}")
    assert method.methods["net"].generator.options == {"weights": "in1k.a1"}
