from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.cli import main
from segbench.cli.score import ScoreRequest, resolve_request
from segbench.config.protocol import Boundaries
from segbench.engine.evaluation.external import Entry
from segbench.errors import ComponentError, OptionError, SpecError
from segbench.registry import load_registry
from segbench.registry.datasets import open_dataset

OPTIONS = {"test": 3, "train": 3, "val": 0, "size": [24, 24], "classes": 3}


@pytest.fixture
def theirs(tmp_path):
    """A folder with the truth of data/shapes as label maps."""
    folder = tmp_path / "label maps"
    folder.mkdir()
    dataset = open_dataset(load_registry().find("dataset", "data/shapes"), None, OPTIONS)
    for sample in dataset.splits["test"]:
        Image.fromarray(sample.labels.astype(np.uint8)).save(folder / f"{sample.id}.png")
    return folder


def score(folder, tmp_path, *more):
    options = [part for key, value in OPTIONS.items() for part in ("--option", f"{key}={json.dumps(value)}")]
    results = ["--results", str(tmp_path / "results")]
    return main(["score", str(folder), "--dataset", "shapes", "--name", "theirs", *options, *results, *more])


def test_scores_are_printed_and_recorded(theirs, tmp_path, capsys):
    assert score(theirs, tmp_path, "--seed", "4") == 0
    line, path = capsys.readouterr().out.splitlines()
    assert line.startswith("theirs on shapes test (3 images): miou 1.0000, pixel_accuracy 1.0000")
    record = json.loads(Path(path).read_text())
    assert (record["method"], record["seed"], record["train"]) == ("theirs", 4, None)
    assert path.startswith(str(tmp_path / "results" / "scored"))


def test_what_was_scored_stands_in_the_report(theirs, tmp_path, capsys):
    score(theirs, tmp_path)
    capsys.readouterr()
    assert main(["report", str(tmp_path / "results"), "--format", "markdown"]) == 0
    out = capsys.readouterr().out
    assert "theirs" in out
    assert "100.0" in out


def test_a_missing_label_map_is_an_error_without_a_traceback(theirs, tmp_path, capsys):
    gone = sorted(theirs.iterdir())[0]
    gone.unlink()
    assert score(theirs, tmp_path) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: the label maps in ")
    assert gone.stem in captured.err
    assert not (tmp_path / "results").exists()


def test_a_results_folder_that_is_a_file_is_an_error(theirs, tmp_path, capsys):
    (tmp_path / "results").touch()
    assert score(theirs, tmp_path) == 2
    assert "cannot write to the results folder" in capsys.readouterr().err


def test_a_wrong_option_is_an_error(theirs, tmp_path, capsys):
    assert score(theirs, tmp_path, "--option", "clases=3") == 2
    assert "has no option 'clases'" in capsys.readouterr().err


BENCHMARK = """
name: streets
datasets:
  town: {use: data/shapes, classes: 5}
  village: {use: data/shapes, classes: 3}
protocol: {budget: {steps: 1}, evaluate: val}
seeds: [0]
methods:
  plain: {generator: basic/fcn, losses: [losses/cross_entropy]}
"""


@pytest.fixture
def resolve(tmp_path):
    """What a request that differs in some fields means, and the path of a benchmark file."""
    file = tmp_path / "my file.yaml"
    file.write_text(BENCHMARK)

    def call(**fields):
        request = ScoreRequest(**{"dataset": "shapes", "name": "theirs", "results": tmp_path / "results", **fields})
        return resolve_request(request, load_registry())

    call.file = str(file)
    return call


def test_label_maps_stand_not_beside_rows_of_a_cross_validated_dataset(resolve, tmp_path):
    folded = BENCHMARK.replace("classes: 5}", "classes: 5, folds: 5}").replace(", evaluate: val", "")
    (tmp_path / "my file.yaml").write_text(folded)
    for dataset, options in (("town", {}), ("shapes", {"classes": 5})):
        with pytest.raises(SpecError, match=r"my file.yaml: datasets.town is cross-validated: .* without --benchmark$"):
            resolve(benchmark=resolve.file, dataset=dataset, options=options)
    assert resolve(benchmark=resolve.file, dataset="village").entry.dataset == "village"


