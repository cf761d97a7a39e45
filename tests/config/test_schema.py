from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from segbench.cli.schema import MODELINE
from segbench.config.benchmark import find_benchmark, load_benchmark, packaged_benchmarks
from segbench.config.inheritance import METHOD_KEYS
from segbench.config.schema import benchmark_schema
from segbench.config.yaml import Place, read_file, read_text
from segbench.contract import Component
from segbench.errors import SpecError
from segbench.registry import load_registry

from .conftest import METHODS, START, offer


@pytest.fixture(scope="module")
def installed():
    schema, problems = benchmark_schema(load_registry())
    Draft7Validator.check_schema(schema)
    assert problems == []
    return schema


def mistakes(schema, text):
    content = read_text(text, Place("x.yaml", Path())).plain()
    return [(error.json_path, error.message) for error in Draft7Validator(schema).iter_errors(content)]


@pytest.mark.parametrize("name", packaged_benchmarks())
def test_a_packaged_benchmark_is_valid(installed, name):
    content = read_file(find_benchmark(name)).plain()
    assert [error.message for error in Draft7Validator(installed).iter_errors(content)] == []


# What the reader refuses: what is put in place of what stands in the file.
NET = "{generator: toy/net, losses: [toy/entropy]}"
REFUSED = {
    "a misspelt key of the file": ("seeds:", "seed:"),
    "a misspelt key of the protocol": ("optimizer:", "optimiser:"),
    "a misspelt key within the protocol": ("lr:", "rate:"),
    "a misspelt key of a method": ("losses:", "loss:"),
    "no generator": ("generator: toy/net, ", ""),
    "a text for a number": ("{steps: 100}", "{steps: many}"),
    "a fraction for a whole number": ("{steps: 100}", "{steps: 1.5}"),
    "a number out of its range": ("lr: 1e-3", "lr: -1"),
    "an unknown choice": ("optimizer: {use: adamw, lr: 1e-3}", "schedule: ploy"),
    "an unknown unit of a budget": ("{steps: 100}", "{like: net, in: epochs}"),
    "a pair of three": ("optimizer: {use: adamw, lr: 1e-3}", "crop: [8, 8, 8]"),
    "no budget": ("budget: {steps: 100}", "batch_size: 4"),
    "a loss that is not in a list": ("[toy/entropy]", "toy/entropy"),
    "an unknown dataset": ("toy/shapes", "toy/shape"),
    "an unknown generator": ("toy/net", "toy/nett"),
    "an unknown generator behind use": ("toy/net", "{use: toy/nett}"),
    "a component of a broken plugin": ("toy/net", "ruined/net"),
    "a mapping that names no generator": ("toy/net", "{width: 8}"),
    "an option of another component": ("toy/net", "{use: toy/net, margin: 2}"),
    "an option of a wrong type": ("toy/net", "{use: toy/net, width: broad}"),
    "an option with an unknown choice": ("toy/net", "{use: toy/net, encoder: huge}"),
    "a loss of another role": ("[toy/entropy]", "[toy/hinge]"),
    "an option of an adversarial loss": (NET, "{extends: net2, adversarial: {use: toy/hinge, smooth: 1}}"),
    "an unknown placebo": (NET, "{extends: net2, adversarial: {placebo: sugar}}"),
    "class weights of a loss without": ("[toy/entropy]", "[{use: toy/entropy, class_weights: median_frequency}]"),
    "an option of a method that inherits": (NET, "{extends: net2, generator: {widht: 8}}"),
    "a seed that is no number": ("[0, 1]", "[first]"),
    "a seed twice": ("[0, 1]", "[0, 0]"),
    "a name that is no name of a folder": ("name: test", "name: a/b"),
    "a misspelt key of a claim": ("seeds:", "compare: [{claim: net, agianst: net2}]\nseeds:"),
    "a tuned key that there is not": (METHODS, f"{METHODS}  net3: {{extends: net, tune: {{protocl.ema: [0.9]}}}}\n"),
    "a fraction of the labels beyond 1": ("losses: [toy/entropy]", "losses: [toy/entropy], labels: {fraction: 2}"),
}
FILE = START + METHODS + "  net2: {generator: toy/other, losses: [toy/entropy]}\n"


@pytest.mark.parametrize("mistake", REFUSED)
def test_what_the_reader_refuses_is_refused(mistake, registry, tmp_path):
    schema, _ = benchmark_schema(registry)
    assert mistakes(schema, FILE) == []
    right, wrong = REFUSED[mistake]
    assert right in FILE
    (tmp_path / "bench.yaml").write_text(FILE.replace(right, wrong, 1))
    with pytest.raises(SpecError):
        load_benchmark(str(tmp_path / "bench.yaml"), registry)
    assert mistakes(schema, FILE.replace(right, wrong, 1)) != []


