from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.cli import main
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