def test_without_a_benchmark_a_component_is_scored_on_test_under_its_own_name(resolve, tmp_path):
    use, entry, folder, _ = resolve(options={"classes": 5}, seed=3)
    assert use.use == "data/shapes"
    assert use.options["classes"] == 5
    assert entry == Entry(dataset="shapes", split="test", method="theirs", seed=3)
    assert folder.path == tmp_path / "results" / "scored"


def test_a_dataset_of_the_benchmark_brings_its_options_and_the_split_that_is_evaluated(resolve):
    use, entry, folder, _ = resolve(dataset="village", benchmark=resolve.file)
    assert use.options["classes"] == 3
    assert (entry.dataset, entry.split) == ("village", "val")
    assert folder.benchmark == "streets"


def test_a_component_with_the_options_of_a_dataset_of_the_benchmark_is_that_dataset(resolve):
    assert resolve(options={"classes": 3}, benchmark=resolve.file).entry.dataset == "village"
    assert resolve(options={"classes": 7}, benchmark=resolve.file).entry.dataset == "shapes"


def test_the_split_that_is_asked_for_counts(resolve):
    assert resolve(dataset="town", benchmark=resolve.file, split="test").entry.split == "test"


def test_boundaries_are_as_wide_as_in_the_table_of_the_benchmark(resolve):
    text = BENCHMARK.replace("evaluate: val", "evaluate: val, boundaries: {iou_width: 0.05}")
    Path(resolve.file).write_text(text)
    assert resolve(dataset="town", benchmark=resolve.file).boundaries == Boundaries(iou_width=0.05)
    assert resolve().boundaries == Boundaries()


def test_a_packaged_benchmark_is_meant_by_its_name(resolve):
    _, entry, folder, _ = resolve(dataset="shapes", benchmark="shapes-smoke")
    assert (folder.benchmark, entry.dataset) == ("shapes-smoke", "shapes")


def test_a_folder_of_records_is_meant_by_its_name(resolve, tmp_path):
    (tmp_path / "results" / "from-elsewhere").mkdir(parents=True)
    assert resolve(benchmark="from-elsewhere").folder.benchmark == "from-elsewhere"


def test_an_unknown_benchmark_is_an_error(resolve):
    with pytest.raises(SpecError, match=r"there is no packaged benchmark 'shapes-smok'.*Did you mean 'shapes-smoke'"):
        resolve(benchmark="shapes-smok")


def test_options_beside_a_dataset_of_the_benchmark_are_an_error(resolve):
    with pytest.raises(OptionError, match="the options of dataset 'town' are those of the benchmark file"):
        resolve(dataset="town", benchmark=resolve.file, options={"classes": 3})


def test_an_unknown_dataset_is_an_error(resolve):
    with pytest.raises(ComponentError, match=r"unknown dataset 'shaeps'.*Did you mean 'shapes'"):
        resolve(dataset="shaeps")


def test_an_unknown_dataset_is_told_with_those_of_the_benchmark(resolve, tmp_path):
    with pytest.raises(ComponentError, match=r"unknown dataset 'twon'\..* The benchmark has town"):
        resolve(dataset="twon", benchmark=resolve.file)
    (tmp_path / "results" / "mine").mkdir(parents=True)
    with pytest.raises(ComponentError, match=r"mine means records here; .* as --benchmark FILE\.yaml\.$"):
        resolve(dataset="town", benchmark="mine")


def test_a_root_on_the_command_line_takes_the_place_of_the_files(resolve):
    assert resolve(dataset="town", benchmark=resolve.file, root="elsewhere").use.root == "elsewhere"


@pytest.mark.parametrize("name", ["", "a b", "../up", ".hidden"])
def test_a_name_that_cannot_be_one_is_an_error(resolve, name):
    with pytest.raises(SpecError, match=r"--name: .* cannot be a name"):
        resolve(name=name)