ACCEPTED = {
    "nothing for a key": ("lr: 1e-3", "lr: null"),
    "a bare schedule": ("optimizer: {use: adamw, lr: 1e-3}", "schedule: cosine"),
    "a timing budget by name": ("optimizer: {use: adamw, lr: 1e-3}", "timing: none"),
    "a flip by its older name": ("optimizer: {use: adamw, lr: 1e-3}", "augment: {flip: true}"),
    "a pattern alone": ("lr: 1e-3", "freeze: encoder.*"),
    "an optimiser of timm": ("use: adamw", "use: timm/lamb"),
    "folds as a number": ("toy/shapes", "{use: toy/shapes, folds: 3}"),
    "a short name": ("toy/net", "net"),
    "options": ("toy/net", "{use: net, width: 8, encoder: small}"),
    "a text as long as another option": ("toy/net", "{use: toy/pretrained, weights: imagenet}"),
    "options of what is inherited": (NET, "{extends: net2, generator: {width: 8}, start_from: net2}"),
    "class weights by name": ("[toy/entropy]", "[{use: toy/weighed, class_weights: median_frequency, weight: 2}]"),
    "class weights as numbers": ("[toy/entropy]", "[{use: toy/weighed, class_weights: [1.0, 2.0]}]"),
    "class weights by a loss's own name": ("[toy/entropy]", "[{use: toy/balanced, class_weights: balanced}]"),
    "a critic": (
        NET,
        "{extends: net2, discriminator: critic, adversarial: {use: hinge, margin: 2, weight: {ratio: 0.1}, "
        "penalty: {use: slope, target: 2, every: 4}, encoding: one_hot}}",
    ),
    "a claim against a twin": (
        METHODS,
        f"{METHODS}  net3: {{extends: net, discriminator: critic, adversarial: hinge}}\n"
        "compare: [{claim: net3, placebo: [frozen]}]\n",
    ),
    "a term on unlabelled images": (NET, "{extends: net2, labels: {fraction: [0.5, 1]}, unlabelled: {use: calm}}"),
    "pseudo-labels": (
        NET,
        "{extends: net2, labels: {fraction: 0.5}, unlabelled: {pseudo_labels_from: net2, threshold: 0.8}}",
    ),
    "a search space": (METHODS, f"{METHODS}  net3: {{extends: net, tune: null}}\n"),
    "a former name": (NET, "{generator: painter, discriminator: critic, adversarial: hinge, noise_channels: 4}"),
    "whose it is": ("name: test", "name: test\nauthors: A. Author\npaper: 10.1000/182"),
}


@pytest.mark.parametrize("form", ACCEPTED)
def test_what_the_reader_takes_is_valid(form, registry, tmp_path):
    before, after = ACCEPTED[form]
    if before == METHODS:
        text = FILE.replace(METHODS, after, 1) if "compare" not in after else START + after
    else:
        text = FILE.replace(before, after, 1)
    assert text != FILE
    (tmp_path / "bench.yaml").write_text(text)
    assert load_benchmark(str(tmp_path / "bench.yaml"), registry).methods
    assert mistakes(benchmark_schema(registry)[0], text) == []


def properties_of(schema):
    """Every key that a schema describes, with its form."""
    if isinstance(schema, list):
        for part in schema:
            yield from properties_of(part)
    elif isinstance(schema, dict):
        own = schema.get("properties", {})
        yield from own.items() if schema.get("type") == "object" else ()
        for keyword, part in [*own.items(), *((key, part) for key, part in schema.items() if key != "properties")]:
            if keyword not in ("default", "enum"):
                yield from properties_of(part)


def test_every_key_and_option_is_described(installed):
    found = list(properties_of(installed))
    assert {"name", "budget", "encoder", "placebo", "extends", "pool"} <= {key for key, _ in found}
    assert [key for key, form in found if form and not form.get("description")] == []


def test_an_option_has_its_type_default_and_description_as_the_plugin_states_them(registry):
    schema, _ = benchmark_schema(registry)
    generator = schema["properties"]["methods"]["additionalProperties"]["properties"]["generator"]
    mapping = next(form for form in generator["anyOf"] if "allOf" in form)
    [net] = [case["then"] for case in mapping["allOf"] if "toy/net" in str(case["if"])]
    assert net["properties"]["width"] == {"type": ["integer", "null"], "default": 16}


def test_a_method_has_the_keys_of_the_reader_and_one_of_its_former_names(installed):
    method = installed["properties"]["methods"]["additionalProperties"]
    assert set(method["properties"]) == {*METHOD_KEYS, "noise_channels"}


def test_a_component_with_a_broken_signature_is_left_out_and_told(registry):
    def build(in_channels, *, width):
        """Lacks a type."""

    broken = registry.__class__(
        (*registry.installed, offer("generator", Component("vague", build, "vague"))), registry.problems
    )
    schema, problems = benchmark_schema(broken)
    assert [("ruined" in problem, "vague" in problem) for problem in problems] == [(True, False), (False, True)]
    assert "toy/vague" not in json.dumps(schema)
    assert mistakes(schema, FILE) == []


def test_the_modeline_is_no_part_of_the_comment_on_top(tmp_path, registry):
    (tmp_path / "bench.yaml").write_text(f"{MODELINE}# What does it ask?\n{FILE}")
    assert load_benchmark(str(tmp_path / "bench.yaml"), registry).origin.comment == "What does it ask?"
