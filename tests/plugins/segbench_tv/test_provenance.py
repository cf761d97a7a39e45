from __future__ import annotations

import pytest
import torch
import torchvision

from segbench_tv import segbench_generators

[BUILD] = [component.build for component in segbench_generators() if component.name == "lraspp"]
TAG = torchvision.models.MobileNet_V3_Large_Weights.IMAGENET1K_V1


@pytest.fixture
def cached(monkeypatch, tmp_path):
    """The weights where torch keeps what it has fetched."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / TAG.url.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    torch.save(torchvision.models.mobilenet_v3_large(weights=None).state_dict(), path)
    return path


def test_a_file_of_weights_is_told(cached, digest):
    network = BUILD(3, 2, backbone_weights=str(cached))
    assert network.provenance == {"weights": cached.name, "sha256": digest(cached)}


def test_torchvisions_own_weights_are_told(cached, digest):
    network = BUILD(3, 2, backbone_weights="imagenet")
    assert network.provenance == {"weights": "torchvision/mobilenet_v3_large.IMAGENET1K_V1", "sha256": digest(cached)}


def test_without_weights_nothing_is_told():
    assert BUILD(3, 2).provenance == {}
