from __future__ import annotations

import hashlib

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from segbench.config import protocol
from segbench.engine.generation.features import Features, network_features
from segbench.engine.generation.metrics import PixelStatistics
from segbench.errors import SpecError, WeightsError

CPU = torch.device("cpu")


def test_pixel_statistics_go_by_their_own_name():
    features = Features.of(protocol.Features(), CPU)
    assert features.name == Features.of_pixels().name == "pixel statistics"
    images = torch.rand(2, 3, 8, 8) * 2 - 1
    assert features(images).equal(PixelStatistics()(images))


def test_the_features_of_a_network_go_by_its_name(tmp_path):
    save_file(timm.create_model("resnet10t").state_dict(), tmp_path / "weights.safetensors")
    setting = protocol.Features(use="resnet10t", weights=str(tmp_path / "weights.safetensors"))
    features = Features.of(setting, CPU)
    assert features.name.startswith("resnet10t (weights ")
    assert features(torch.zeros(2, 1, 16, 16)).shape == (2, 512)


def test_many_images_are_taken_a_few_at_a_time_and_half_precision_is_not_kept():
    sizes = []

    def extract(images):
        sizes.append(len(images))
        return images.mean((2, 3))

    images = torch.rand(70, 3, 2, 2).bfloat16()
    torch.testing.assert_close(Features("means", extract)(images), images.float().mean((2, 3)))
    assert sizes == [32, 32, 6]


SMALL = "resnet10t"


def write(folder, change=lambda state: None):
    """Write weights of a small network, and return their path and the network without its classifier."""
    torch.manual_seed(0)
    network = timm.create_model(SMALL)
    state = network.state_dict()
    change(state)
    save_file(state, folder / "weights.safetensors")
    network.reset_classifier(0)
    return str(folder / "weights.safetensors"), network.eval()


def test_imagenet_weights_give_timms_own_pooled_features(shared_weights):
    path = shared_weights / "tf_efficientnet_lite0.safetensors"
    reference = timm.create_model("tf_efficientnet_lite0")
    reference.load_state_dict(load_file(path))
    name, network = network_features("tf_efficientnet_lite0", str(path))
    # This network was trained on images of mean 1/2 and standard deviation 1/2, which is [-1, 1].
    images = torch.rand(2, 3, 224, 224) * 2 - 1
    with torch.inference_mode():
        features = network(images)
        torch.testing.assert_close(features, reference.eval().forward_head(reference.forward_features(images), True))
    assert features.shape == (2, 1280)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert name == f"tf_efficientnet_lite0 (weights {digest[:8]}) at 224x224"


def test_images_are_resized_and_brought_to_the_networks_own_statistics(tmp_path):
    path, reference = write(tmp_path)
    _, network = network_features(SMALL, path)
    settings = reference.pretrained_cfg
    colours = [torch.full((1, 1, 40, 24), value) for value in (-0.5, 0.0, 0.8)]
    normalised = [
        ((colour[0, 0, 0, 0] + 1) / 2 - mean) / std
        for colour, mean, std in zip(colours, settings["mean"], settings["std"], strict=True)
    ]
    expected = torch.stack(normalised).view(1, 3, 1, 1).expand(1, *settings["input_size"])
    with torch.inference_mode():
        torch.testing.assert_close(network(torch.cat(colours, 1)), reference(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("channels", "seen"), [(1, [0, 0, 0]), (2, [0, 1, 1]), (5, [0, 1, 2])])
def test_images_of_other_than_three_channels_are_seen_as_they_are_shown(tmp_path, channels, seen):
    _, network = network_features(SMALL, write(tmp_path)[0])
    images = torch.rand(1, channels, 32, 32) * 2 - 1
    with torch.inference_mode():
        assert network(images).equal(network(images[:, seen]))


def test_an_image_has_the_same_features_in_any_batch(tmp_path):
    _, network = network_features(SMALL, write(tmp_path)[0])
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(network(images)[1:2], network(images[1:2]))
    assert not any(weight.requires_grad for weight in network.parameters())


def test_a_file_may_hold_any_classifier_or_none(tmp_path):
    def remove(state):
        del state["fc.weight"], state["fc.bias"]

    _, network = network_features(SMALL, write(tmp_path, remove)[0])
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 512)


def test_an_unknown_model_is_an_error_that_names_near_ones():
    with pytest.raises(SpecError, match=r"no timm model 'resnet10'; give one .* nearest: .*resnet10t"):
        network_features("resnet10", "weights.pth")


def test_a_model_without_weights_is_an_error():
    with pytest.raises(
        WeightsError, match="resnet10t needs `weights`, the path of a file; pixel_statistics needs none"
    ):
        network_features(SMALL, None)


def test_a_missing_file_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=f"there is no file {tmp_path}/none.pth; give the weights of resnet10t"):
        network_features(SMALL, "none.pth")


def test_weights_of_another_network_are_an_error_that_names_the_first_keys(tmp_path):
    path, _ = write(tmp_path, lambda state: state.pop("layer1.0.conv1.weight"))
    with pytest.raises(WeightsError, match=r"does not hold the weights of resnet10t: .*layer1\.0\.conv1\.weight"):
        network_features(SMALL, path)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="cannot be read"):
        network_features(SMALL, str(tmp_path / "weights.safetensors"))
