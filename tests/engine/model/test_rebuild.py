"""Networks of the plugins that read pretrained weights, built where these are gone."""

from __future__ import annotations

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from segbench.engine.model.rebuild import check_numbers, rebuild
from segbench.errors import OptionError, RecordError, WeightsError
from segbench.registry import load_registry
from segbench.registry.options import build
from segbench.weights import misfit, read_weights

CPU = torch.device("cpu")
VOCABULARY = {"in_channels": 3, "num_classes": 2, "size": (64, 64)}


def timms():
    return timm.create_model("test_resnet")


# The component, its options, the one that names its weights, the classification network of these, and a tag of the hub.
PRETRAINED = [
    ("smp/unet", {"encoder": "resnet18"}, "encoder_weights", torchvision.models.resnet18, None),
    ("smp/unet", {"encoder": "tu-test_resnet", "encoder_depth": 3}, "encoder_weights", timms, "imagenet"),
    ("timm/fpn", {"backbone": "test_resnet", "width": 8}, "weights", timms, "imagenet"),
    ("tv/lraspp", {}, "backbone_weights", torchvision.models.mobilenet_v3_large, "imagenet"),
]


@pytest.mark.parametrize(("name", "options", "option", "classifier", "tag"), PRETRAINED)
def test_a_network_is_built_as_it_was_where_its_pretrained_weights_are_gone(
    tmp_path, monkeypatch, name, options, option, classifier, tag
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_, **__: pytest.fail("it was fetched"))
    offer, path = load_registry().find("generator", name), tmp_path / "weights.safetensors"
    save_file(classifier().state_dict(), path)
    trained = build(offer, VOCABULARY, {**options, option: str(path)}).eval()
    path.unlink()
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    for weights in filter(None, (str(path), tag)):
        given = {**options, option: weights}
        again = rebuild(
            lambda device, given=given: build(offer, VOCABULARY, given),
            trained.state_dict(),
            offer.component.requires,
            CPU,
        )
        assert torch.equal(again.eval()(images), trained(images))
    with pytest.raises(WeightsError, match="there is no file"):
        build(offer, VOCABULARY, {**options, option: str(path)})


def test_afterwards_files_are_read_and_compared_again(tmp_path):
    layer = torch.nn.Linear(2, 1)
    rebuild(lambda device: torch.nn.Linear(2, 1), layer.state_dict(), ["timm", "torchvision", "numpy"], CPU)
    assert misfit({}, {"a": torch.zeros(1)}) == "missing: a"
    with pytest.raises(WeightsError, match="there is no file"):
        read_weights(tmp_path / "gone.pth", "weights")
    torch.nn.Linear(2, 1).load_state_dict(layer.state_dict())


def test_a_network_that_no_memory_holds_is_refused_unbuilt():
    weights = torch.nn.Linear(2, 1).state_dict()
    with pytest.raises(
        RecordError, match=r"does not fit .*: of another shape: weight \(1, 2\) instead of \(\d+, \d+\)"
    ):
        rebuild(lambda device: torch.nn.Linear(10**7, 10**7), weights, [], CPU)


def test_a_network_that_cannot_be_built_is_an_error_in_one_line():
    with pytest.raises(RecordError, match="cannot be built: RuntimeError: Trying to create tensor with negative"):
        rebuild(lambda device: torch.nn.Linear(-2, 1), {}, [], CPU)

    def refuse(device):
        raise OptionError("no such width")

    with pytest.raises(OptionError, match="no such width"):
        rebuild(refuse, {}, [], CPU)


def test_no_option_is_larger_than_the_number_of_weights():
    weights = {"a": torch.zeros(70_000)}
    check_numbers({"widths": [1, 70_000], "name": "x", "rate": 1e9, "flag": True}, weights)
    with pytest.raises(RecordError, match="an option of 70001, which is more than it has weights"):
        check_numbers({"deep": [{"width": 70_001}]}, weights)
