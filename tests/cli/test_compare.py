from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from segbench.cli import main
from segbench.stats.scores import miou, per_class, scores
from segbench.store.counts import Counts, write_counts
from segbench.store.folder import ResultsFolder
from segbench.store.record import Evaluated, Failure, Record

IMAGES = 8


def counted(right, seed):
    """Return counts of images of 60 and 40 pixels, of which so many of the latter are right, more or less."""
    confusion = np.zeros((IMAGES, 2, 2), dtype=np.int64)
    confusion[:, 0, 0] = 60
    confusion[:, 1, 1] = right + np.random.default_rng(seed).integers(3, size=IMAGES)
    confusion[:, 1, 0] = 40 - confusion[:, 1, 1]
    return Counts(tuple(f"image {i}" for i in range(IMAGES)), "test", confusion)


def write(method, seed, counts=None, code="", folder="results", **environment):
    """Write a cell into results/ of the current folder; without counts it failed."""
    from pathlib import Path

    key = hashlib.sha256(f"{method} {seed}{code}".encode()).hexdigest()[:16]
    result = {"status": "failed", "error": Failure(cause="the loss is NaN")}
    if counts is not None:
        evaluated = Evaluated(split="test", images=IMAGES, classes=["sky", "road"])
        result = {"status": "ok", "scores": scores(counts), "per_class": per_class(counts), "evaluated": evaluated}
    cell = {"benchmark": "tiny", "dataset": "shapes", "subset": "all", "method": method, "seed": seed}
    folder = ResultsFolder(Path(folder), "tiny")
    spec = {"method": {"twin": "plain"}, **({"sources": {"net": code}} if code else {})}
    folder.write(Record(key=key, **cell, **result, spec=spec, environment=environment))
    if counts is not None:
        folder.cell_folder(key).mkdir(exist_ok=True)
        write_counts(folder.cell_folder(key), counts)


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    """A folder results/ with two methods of three seeds, and one that failed."""
    monkeypatch.chdir(tmp_path)
    for seed in range(3):
        write("plain", seed, counted(20, seed))
        write("better", seed, counted(30, seed))
        write("broken", seed)


@pytest.fixture
def compared(capsys):
    """Run `segbench compare` and return what it printed as data."""

    def compare(*arguments):
        assert main(["compare", *arguments, "--json"]) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        return json.loads(captured.out)

    return compare


