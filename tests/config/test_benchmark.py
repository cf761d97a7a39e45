from __future__ import annotations

import subprocess
import sys

import pytest

from segbench.config.benchmark import find_benchmark, packaged_benchmarks
from segbench.errors import SpecError

from .conftest import METHODS, START


def test_a_benchmark_is_read(workshop):
    benchmark = workshop.load()
    assert benchmark.name == "test"
    assert benchmark.source == str(workshop.path)
    assert list(benchmark.datasets) == ["shapes"]
    assert benchmark.seeds == (0, 1)
    assert benchmark.methods["net"].protocol.budget.steps == 100
    assert benchmark.methods["net"].protocol.optimizer.lr == 1e-3


@pytest.mark.parametrize(("key", "meant"), [("compares", "compare"), ("tunes", "tune"), ("seed", "seeds")])
def test_an_unknown_key_is_refused_with_its_line_and_the_nearest_key(workshop, key, meant):
    message = workshop.refusal(f"{START}{METHODS}{key}: x\n")
    assert message == (
        f"bench.yaml:10: {key}: unknown key '{key}'. Did you mean '{meant}'? "
        "Available: name, datasets, protocol, seeds, methods, compare, tune, authors, paper, code, licence."
    )


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
        ("[0, 1, 0]", "bench.yaml:7: seeds.2: seed 0 is listed twice"),
        ("[]", "bench.yaml:7: seeds: there is no seed"),
        ("3", "bench.yaml:7: seeds: must be a list of whole numbers, such as [0, 1, 2], not the number 3"),
        ("[0.5]", "bench.yaml:7: seeds.0: must be a whole number from 0 to"),
        ("[-1]", "bench.yaml:7: seeds.0: must be a whole number from 0 to"),
        ("[true]", "bench.yaml:7: seeds.0: must be a whole number from 0 to 9223372036854775807, not true"),
        (f"[{2**63}]", "bench.yaml:7: seeds.0: this number has too many digits; whole numbers go up to"),
    ],
)
def test_seeds_are_whole_numbers_that_differ(workshop, seeds, message):
    assert workshop.refusal(START.replace("[0, 1]", seeds) + METHODS).startswith(message)


def test_seeds_of_the_command_line_take_the_place_of_the_files(workshop):
    assert workshop.load(seeds=(5, 3)).seeds == (5, 3)


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ((0, 0), "--seeds 0,0: seeds.1: seed 0 is listed twice"),
        ((-1,), "--seeds -1: seeds.0: must be a whole number"),
        ((), "--seeds : seeds: there is no seed"),
    ],
)
def test_wrong_seeds_of_the_command_line_are_named(workshop, seeds, message):
    assert workshop.refusal(seeds=seeds).startswith(message)


@pytest.mark.parametrize("key", ["datasets", "methods"])
def test_there_is_at_least_one_dataset_and_method(workshop, key):
    text = {"datasets": START.replace("\n  shapes: toy/shapes", " {}") + METHODS, "methods": START + "methods: {}\n"}
    assert f"{key}: there is no {key[:-1]}; a benchmark needs at least one" in workshop.refusal(text[key])


def test_a_wrong_protocol_is_reported_even_if_every_method_overrides_it(workshop):
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
        "import sys, segbench.config.benchmark\n"
        "heavy = {'torch', 'numpy', 'pandas', 'pyarrow', 'scipy', 'PIL'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout == "[]\n"


def test_packaged_benchmarks_are_found_by_name():
    assert {"quickstart", "camvid", "shapes-smoke"} <= set(packaged_benchmarks())
    for name in packaged_benchmarks():
        assert find_benchmark(name).is_file()


def test_a_packaged_benchmark_asks_its_question_in_a_comment_on_top():
    for name in packaged_benchmarks():
        first = find_benchmark(name).read_text().splitlines()[0]
        assert first.startswith("# ")
        assert "?" in first


def test_a_benchmark_knows_how_it_was_called_and_the_comment_on_top(workshop):
    before = [
        "#!segbench",
        "# yaml-language-server: $schema=x",
        "# Does it",
        "#",
        "## help? Yes.",
        "",
        "# no part of it",
    ]
    benchmark = workshop.load("\n".join([*before, START + METHODS]), sets=["protocol.batch_size=2"])
    assert benchmark.origin.comment == "Does it help? Yes."
    assert benchmark.origin.given == str(workshop.path)
    assert benchmark.origin.sets == ("protocol.batch_size=2",)


def test_a_benchmark_may_have_no_comment(workshop):
    assert workshop.load().origin.comment == ""


def test_an_unknown_name_lists_the_packaged_ones_and_the_nearest():
    with pytest.raises(SpecError) as caught:
        find_benchmark("quikstart")
    assert "no packaged benchmark 'quikstart'. Did you mean 'quickstart'? Available: adv" in str(caught.value)


def test_files_are_found_by_path(tmp_path, monkeypatch):
    path = tmp_path / "mine.yaml"
    path.touch()
    assert find_benchmark(str(path)) == path
    monkeypatch.chdir(tmp_path)
    assert find_benchmark("mine.yaml").is_file()
    assert find_benchmark("./mine.yaml").is_file()


def test_a_file_of_that_name_is_hinted_at(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=r"If you mean the file mine.yaml, write it with its ending"):
        find_benchmark("mine")


def test_a_file_may_have_any_ending(tmp_path, monkeypatch):
    (tmp_path / "mine").touch()
    monkeypatch.chdir(tmp_path)
    assert find_benchmark("mine").is_file()


def test_a_packaged_name_wins_over_a_folder_of_that_name(tmp_path, monkeypatch):
    (tmp_path / "quickstart").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_benchmark("quickstart").name == "quickstart.yaml"


def test_a_path_that_does_not_exist_says_so(tmp_path):
    (tmp_path / "other.yaml").touch()
    (tmp_path / "mine.yml").touch()
    with pytest.raises(
        SpecError,
        match=r"there is no benchmark file .*miner.yaml\. Did you mean 'mine.yml'\? In .* there are mine.yml, o",
    ):
        find_benchmark(str(tmp_path / "miner.yaml"))
    with pytest.raises(SpecError, match=r"there is no benchmark file .*; there is no folder"):
        find_benchmark(str(tmp_path / "no" / "mine.yaml"))


def test_a_folder_is_no_benchmark(tmp_path):
    with pytest.raises(
        SpecError, match=r"is a folder, not a benchmark file; in .* there is no .yaml file; .* `segbench init"
    ):
        find_benchmark(f"{tmp_path}/")


def test_the_name_of_a_folder_is_answered_with_how_to_make_a_benchmark_of_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my photos").mkdir()
    with pytest.raises(SpecError, match=r"It is a folder here; .* `segbench init 'my photos'` writes one"):
        find_benchmark("my photos")
    (tmp_path / "my photos" / "mine.yaml").touch()
    with pytest.raises(SpecError, match=r"in my photos there are mine\.yaml$"):
        find_benchmark("my photos/")
