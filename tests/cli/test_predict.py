from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segbench.cli import main


@pytest.fixture
def image(tmp_path):
    """A photograph, more or less."""
    path = tmp_path / "my photo.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path)
    return path


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


def test_an_unreadable_image_is_an_error(recorded_cell, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(b"nothing")
    assert main(["predict", str(recorded_cell), str(tmp_path / "a.png"), "-o", str(tmp_path / "out")]) == 2
    assert "a.png: cannot be read as an image" in capsys.readouterr().err


def test_the_output_folder_has_to_be_given(recorded_cell, image, capsys):
    assert main(["predict", str(recorded_cell), str(image)]) == 2
    assert "--output" in capsys.readouterr().err