def test_the_verdict_stands_first(capsys):
    assert main(["compare", "better", "plain"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0] == "A = better, B = plain: tiny / shapes"
    assert any(line.startswith("better is better than plain by ") for line in lines[:8])
    assert captured.err == ""


def test_json_has_the_difference_that_the_counts_give(compared):
    (found,) = compared("better", "plain")["comparisons"]
    apart = [
        miou(counted(30, seed).confusion.sum(axis=0)) - miou(counted(20, seed).confusion.sum(axis=0))
        for seed in range(3)
    ]
    assert [one["difference"] for one in found["by_seed"]] == pytest.approx(apart)
    (claim,) = found["contrasts"]
    assert claim["difference"] == pytest.approx(np.mean(apart))
    assert claim["interval"][0] < claim["difference"] < claim["interval"][1]
    assert (claim["verdict"], claim["sign_flip_floor"], found["resamples"]) == ("better", 0.25, 10_000)
    assert found["definition"] == "miou/union@1"
    assert [one["name"] for one in found["classes"]] == ["sky", "road"]


def test_a_wide_margin_makes_them_equivalent(compared):
    (found,) = compared("better", "plain", "--margin", "60")["comparisons"]
    assert found["margin"] == 0.6
    assert found["contrasts"][0]["verdict"] == "equivalent"


def test_level_and_number_of_images_can_be_chosen(compared):
    (usual,) = compared("better", "plain")["comparisons"]
    (chosen,) = compared("better", "plain", "--level", "0.8", "--images", "1")["comparisons"]
    usual_low, usual_high = usual["contrasts"][0]["interval"]
    low, high = chosen["contrasts"][0]["interval"]
    assert usual_low < low < high < usual_high
    assert (len(usual["gained"]), len(chosen["gained"])) == (5, 1)


def test_recipes_of_one_name_are_selected_by_key_latest_and_folder(capsys, compared):
    write("plain", 3, counted(25, 3), code="new", started="2026-11-28T21:04:00+00:00")
    write("plain", 0, counted(25, 0), code="new", started="2026-11-28T21:05:00+00:00")
    assert main(["compare", "better", "plain"]) == 2
    assert "'plain' is the name of 2 recipes: write plain@latest, plain=DIR or one of these:" in capsys.readouterr().err
    (found,) = compared("better", "plain@latest")["comparisons"]
    assert (found["one"], found["other"], found["seeds"]) == ("better", "plain (b)", [0])
    key = hashlib.sha256(b"plain 1").hexdigest()[:6]
    (found,) = compared("better", f"plain@{key}")["comparisons"]
    assert (found["other"], found["seeds"]) == ("plain (a)", [0, 1, 2])
    (found,) = compared("plain@latest", f"plain@{key}")["comparisons"]
    assert found["relation"] == "plain (b) and plain (a) are two recipes of one name."
    write("plain", 1, counted(20, 1), folder="apart")
    (found,) = compared("better", "plain=apart")["comparisons"]
    assert found["other"] == "plain (a)"


def test_a_file_gets_what_stdout_would_get(capsys, tmp_path):
    main(["compare", "better", "plain"])
    printed = capsys.readouterr().out
    assert main(["compare", "better", "plain", "results", "-o", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out").read_text(encoding="utf-8") == printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["better", "plane"], "Did you mean 'plain'? Available: better, broken, plain."),
        (["better", "broken"], "'broken' has no result (seeds 0, 1, 2 failed: the loss is NaN)"),
        (["better", "better"], "cannot be compared with itself"),
        (["better", "plain", "nowhere"], "no results folder at nowhere"),
        (
            ["results", "better", "plain"],
            "the two methods come first: `segbench compare A B results`",
        ),
        (["better", "plain", "--benchmark", "tin"], "Did you mean 'tiny'?"),
        (["better", "plain", "--dataset", "shape"], "Did you mean 'shapes'?"),
        (["better", "plain", "--level", "95"], "95 is not at least 0.5 and below 1"),
        (["better", "plain", "--margin", "-1"], "--margin"),
        (["better", "plain", "-o", "nowhere/out"], "cannot write to nowhere/out"),
    ],
)
def test_a_mistake_is_one_clear_message_and_exit_code_2(capsys, arguments, message):
    assert main(["compare", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in " ".join(captured.err.split())
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_no_network_library_is_needed():
    script = (
        "import sys; from segbench.cli import main; main(['compare', 'better', 'plain']); "
        "assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "COLUMNS": "20", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "Family" not in done.stdout
    assert "better is better than plain" in " ".join(done.stdout.split())


def test_the_text_has_other_formats(capsys):
    assert main(["compare", "better", "plain", "--format", "markdown"]) == 0
    assert "### A = better, B = plain: tiny / shapes\n" in capsys.readouterr().out
    assert main(["compare", "better", "plain", "--format", "latex"]) == 0
    latex = capsys.readouterr().out
    labels = re.findall(r"\\label\{tab:tiny-shapes-better-plain-(.*)\}", latex)
    assert labels[:2] == ["seeds", "evidence"]
    assert len(set(labels)) == latex.count(r"\begin{table}")
    assert main(["compare", "better", "plain", "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("tiny,shapes,")


def test_json_has_two_names_and_no_other_format_beside_it(compared, capsys):
    assert main(["compare", "better", "plain", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == compared("better", "plain")
    assert main(["compare", "better", "plain", "--json", "--format", "csv"]) == 2
    assert "two formats; give one" in " ".join(capsys.readouterr().err.split())


PUBLISHED = """\
a:
  {source: A 2020, url: "https://example.org/a", dataset: shapes, split: test, classes: 2, metric: miou/union, band: 5,
   values: {Net: {generator: [tiny/net], value: 60}}}
"""


def test_a_reference_is_the_packaged_file_or_one_of_ones_own(capsys, tmp_path):
    assert main(["compare", "--reference"]) == 0
    captured = capsys.readouterr()
    assert "published.yaml" in captured.out
    assert captured.err == ""
    (tmp_path / "own.yaml").write_text(PUBLISHED)
    assert main(["compare", "--reference", "own.yaml", "results", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["not_recorded"] == [{"table": "a", "method": "Net"}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the two methods to compare"),
        (["better"], "name the two methods to compare"),
        (["--reference", "none.yaml"], "none.yaml:1: cannot be read: No such file"),
        (["--reference", "none"], "no results folder at none"),
        (["--reference", "--format", "csv"], "--reference has no CSV"),
        (["--reference", "--require-verdict"], "--reference gives no verdict"),
    ],
)
def test_a_mistake_with_a_reference_is_one_clear_message(capsys, arguments, message):
    assert main(["compare", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_required_verdict_is_one_of_three(capsys):
    assert main(["compare", "better", "plain", "--require-verdict"]) == 0
    assert main(["compare", "better", "plain", "--require-verdict", "--margin", "100"]) == 0
    for seed in range(3):
        write("odd", seed, counted(18 + 6 * seed, seed))
    capsys.readouterr()
    assert main(["compare", "odd", "plain", "--require-verdict", "--json"]) == 3
    content = json.loads(capsys.readouterr().out)
    assert content["schema"] == 1
    assert content["comparisons"][0]["contrasts"][0]["verdict"] == "undecided"
    assert main(["compare", "odd", "plain"]) == 0
