from __future__ import annotations

import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from segbench.engine.model.checkpoint import (
    load_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_tensors,
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


def test_a_file_in_the_place_of_the_folder_is_an_error_and_leaves_nothing(tmp_path):
    (tmp_path / "cell").write_text("")
    with pytest.raises(RecordError, match="cannot write"):
        save_tensors(tmp_path / "cell" / "a", {"x": torch.zeros(1)}, {})
    assert list(tmp_path.iterdir()) == [tmp_path / "cell"]


def test_the_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "other").touch()
    save_tensors(tmp_path / "a", {"x": torch.zeros(1)}, {})
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_other_programs_read_every_type_of_tensor_aligned(tmp_path):
    types = [torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64]
    tensors = {f"{place}": torch.arange(3).to(dtype) for place, dtype in enumerate(types)} | {"none": torch.zeros(0, 2)}
    save_tensors(tmp_path / "a", tensors, {})
    found = load_file(tmp_path / "a")
    assert {name: tensor.dtype for name, tensor in found.items()} == {name: one.dtype for name, one in tensors.items()}
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    with pytest.raises(RecordError, match=r"cannot hold tensors of this type: x is torch\.complex128"):
        save_tensors(tmp_path / "b", {"x": torch.zeros(1, dtype=torch.complex128)}, {})


@pytest.mark.parametrize("seed", range(40))
def test_one_flipped_bit_anywhere_is_found(tmp_path, flip_bit, seed):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"x": torch.arange(50.0), "count": torch.tensor(3)}, {"step": 7})
    flip_bit(path, seed)
    with pytest.raises(RecordError, match=r"a\.safetensors is not a readable checkpoint"):
        load_tensors(path)


def test_a_file_without_a_checksum_as_older_versions_wrote_it_is_read(tmp_path):
    save_file({"x": torch.arange(3.0)}, tmp_path / "a", metadata={"state": '{"step": 7}'})
    tensors, state = load_tensors(tmp_path / "a")
    assert (tensors["x"].tolist(), state) == ([0.0, 1.0, 2.0], {"step": 7})


@pytest.mark.parametrize("state", ["[" * 10**6, '{"step": ' + "1" * 10**5 + "}", "{", ""])
def test_a_state_that_no_reader_of_json_takes_is_an_error_that_names_the_file(tmp_path, state):
    save_file({"x": torch.zeros(1)}, tmp_path / "a", metadata={"state": state})
    with pytest.raises(RecordError, match="a is not a readable checkpoint"):
        load_tensors(tmp_path / "a")


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


TENSOR = '{"__metadata__": {"state": "{}"}, "x": {"dtype": "F32", "shape": %s, "data_offsets": [0, %d]}}'


@pytest.mark.parametrize(
    "header",
    [
        *('{"x": ' * 10**5, "[" * 10**6),
        *(TENSOR % (shape, end) for shape, end in [("[0, 9223372036854775807, 4]", 0), ("[1000000000000]", 4)]),
    ],
)
def test_a_header_that_no_reader_takes_is_an_error_that_names_the_file(tmp_path, header):
    (tmp_path / "a").write_bytes(len(header).to_bytes(8, "little") + header.encode())
    with pytest.raises(RecordError, match="a is not a readable checkpoint"):
        load_tensors(tmp_path / "a")
