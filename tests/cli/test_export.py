from __future__ import annotations

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
