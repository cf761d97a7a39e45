from __future__ import annotations

import argparse
import hashlib

import pytest
import torch
from safetensors.torch import save_file

from segbench import WeightsError
from segbench.weights import file_provenance, misfit, read_weights

STATE = {"stem.weight": torch.arange(6.0).view(2, 3)}


OPTIMIZER = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}


@pytest.mark.parametrize(
    "within",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model_state_dict": state, "optimizer_state_dict": OPTIMIZER, "epoch": 3, "loss": 0.5},
        lambda state: {"model": "resnet18", "model_state": state},
        lambda state: {"epoch": 3, "my_network": state, "optimizer": OPTIMIZER},
        lambda state: {"generator": state, "discriminator": {"x": torch.zeros(1)}},
        lambda state: {"model": {"x": torch.zeros(1)}, "model_ema": state},
        lambda state: {"model": {"net": {f"module.{name}": value for name, value in state.items()}}},
        lambda state: {"state_dict": {f"_orig_mod.{name}": value for name, value in state.items()}},
        lambda state: {"args": argparse.Namespace(lr=0.1), "weights": state},
    ],
)
def test_a_file_of_torch_gives_its_tensors(tmp_path, within):
    torch.save(within(STATE), tmp_path / "net.pth")
    (value,) = read_weights(tmp_path / "net.pth", "weights").values()
    assert value.equal(STATE["stem.weight"])


def test_a_safetensors_file_gives_its_tensors(tmp_path):
    save_file(STATE, tmp_path / "net.safetensors")
    assert read_weights(tmp_path / "net.safetensors", "weights")["stem.weight"].equal(STATE["stem.weight"])


def test_a_missing_file_is_an_error_that_names_the_option(tmp_path):
    with pytest.raises(WeightsError, match=rf"^backbone: there is no file {tmp_path}/net.pth; give none, imagenet, or"):
        read_weights(tmp_path / "net.pth", "backbone")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"epoch": 3, "history": [0.1]}, r"epoch \(int\), history \(list\)"),
        ({"a": STATE, "b": STATE}, r"a \(dict\), b \(dict\)"),
        ({"optimizer": OPTIMIZER, "state_dict": {}}, r"optimizer \(dict\), state_dict \(dict\)"),
        ({str(number): number for number in range(7)}, r"0 \(int\), .*4 \(int\) and 2 more"),
        ([torch.zeros(1)], "a list"),
        (torch.zeros(1), "a Tensor"),
        ({}, "nothing"),
    ],
)
def test_what_holds_no_tensors_is_refused_with_what_it_holds(tmp_path, content, found):
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(
        WeightsError, match=rf"^weights: .*net\.pth does not hold named tensors .*it holds {found}; save"
    ):
        read_weights(tmp_path / "net.pth", "weights")


def test_equal_names_and_shapes_fit_whatever_counts_batches():
    norm = torch.nn.BatchNorm2d(2).state_dict()
    old = {name: value for name, value in norm.items() if not name.endswith("num_batches_tracked")}
    assert misfit(old, norm) == misfit(norm, old) == ""


def test_a_long_list_is_cut():
    given = {str(number): torch.zeros(1) for number in range(7)}
    assert misfit(given, {}) == "unexpected: 0, 1, 2, 3, 4 and 2 more"


def test_a_file_is_identified_by_its_name_and_its_content(tmp_path):
    (tmp_path / "net.pth").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert file_provenance(tmp_path / "net.pth") == {"weights": "net.pth", "sha256": digest}
