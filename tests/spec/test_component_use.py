from __future__ import annotations

import pytest

from segbench.spec.recipe import ComponentUse, WeightedLoss


def test_names_become_full_and_options_complete(workshop):
    method = workshop.methods("net: {generator: {use: net, width: 3}, losses: [entropy]}").methods["net"]
    assert method.generator == ComponentUse(use="toy/net", options={"width": 3, "encoder": "none"})
    assert method.losses == (WeightedLoss(use="toy/entropy", options={"smooth": 0.0}, weight=1.0),)


def test_an_unknown_component_keeps_the_text_of_the_registry(workshop):
    message = workshop.methods_refusal("\nnet:\n  generator: {use: toy/nett}\n  losses: [toy/entropy]")
    assert message.startswith(
        "bench.yaml:10: methods.net.generator.use: unknown generator 'toy/nett'. There is: toy/colours"
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


def test_the_path_of_a_file_is_relative_to_the_benchmark_file(workshop):
    weights = workshop.path.parent / "w.safetensors"
    weights.touch()
    method = workshop.methods("net: {generator: {use: pretrained, weights: ./w.safetensors}, losses: [entropy]}")
    assert method.methods["net"].generator.options == {"weights": str(weights.resolve())}


def test_a_path_of_a_folder_starts_where_its_file_lies_if_it_is_written_as_a_path(workshop):
    folder = workshop.path.parent / "segformer"
    folder.mkdir()
    for written, expected in (("./segformer", str(folder.resolve())), ("segformer", "segformer"), ("./b", "./b")):
        method = workshop.methods(f"net: {{generator: {{use: pretrained, weights: {written}}}, losses: [entropy]}}")
        assert method.methods["net"].generator.options == {"weights": expected}


def test_text_that_names_no_file_stays_as_it_is(workshop):
    method = workshop.methods("net: {generator: {use: pretrained, weights: in1k.a1}, losses: [entropy]}")
    assert method.methods["net"].generator.options == {"weights": "in1k.a1"}
