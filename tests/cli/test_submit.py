"""`segbench submit`, as a user calls it."""

from __future__ import annotations

import json

import pytest

from segbench.cli import main
from segbench.config.benchmark import load_benchmark
from segbench.registry import load_registry
from segbench.report.records import identity, read_sources
from segbench.report.submission import find_altered, read_entry


@pytest.fixture(autouse=True)
def results(recorded_cell, monkeypatch):
    monkeypatch.chdir(recorded_cell.parents[2])


def test_a_submission_is_a_results_folder_with_benchmark_file_and_no_images(recorded_cell, tmp_path, capsys):
    key = recorded_cell.stem
    expected = [f"shapes-smoke/{key}.json", f"shapes-smoke/{key}/counts.parquet", "shapes-smoke/recipe.yaml"]
    expected.append(f"shapes-smoke/{key}/events.jsonl")
    (recorded_cell.with_suffix("") / "events.jsonl").touch()
    samples = recorded_cell.with_suffix("") / "samples"
    assert list(samples.glob("*.panel.png"))
    expected += [f"shapes-smoke/{key}/samples/{path.name}" for path in samples.iterdir() if path.suffixes == [".png"]]
    assert main(["submit", "fcn", "-o", "entry"]) == 0
    assert capsys.readouterr() == ("wrote entry: 1 record of fcn\n", "")
    entry = read_entry(tmp_path / "entry")
    assert sorted(entry.files) == sorted(expected)
    assert (tmp_path / "entry" / expected[0]).read_bytes() == recorded_cell.read_bytes()
    (record,) = read_sources([tmp_path / "entry"]).ranked
    assert record.key == key
    recipe = load_benchmark(str(tmp_path / "entry" / expected[2]), load_registry())
    assert (recipe.name, list(recipe.methods), recipe.seeds) == ("shapes-smoke", ["fcn"], (0,))


def test_the_files_of_an_attempt_are_packed_where_the_record_says_that_they_are(recorded_cell, tmp_path):
    files, attempt = recorded_cell.with_suffix(""), "1-0123456789abcdef"
    moved = files.rename(files.with_name("moved"))
    files.mkdir()
    moved.rename(files / attempt)
    recorded_cell.write_text(json.dumps({**json.loads(recorded_cell.read_text()), "attempt": attempt}))
    assert main(["submit", "fcn", "-o", "entry"]) == 0
    entry, sources = read_entry(tmp_path / "entry"), read_sources([tmp_path / "entry"])
    assert f"shapes-smoke/{recorded_cell.stem}/{attempt}/counts.parquet" in entry.files
    (record,) = sources.ranked
    folder = sources.cell_folders[identity(record)]
    assert find_altered(tmp_path / "entry", entry, record, folder) is None
    (folder.parent / "more").touch()
    assert find_altered(tmp_path / "entry", entry, record, folder).endswith("/more is not what was packed")


@pytest.mark.parametrize("form", ["{key}", "{short}", "fcn@{short}", "fcn@latest", "fcn=results", "{path}"])
def test_cells_are_named_by_method_key_recipe_or_path(recorded_cell, tmp_path, form):
    text = form.format(key=recorded_cell.stem, short=recorded_cell.stem[:6], path=recorded_cell)
    assert main(["submit", text, "-o", "entry"]) == 0
    assert (tmp_path / "entry" / "shapes-smoke" / recorded_cell.name).is_file()


def test_a_submission_is_replaced_and_what_is_none_is_not(recorded_cell, tmp_path, capsys):
    assert main(["submit", "fcn", "-o", "entry"]) == 0
    assert main(["submit", "fcn", "-o", "entry"]) == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    assert main(["submit", "fcn", "-o", "mine"]) == 2
    assert "error: -o mine: this folder holds something else" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_a_benchmark_file_without_the_cells_is_refused_and_nothing_is_written(tmp_path, capsys):
    assert main(["submit", "fcn", "-o", "entry", "--recipe", str(_packaged("shapes-smoke"))]) == 2
    assert "the benchmark file lacks 1 of 1 cell as recorded, such as" in capsys.readouterr().err
    assert not (tmp_path / "entry").exists()


def _packaged(name):
    from segbench.config.benchmark import find_benchmark

    return find_benchmark(name)


def test_counts_of_something_else_are_not_submitted(recorded_cell, capsys):
    content = json.loads(recorded_cell.read_text())
    content["scores"]["miou"] += 0.1
    recorded_cell.write_text(json.dumps(content))
    assert main(["submit", "fcn", "-o", "entry"]) == 2
    assert "its counts belong to something else" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["fcm", "ffff0", "fcn@ffff"])
def test_what_means_no_cell_is_refused(text, capsys):
    assert main(["submit", text, "-o", "entry"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.fixture
def alter(recorded_cell, tmp_path):
    """Pack the cell, make a change in the folder of its files, and return what is then noticed."""

    def alter(change):
        assert main(["submit", "fcn", "-o", "entry"]) == 0
        entry = tmp_path / "entry"
        (record,) = read_sources([entry]).ranked
        folder = entry / "shapes-smoke" / recorded_cell.stem
        change(folder)
        return find_altered(entry, read_entry(entry), record, folder)

    return alter


def test_a_file_that_was_changed_added_or_removed_after_packing_is_noticed(alter, flip_bit):
    assert alter(lambda folder: (folder / "verified.json").touch()) is None
    assert alter(lambda folder: flip_bit(folder / "counts.parquet", 3)).endswith(
        "counts.parquet is not what was packed"
    )
    assert alter(lambda folder: (folder / "more").touch()).endswith("/more is not what was packed")
    assert alter(lambda folder: (folder / "samples" / "x").symlink_to("/")).endswith(
        "samples/x cannot be read: it is a folder, not a file"
    )
    assert alter(lambda folder: (folder / "counts.parquet").unlink()).endswith("/counts.parquet is missing")


def keep_plugin_file(record, path):
    content = json.loads(record.read_text())
    content["plugin_files"] = [{"plugin": "mine", "sha256": "0" * 64, "copy_path": path}]
    record.write_text(json.dumps(content))
    copy = record.with_suffix("") / "plugins" / "mine.py"
    copy.parent.mkdir()
    copy.write_text("# mine")


def test_plugin_files_come_along_and_nothing_that_lies_elsewhere(recorded_cell, tmp_path, capsys):
    keep_plugin_file(recorded_cell, "plugins/mine.py")
    assert main(["submit", "fcn", "-o", "entry"]) == 0
    folder = tmp_path / "entry" / "shapes-smoke" / recorded_cell.stem
    assert (folder / "plugins" / "mine.py").read_text() == "# mine"
    content = json.loads(recorded_cell.read_text())
    content["plugin_files"][0]["copy_path"] = "../../../secret"
    recorded_cell.write_text(json.dumps(content))
    (tmp_path / "secret").touch()
    assert main(["submit", "fcn", "-o", "entry"]) == 2
    assert "names a file outside its folder: ../../../secret" in capsys.readouterr().err
