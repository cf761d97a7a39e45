from __future__ import annotations

import os

import pytest
import torch

from segbench.engine.model.checkpoint import (
    load_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_tensors,
    set_aside,
    with_prefix,
    without_prefix,
)
from segbench.errors import RecordError


def convolution(channels_last: bool) -> torch.nn.Conv2d:
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(3, 8, 3)
    return layer.to(memory_format=torch.channels_last) if channels_last else layer


def step(layer: torch.nn.Conv2d, optimizer: torch.optim.Optimizer, seed: int) -> None:
    torch.manual_seed(seed)
    optimizer.zero_grad()
    layer(torch.randn(2, 3, 8, 8)).square().mean().backward()
    optimizer.step()


def test_tensors_and_state_come_back(tmp_path):
    path = tmp_path / "a.safetensors"
    tensors = {"x": torch.arange(6.0).reshape(2, 3).t(), "count": torch.tensor(3)}
    save_tensors(path, tensors, {"step": 7, "best": None})
    loaded, state = load_tensors(path)
    assert state == {"step": 7, "best": None}
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)


def test_tensors_that_share_storage_are_stored_whole(tmp_path):
    weight = torch.arange(4.0)
    save_tensors(tmp_path / "a", {"tied": weight, "also tied": weight}, {})
    assert torch.equal(load_tensors(tmp_path / "a")[0]["also tied"], weight)


def test_a_truncated_file_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"x": torch.zeros(100)}, {})
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(RecordError, match=r"a\.safetensors is not a readable checkpoint"):
        load_tensors(path)


def test_a_file_that_is_set_aside_keeps_its_content(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"broken")
    assert set_aside(path).read_bytes() == b"broken"
    assert not path.exists()


def test_a_missing_folder_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(RecordError, match="cannot write"):
        save_tensors(tmp_path / "absent" / "a", {"x": torch.zeros(1)}, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("channels_last", [False, True])
def test_an_optimiser_restored_from_disk_steps_bit_equal(tmp_path, channels_last):
    layer = convolution(channels_last)
    optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
    step(layer, optimizer, seed=1)
    save_tensors(tmp_path / "a", {**optimizer_tensors(optimizer), **with_prefix("w", layer.state_dict())}, {})

    other = convolution(channels_last)
    restored = torch.optim.AdamW(other.parameters(), fused=True)
    tensors, _ = load_tensors(tmp_path / "a")
    other.load_state_dict(without_prefix("w", tensors))
    restore_optimizer(restored, {name: tensor for name, tensor in tensors.items() if not name.startswith("w/")})
    moment = restored.state[other.weight]["exp_avg"]
    assert moment.stride() == other.weight.stride()

    for seed in (2, 3):
        step(layer, optimizer, seed)
        step(other, restored, seed)
    assert torch.equal(layer.weight, other.weight)


def test_prefixes_keep_names_apart():
    tensors = {**with_prefix("a", {"x": torch.zeros(1)}), **with_prefix("b", {"x": torch.ones(1)})}
    assert without_prefix("b", tensors)["x"].item() == 1.0


def test_a_pipe_is_no_checkpoint_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.safetensors")
    with pytest.raises(RecordError, match=r"is not a readable checkpoint: .*it is a pipe, not a file"):
        load_tensors(tmp_path / "a.safetensors")
