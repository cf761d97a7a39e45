from __future__ import annotations

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from segbench import WeightsError
from segbench.weights import file_provenance, misfit, read_weights

STATE = {"stem.weight": torch.arange(6.0).view(2, 3)}


@pytest.mark.parametrize("within", [lambda state: state, lambda state: {"state_dict": state, "epoch": 3}])
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


def test_what_holds_no_tensors_is_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"^weights: .*net\.pth does not hold named tensors"):
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
