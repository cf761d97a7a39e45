from __future__ import annotations

import pytest
import torch

import segbench


def test_a_recorded_network_takes_images_and_gives_labels(recorded_cell):
    model = segbench.load_model(recorded_cell.stem[:8], results=recorded_cell.parent.parent)
    assert isinstance(model, torch.nn.Module)
    labels = model(torch.zeros(2, 3, 21, 30, dtype=torch.uint8))
    assert labels.shape == (2, 21, 30)
    assert labels.max() < len(model.classes)


def test_the_process_keeps_its_settings(recorded_cell, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    threads = torch.get_num_threads()
    segbench.load_model(recorded_cell.stem[:8], results=recorded_cell.parent.parent)
    assert torch.backends.cudnn.allow_tf32
    assert torch.get_num_threads() == threads


def test_an_unknown_key_is_an_error(tmp_path):
    with pytest.raises(segbench.SegbenchError, match=r"no key in .* begins with 'ffff'"):
        segbench.load_model("ffff", results=tmp_path)
