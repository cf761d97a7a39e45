"""`--plugin FILE`: from the command line to the record, the report and predictions."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest

from segbench.cli import main
from segbench.registry.plugin_files import content_of, load_file

from ..conftest import records  # noqa: TID252 - tests have no absolute name

NET = """
from pathlib import Path
from segbench import Component, hookimpl

def build(in_channels, num_classes):
    from torch import nn
    return nn.Conv2d(in_channels, num_classes, 3, padding=1)

def crash(in_channels, num_classes):
    import ctypes
    ctypes.string_at(0)

def edits_itself(in_channels, num_classes):
    me = Path(__file__)
    me.write_text(me.read_text() + "# edited")
    return build(in_channels, num_classes)

@hookimpl
def segbench_generators():
    yield Component("plain", build, "One convolution")
    yield Component("crash", crash, "Crashes")
    yield Component("edits", edits_itself, "Edits itself")
"""

BENCHMARK = """
name: filed
datasets: {{shapes: {{use: data/shapes, classes: 3, size: [24, 24], train: 2, val: 1, test: 2}}}}
protocol:
  budget: {{steps: 1}}
  batch_size: 1
  crop: [16, 16]
  timing: {{iterations: 1, seconds: 0.001, max_seconds: 0.002, sweep: 0}}
