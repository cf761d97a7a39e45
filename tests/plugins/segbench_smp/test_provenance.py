from __future__ import annotations

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import save_file

from segbench_smp import segbench_generators

[BUILD] = [component.build for component in segbench_generators() if component.name == "unet"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(hub_cache):
    """Put a file into the hub's cache, as it lies there once it is fetched."""

    def place(repository, commit, state):
        folder = hub_cache / f"models--{repository.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text(commit)
        (folder / "snapshots" / commit).mkdir(parents=True)
        (folder / "snapshots" / commit / "config.json").write_text('{"mean": [0.5], "std": [0.5]}')
        save_file(state, folder / "snapshots" / commit / "model.safetensors")
        return folder / "snapshots" / commit / "model.safetensors"

    return place


def test_a_file_of_weights_is_told(tmp_path, digest):
    path = tmp_path / "resnet18.safetensors"
    save_file(timm.create_model("resnet18").state_dict(), path)
    network = BUILD(3, 2, encoder="tu-resnet18", encoder_weights=str(path), encoder_depth=3)
    assert network.provenance == {"weights": "resnet18.safetensors", "sha256": digest(path)}


def test_without_weights_nothing_is_told():
    with torch.device("meta"):
        assert BUILD(3, 2, encoder_depth=3).provenance == {}


def test_timms_weights_of_the_hub_are_told(cache, digest):
    path = cache("timm/test_resnet.r160_in1k", COMMIT, timm.create_model("test_resnet").state_dict())
    network = BUILD(3, 2, encoder="tu-test_resnet", encoder_weights="imagenet", encoder_depth=3)
    assert network.provenance == {"weights": "timm/test_resnet.r160_in1k", "commit": COMMIT, "sha256": digest(path)}


def test_smps_own_weights_of_the_hub_are_told(cache, digest):
    settings = smp.encoders.encoders["mobilenet_v2"]["pretrained_settings"]["imagenet"]
    state = smp.encoders.get_encoder("mobilenet_v2", weights=None).state_dict()
    path = cache(settings["repo_id"], settings["revision"], state)
    network = BUILD(3, 2, encoder="mobilenet_v2", encoder_weights="imagenet", encoder_depth=3)
    assert network.provenance == {
        "weights": settings["repo_id"],
        "commit": settings["revision"],
        "sha256": digest(path),
    }
