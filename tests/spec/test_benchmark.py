from __future__ import annotations

import subprocess
import sys

import pytest

from segbench.errors import SpecError
from segbench.spec.benchmark import parse_seeds

from .conftest import METHODS, START


def test_a_benchmark_is_read(workshop):
    benchmark = workshop.load()
    assert benchmark.name == "test"
    assert benchmark.source == str(workshop.path)
    assert list(benchmark.datasets) == ["shapes"]
    assert benchmark.seeds == (0, 1)
    assert benchmark.methods["net"].protocol.budget.steps == 100
    assert benchmark.methods["net"].protocol.optimizer.lr == 1e-3


@pytest.mark.parametrize("key", ["compares", "tunes", "seed"])
def test_an_unknown_key_is_refused_with_its_line(workshop, key):
    message = workshop.refusal(f"{START}{METHODS}{key}: x\n")
    assert message.startswith(
        f"bench.yaml:10: {key}: unknown key '{key}'; allowed here: name, datasets, protocol, seeds, methods, compare, "
        "tune."
    )


def test_the_nearest_key_is_named(workshop):
    assert workshop.refusal(f"{START}{METHODS}seed: [1]\n").endswith("Did you mean 'seeds'?")


@pytest.mark.parametrize("key", ["name", "datasets", "protocol", "seeds", "methods"])
def test_every_key_is_needed(workshop, key):
    sections = {"name": "t", "datasets": "{d: shapes}", "protocol": "{budget: {steps: 1}}", "seeds": "[0]"}
    sections["methods"] = "{m: {generator: net, losses: [dice]}}"
    text = "".join(f"{name}: {value}\n" for name, value in sections.items() if name != key)
    assert workshop.refusal(text).startswith(f"bench.yaml:1: {key}: is missing; a benchmark file needs name, datasets")


@pytest.mark.parametrize("name", ["a/b", "''", "..", ".hidden", "a b", "-x", "~"])
def test_a_name_can_be_the_name_of_a_folder(workshop, name):
    message = workshop.refusal(START.replace("name: test", f"name: {name}") + METHODS)
    assert message.startswith("bench.yaml:1: name: ")


@pytest.mark.parametrize("name", ["a/b", "a b", "x~frozen"])
def test_names_of_methods_and_datasets_are_checked(workshop, name):
    assert "bench.yaml:9: methods." in workshop.methods_refusal(f"{name}: {{generator: net, losses: [dice]}}")
    message = workshop.refusal(START.replace("shapes:", f"{name}:") + METHODS)
    assert message.startswith(f"bench.yaml:3: datasets.{name}: '{name}' cannot be a name")


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ("[0, 1, 0]", "bench.yaml:7: seeds.2: seed 0 is there twice"),
        ("[]", "bench.yaml:7: seeds: there is no seed"),
        ("3", "bench.yaml:7: seeds: must be a list of whole numbers, such as [0, 1, 2], not the number 3"),
        ("[0.5]", "bench.yaml:7: seeds.0: must be a whole number from 0 to"),
        ("[-1]", "bench.yaml:7: seeds.0: must be a whole number from 0 to"),
        ("[true]", "bench.yaml:7: seeds.0: must be a whole number from 0 to 9223372036854775807, not true"),
        (f"[{2**63}]", "bench.yaml:7: seeds.0: must be a whole number from 0 to"),
    ],
)
def test_seeds_are_whole_numbers_that_differ(workshop, seeds, message):
    assert workshop.refusal(START.replace("[0, 1]", seeds) + METHODS).startswith(message)


def test_seeds_of_the_command_line_take_the_place_of_the_files(workshop):
    assert workshop.load(seeds=(5, 3)).seeds == (5, 3)


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ((0, 0), "--seeds 0,0: seeds.1: seed 0 is there twice"),
        ((-1,), "--seeds -1: seeds.0: must be a whole number"),
        ((), "--seeds : seeds: there is no seed"),
    ],
)
def test_wrong_seeds_of_the_command_line_are_named(workshop, seeds, message):
    assert workshop.refusal(seeds=seeds).startswith(message)


def test_seeds_are_parsed():
    assert parse_seeds("0,1, 2") == (0, 1, 2)


@pytest.mark.parametrize("text", ["", "a", "0,", "1.5", "0-3"])
def test_seeds_that_are_no_numbers_are_refused(text):
    with pytest.raises(SpecError, match="write whole numbers with commas between"):
        parse_seeds(text)


@pytest.mark.parametrize("key", ["datasets", "methods"])
def test_there_is_at_least_one_dataset_and_method(workshop, key):
    text = {"datasets": START.replace("\n  shapes: toy/shapes", " {}") + METHODS, "methods": START + "methods: {}\n"}
    assert f"{key}: there is no {key[:-1]}; a benchmark needs at least one" in workshop.refusal(text[key])


def test_a_wrong_protocol_is_told_even_if_every_method_overrides_it(workshop):
    text = (
        START.replace("{steps: 100}", "{steps: 0}")
        + "methods:\n  a: {generator: net, losses: [dice], protocol: {budget: {steps: 1}}}\n"
    )
    assert workshop.refusal(text) == "bench.yaml:5: protocol.budget.steps: must be greater than 0, not the number 0"


def test_all_methods_cannot_train_as_long_as_one_of_them(workshop):
    text = START.replace("{steps: 100}", "{like: net, in: seconds}") + METHODS
    assert workshop.refusal(text) == (
        "bench.yaml:5: protocol.budget.like: all methods would train as long as 'net', and so would that one itself; "
        "give epochs, steps or seconds here, and like: in the protocol of the methods that it is meant for"
    )


def test_the_file_given_first_is_named_in_errors_as_it_was_given(workshop):
    workshop.path.write_text("name: [")
    with pytest.raises(SpecError, match=rf"^{workshop.path}:1: not valid YAML"):
        workshop.load("name: [")


def test_reading_a_benchmark_imports_no_heavy_library():
    code = (
        "import sys, segbench.spec.benchmark\n"
        "heavy = {'torch', 'numpy', 'pandas', 'pyarrow', 'scipy', 'PIL'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout == "[]\n"