seeds: [0]
methods: {{{methods}}}
"""


def write_benchmark(folder, **methods):
    lines = [f"{name}: {{generator: {{use: {use}}}, losses: [losses/cross_entropy]}}" for name, use in methods.items()]
    (folder / "benchmark.yaml").write_text(BENCHMARK.format(methods=", ".join(lines)))


def write_net(folder, source=NET):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "net.py").write_text(source)
    content_of.cache_clear()  # another content is for another process
    load_file.cache_clear()
    return folder / "net.py"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, segbench):
    """A folder in which a benchmark with a plugin file has run; one of its methods crashes."""
    folder = tmp_path_factory.mktemp("finished")
    write_net(folder)
    write_benchmark(folder, plain="net/plain", crash="net/crash")
    done = segbench(folder, "run", "benchmark.yaml", "--plugin", "net.py", "--device", "cpu")
    assert done.returncode == 1, done.stderr
    return folder


@pytest.fixture
def results(finished, tmp_path, monkeypatch):
    """A copy of its results, in the working folder."""
    shutil.copytree(finished / "results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results" / "filed"


@pytest.fixture
def image(tmp_path):
    from PIL import Image

    Image.new("RGB", (16, 16)).save(tmp_path / "image.png")
    return tmp_path / "image.png"


def test_a_file_is_listed_and_shown_with_where_it_lies(tmp_path, capsys):
    file = write_net(tmp_path)
    digest = hashlib.sha256(NET.encode()).hexdigest()
    assert main(["list", "generators", "--json", "--plugin", str(file)]) == 0
    listed = {component["name"]: component for component in json.loads(capsys.readouterr().out)["components"]}[
        "net/plain"
    ]
    assert (listed["distribution"], listed["version"], listed["file"]) == ("net.py", digest[:12], str(file))
    assert main(["--plugin", str(file), "show", "generator", "net/plain"]) == 0
    assert ["file", str(file)] in [line.split() for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("name", ["gone.py", "net.txt", "my-net.py", "smp.py"])
def test_a_wrong_file_is_an_error_of_one_line(tmp_path, capsys, name):
    if name != "gone.py":
        (tmp_path / name).touch()
    assert main(["list", "--plugin", str(tmp_path / name)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: --plugin {tmp_path / name}: ")
    assert len(captured.err.splitlines()) == 1


def test_a_bug_in_a_file_names_it(tmp_path, capsys):
    source = "from segbench import Component, hookimpl\ndef build():\n    return {}['key']\n"
    source += "@hookimpl\ndef segbench_datasets():\n    yield Component('data', build, 'Broken')\n"
    file = write_net(tmp_path, source)
    assert main(["show", "dataset", "net/data", "--plugin", str(file)]) == 2
    assert capsys.readouterr().err == (
        f"error: plugin 'net' (net.py {hashlib.sha256(source.encode()).hexdigest()[:12]}) failed with KeyError: 'key' "
        "(--debug shows where)\n"
    )


def place_of(record):
    """Return where the files of a record lie in the folder of its benchmark."""
    return f"{record['key']}/{record['attempt']}"


def test_the_records_name_the_file_and_copies_lie_beside_them(finished):
    found = records(finished)
    assert {method: record["status"] for method, record in found.items()} == {"plain": "ok", "crash": "failed"}
    expected = {"plugin": "net", "sha256": hashlib.sha256(NET.encode()).hexdigest(), "copy_path": "plugins/net.py"}
    for method in ("plain", "crash"):
        assert found[method]["plugin_files"] == [expected]
        assert (finished / "results" / "filed" / place_of(found[method]) / "plugins" / "net.py").read_text() == NET


def test_a_crash_in_a_file_is_blamed_on_it(finished):
    assert records(finished)["crash"]["error"]["plugin"] == "net"


def test_the_report_says_which_rows_rest_on_a_file(finished, capsys):
    assert main(["report", str(finished / "results")]) == 0
    digest = hashlib.sha256(NET.encode()).hexdigest()[:12]
    assert f"net/ is a single file (SHA-256 {digest}), no package" in " ".join(capsys.readouterr().out.split())


def test_a_benchmark_that_needs_a_file_says_how_to_give_it(finished, capsys):
    assert main(["run", str(finished / "benchmark.yaml")]) == 2
    assert "No plugin is called 'net'; a single file that offers it is given with --plugin FILE." in (
        capsys.readouterr().err
    )


def test_predicting_without_the_file_runs_no_code_and_says_where_the_copy_lies(results, finished, image, capsys):
    record = records(finished)["plain"]
    key, copy = record["key"], results / place_of(record) / "plugins" / "net.py"
    copy.write_text(f"open({str(results / 'ran')!r}, 'w')")
    assert main(["predict", key, str(image), "-o", "out"]) == 2
    assert not (results / "ran").exists()
    err = " ".join(capsys.readouterr().err.split())
    assert "this cell was made with a plugin that is a single file, net.py" in err
    assert hashlib.sha256(NET.encode()).hexdigest()[:12] in err
    assert f"--plugin results/filed/{place_of(record)}/plugins/net.py uses that" in err


def test_predicting_with_the_copy_is_predicting_with_the_file(results, finished, image, capsys):
    record = records(finished)["plain"]
    copy = f"results/filed/{place_of(record)}/plugins/net.py"
    assert main(["predict", record["key"], str(image), "-o", "out", "--plugin", copy]) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == "out/image.png"
    assert captured.err == ""


def test_predicting_with_another_content_is_warned_of(results, finished, image, tmp_path, capsys):
    key = records(finished)["plain"]["key"]
    other = write_net(tmp_path / "other", f"{NET}# edited\n")
    assert main(["predict", key, str(image), "-o", "out", "--plugin", str(other)]) == 0
    [warning] = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"warning: {other} is not what this cell was made with: its SHA-256 is ")
    assert hashlib.sha256(NET.encode()).hexdigest()[:12] in warning


def test_a_copy_that_is_gone_or_lies_elsewhere_is_not_named(results, finished, image, capsys):
    key = records(finished)["plain"]["key"]
    record = json.loads((results / f"{key}.json").read_text())
    record["plugin_files"][0]["copy_path"] = "../../../image.png"
    (results / f"{key}.json").write_text(json.dumps(record))
    assert main(["predict", key, str(image), "-o", "out"]) == 2
    err = capsys.readouterr().err
    assert f"There is no copy of it in results/filed/{place_of(record)}." in err
    assert "image.png uses" not in err


def test_a_file_that_changes_under_a_run_fails_the_cell(tmp_path, segbench):
    write_net(tmp_path)
    write_benchmark(tmp_path, edits="net/edits", fcn="basic/fcn")
    done = segbench(tmp_path, "run", "benchmark.yaml", "--plugin", "net.py", "--device", "cpu")
    assert done.returncode == 1, done.stderr
    found = records(tmp_path)
    assert (found["fcn"]["status"], found["fcn"]["plugin_files"]) == ("ok", [])
    assert not (tmp_path / "results" / "filed" / place_of(found["fcn"]) / "plugins").exists()
    error = found["edits"]["error"]
    assert "net.py has changed since this run began" in error["cause"]
    assert error["plugin"] == "net"
    copy = tmp_path / "results" / "filed" / place_of(found["edits"]) / "plugins" / "net.py"
    assert copy.read_text() == NET


def test_the_label_maps_of_a_dataset_from_a_file_are_scored_with_a_copy_of_it(tmp_path, capsys, monkeypatch):
    from PIL import Image

    source = """
from segbench import Component, Dataset, Sample, hookimpl

def build():
    import numpy as np
    sample = Sample(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8), "one")
    return Dataset(["a", "b"], [(0, 0, 0), (9, 9, 9)], {"test": [sample]})

@hookimpl
def segbench_datasets():
    yield Component("data", build, "One image")
"""
    monkeypatch.chdir(tmp_path)
    file = write_net(tmp_path, source)
    (tmp_path / "maps").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "maps" / "one.png")
    code = main(["score", "maps", "--dataset", "net/data", "--name", "other", "--split", "test", "--plugin", str(file)])
    assert code == 0, capsys.readouterr().err
    [path] = tmp_path.glob("results/*/*.json")
    assert json.loads(path.read_text())["plugin_files"][0]["plugin"] == "net"
    assert (path.with_suffix("") / "plugins" / "net.py").read_text() == source
