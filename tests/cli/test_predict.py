from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from segbench.cli import main
from segbench.images import read_image


@pytest.fixture
def image(tmp_path):
    """A photograph, more or less."""
    path = tmp_path / "my photo.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path)
    return path


def test_a_link_in_the_place_of_a_picture_is_replaced_and_its_target_stays(recorded_cell, image, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.write_text("not yours")
    out = tmp_path / "out"
    out.mkdir()
    for name in (f"{image.stem}.png", f"{image.stem}.overlay.png", f"{image.stem}.explain.png"):
        (out / name).symlink_to(theirs)
    assert main(["predict", str(recorded_cell), str(image), "-o", str(out), "--explain"]) == 0
    assert theirs.read_text() == "not yours"
    assert not [path for path in out.iterdir() if path.is_symlink()]


def test_a_recorded_cell_writes_label_maps_and_overlays(recorded_cell, image, tmp_path, capsys):
    results = str(recorded_cell.parent.parent)
    arguments = ["predict", recorded_cell.stem[:6], str(image), "-o", str(tmp_path / "out"), "--results", results]
    assert main([*arguments, "--device", "cpu"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [str(tmp_path / "out" / "my photo.png")]
    assert captured.err == ""
    for name in ("my photo.png", "my photo.overlay.png"):
        with Image.open(tmp_path / "out" / name) as picture:
            assert picture.size == (30, 20)


def test_changed_source_code_is_warned_of_on_stderr(recorded_cell, image, tmp_path, capsys):
    import re

    text = recorded_cell.read_text()
    recorded_cell.write_text(re.sub(r'("generator basic/fcn": ")\w+', r"\g<1>0000000000000000", text))
    assert main(["predict", str(recorded_cell), str(image), "-o", str(tmp_path / "out")]) == 0
    assert "warning: the source code of basic/fcn has changed" in capsys.readouterr().err


def test_an_unknown_cell_is_an_error_without_a_traceback(recorded_cell, image, tmp_path, capsys):
    results = str(recorded_cell.parent.parent)
    assert main(["predict", "ffff", str(image), "-o", str(tmp_path / "out"), "--results", results]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: no key in ")
    assert not (tmp_path / "out").exists()


def test_a_cell_is_found_by_its_method_and_a_folder_or_as_the_latest(recorded_cell, image, tmp_path, capsys):
    results, method = recorded_cell.parent.parent, json.loads(recorded_cell.read_text())["method"]
    for cell in (f"{method}@latest", f"{method}@{recorded_cell.stem[:4]}", f"{method}={results}"):
        arguments = ["predict", cell, str(image), "-o", str(tmp_path / "out"), "--results", str(results)]
        assert main([*arguments, "--device", "cpu"]) == 0
    assert main(["predict", f"{method}x@latest", str(image), "-o", "out", "--results", str(results)]) == 2
    assert f"no finished cell of a method '{method}x'. Did you mean '{method}'?" in capsys.readouterr().err


def test_a_cell_is_found_by_its_method_and_seed(recorded_cell, image, tmp_path, capsys):
    results, method = recorded_cell.parent.parent, json.loads(recorded_cell.read_text())["method"]
    arguments = ["predict", str(image), "-o", str(tmp_path / "out"), "--results", str(results), "--method", method]
    assert main([*arguments, "--seed", "0"]) == 0
    assert (tmp_path / "out" / "my photo.png").is_file()
    assert main([*arguments, "--seed", "5"]) == 2
    assert f"'{method}' with seed 5 means none of these cells" in capsys.readouterr().err


def test_a_cell_without_images_is_an_error(recorded_cell, tmp_path, capsys):
    assert main(["predict", str(recorded_cell), "-o", str(tmp_path / "out")]) == 2
    assert "give image files, or folders of them, behind the cell" in capsys.readouterr().err
    assert main(["predict", "--method", "a", "-o", str(tmp_path / "out")]) == 2
    assert "give image files, or folders of them\n" in capsys.readouterr().err
    assert main(["predict", "-o", str(tmp_path / "out")]) == 2
    assert "give image files, or folders of them, behind the cell" in capsys.readouterr().err


def test_an_unreadable_image_is_an_error(recorded_cell, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(b"nothing")
    assert main(["predict", str(recorded_cell), str(tmp_path / "a.png"), "-o", str(tmp_path / "out")]) == 2
    assert "a.png: cannot be read as an image" in capsys.readouterr().err


def test_unreadable_images_are_told_where_another_error_ends_the_run(recorded_cell, image, tmp_path, capsys):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"nothing")
    out = tmp_path / "out"
    (out / f"{image.stem}.overlay.png").mkdir(parents=True)  # no picture takes the place of a folder
    given = [str(tmp_path / name) for name in ("a.png", "b.png", image.name)]
    assert main(["predict", str(recorded_cell), *given, "-o", str(out)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("error: cannot write ")
    assert lines[1] == "2 of the 2 images before were not predicted:"
    assert [str(tmp_path / "a.png") in lines[2], str(tmp_path / "b.png") in lines[3]] == [True, True]


def test_ctrl_c_says_how_many_label_maps_are_written(recorded_cell, image, tmp_path, capsys, monkeypatch):
    def read(path, *arguments):
        if path.name == "b.jpg":
            raise KeyboardInterrupt
        return original(path, *arguments)

    original = read_image
    monkeypatch.setattr("segbench.engine.prediction.predict.read_image", read)
    broken, other = tmp_path / "a.png", tmp_path / "b.jpg"
    other.write_bytes(image.read_bytes())
    broken.write_bytes(b"nothing")
    given = [str(path) for path in (image, other, broken)]
    assert main(["predict", str(recorded_cell), *given[:2], "-o", str(tmp_path / "out")]) == 130
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [str(tmp_path / "out" / "my photo.png")]
    assert captured.err == "stopped; label maps written: 1\n"
    assert main(["predict", str(recorded_cell), *reversed(given), "-o", str(tmp_path / "out")]) == 130
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["stopped; label maps written: 0", "1 of the 1 images before were not predicted:"]
    assert lines[2].strip().startswith(f"{broken}: cannot be read as an image")


def test_the_output_folder_has_to_be_given(recorded_cell, image, capsys):
    assert main(["predict", str(recorded_cell), str(image)]) == 2
    assert "--output" in capsys.readouterr().err


def test_an_explanation_is_written_on_request(recorded_cell, image, tmp_path, capsys):
    arguments = ["predict", str(recorded_cell), str(image), "-o", str(tmp_path / "out"), "--explain"]
    assert main([*arguments, "--layer", "network.layers.0"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "out" / "my photo.png")]
    assert (tmp_path / "out" / "my photo.explain.png").is_file()


def test_pseudo_labels_are_written_as_a_dataset_and_told_of(recorded_cell, image, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["predict", str(recorded_cell), str(image), "--pseudo-labels"]
    assert main([*arguments, "0", "-o", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["class", "coverage", "share"]
    assert lines[4].startswith("all 1 images")
    assert lines[4].split()[-4:] == ["100.0", "%", "100.0", "%"]
    assert lines[5] == f"train on it with {{use: data/folder, root: {out}}}"
    assert (out / "images" / "my photo.jpg").read_bytes() == image.read_bytes()
    assert main([*arguments, "0", "-o", str(tmp_path / "again"), "--truth", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("  ")[-1].strip() == "IoU"
    assert lines[5] == "total variation distance between share and true share: 0.0 %"


def test_a_class_without_pseudo_labels_is_warned_of(recorded_cell, tmp_path, capsys):
    black = tmp_path / "black.png"
    Image.fromarray(np.zeros((1, 1, 3), dtype=np.uint8)).save(black)
    assert main(["predict", str(recorded_cell), str(black), "-o", str(tmp_path / "out"), "--pseudo-labels", "0"]) == 0
    assert capsys.readouterr().err.count("training needs `absent_classes: allow`") == 2


def test_too_high_a_threshold_is_an_error_that_names_the_highest_probability(recorded_cell, image, tmp_path, capsys):
    arguments = ["predict", str(recorded_cell), str(image), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--pseudo-labels", "1"]) == 2
    assert "the highest is 0." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--layer", "x"], "--layer is for --explain"),
        (["--seed", "0"], "--seed is for --method M"),
        (["--truth", "x"], "--truth is for --pseudo-labels"),
        (["--explain", "--pseudo-labels", "0.5"], "--explain goes with label maps"),
        (["--pseudo-labels", "1.5"], "a probability from 0 to 1"),
    ],
)
def test_options_that_do_not_fit_together_are_errors(recorded_cell, image, tmp_path, capsys, given, message):
    assert main(["predict", str(recorded_cell), str(image), "-o", str(tmp_path / "out"), *given]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
