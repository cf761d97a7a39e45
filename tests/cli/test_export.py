from __future__ import annotations

import json

import pytest
import torch

from segbench.cli import main


def test_a_cell_becomes_a_program_of_torch_and_its_check_is_told(recorded_cell, tmp_path, capsys):
    file = tmp_path / "m.pt2"
    results = str(recorded_cell.parent.parent)
    assert main(["export", recorded_cell.stem[:6], "-o", str(file), "--results", results]) == 0
    assert "100.000 % of labels are equal, and mIoU is " in capsys.readouterr().err
    labels = torch.export.load(file).module()(torch.zeros(1, 3, 40, 33, dtype=torch.uint8))
    assert labels.shape == (1, 40, 33)


def test_a_cell_is_named_by_its_method_and_seed(recorded_cell, tmp_path, capsys):
    file, results = tmp_path / "m.safetensors", recorded_cell.parent.parent
    method = json.loads(recorded_cell.read_text())["method"]
    arguments = ["export", "-o", str(file), "--results", str(results), "--method", method]
    assert main([*arguments, "--seed", "0"]) == 0
    assert file.is_file()
    assert main([*arguments, "--seed", "5"]) == 2
    assert f"'{method}' with seed 5 means none of these cells" in capsys.readouterr().err


@pytest.mark.parametrize("given", [[], ["unet@latest", "--method", "unet"]])
def test_a_cell_is_named_in_one_way(tmp_path, capsys, given):
    assert main(["export", "-o", str(tmp_path / "m.pt"), *given]) == 2
    assert "give a cell, or else --method M and its --seed N" in capsys.readouterr().err


def test_another_ending_is_refused_with_those_there_are(recorded_cell, tmp_path, capsys):
    assert main(["export", str(recorded_cell), "-o", str(tmp_path / "m.h5")]) == 2
    assert "must end in .pt, .pt2, .onnx or .safetensors" in capsys.readouterr().err


def test_a_size_that_no_image_has_is_refused_and_nothing_is_written(recorded_cell, tmp_path, capsys):
    assert main(["export", str(recorded_cell), "-o", str(tmp_path / "m.pt"), "--size", "7x9"]) == 2
    assert "no image of split test is of size 7x9" in capsys.readouterr().err
    assert not list(tmp_path.glob("m*"))


@pytest.mark.parametrize("size", ["9", "0x4", "axb"])
def test_a_size_is_height_and_width(recorded_cell, tmp_path, capsys, size):
    assert main(["export", str(recorded_cell), "-o", str(tmp_path / "m.pt"), "--size", size]) == 2
    assert f"--size {size}: write height and width" in capsys.readouterr().err
