"""What holds for every way from a file of pretrained weights into a first-party generator."""

from __future__ import annotations

import os
import pickle
from functools import partial

import pytest
import torch

from segbench import WeightsError
from segbench.registry import load_registry

REGISTRY = load_registry()
LOADERS = {
    "classic": ("classic/segnet", "backbone_weights", {}),
    "smp, own encoder": ("smp/unet", "encoder_weights", {}),
    "smp, timm's encoder": ("smp/unet", "encoder_weights", {"encoder": "tu-test_resnet"}),
    "timm": ("timm/fpn", "weights", {"backbone": "test_resnet"}),
    "tv": ("tv/lraspp", "backbone_weights", {}),
}


@pytest.fixture(params=LOADERS)
def load(request):
    """Builds a network, without values of its own, from the weights of a file."""
    name, option, options = LOADERS[request.param]
    build = partial(REGISTRY.find("generator", name).component.build, 3, 2, **options)

    def loaded(path):
        with torch.device("meta"):
            return build(**{option: str(path)})

    return loaded


def test_a_missing_file_is_an_error_that_names_the_whole_path(load, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=rf"there is no file {tmp_path}/weights/none\.pth; give none, imagenet, or"):
        load("weights/none.pth")


def test_a_file_that_holds_code_is_refused_and_not_run(load, tmp_path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps({"conv1.weight": Payload()}))
    with pytest.raises(WeightsError, match=r"weights\.pth cannot be read .*weights_only=True"):
        load(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [{}, {"epoch": 3}])
def test_a_file_without_named_tensors_is_an_error(load, tmp_path, content):
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(WeightsError, match="does not hold named tensors"):
        load(path)


def test_a_truncated_file_is_an_error(load, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"conv1.weight": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"weights\.pth cannot be read"):
        load(path)
