import pytest
import torch
import torchvision
from safetensors.torch import save_file

from segbench import WeightsError
from segbench_classic.vgg import Trunk, build_trunk, fully_connected

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def trunk_of(path, in_channels=3):
    return build_trunk(in_channels, str(path), batch_norm=False)


@pytest.fixture(scope="module")
def features():
    """torchvision's convolutions with weights of their own."""
    return build_trunk(3, "none", batch_norm=False).features


@pytest.fixture(scope="module")
def weights(features, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "vgg16.safetensors"
    save_file({f"features.{name}": value for name, value in features.state_dict().items()}, path)
    return path


@pytest.mark.parametrize(("batch_norm", "name"), [(False, "vgg16"), (True, "vgg16_bn")])
def test_the_trunk_is_torchvisions(batch_norm, name):
    with torch.device("meta"):
        expected = getattr(torchvision.models, name)().features
        trunk = build_trunk(3, "none", batch_norm=batch_norm)
    assert str(trunk.features) == str(expected)


def test_weights_from_a_file_come_with_their_normalisation(features, weights, digest):
    trunk = trunk_of(weights)
    assert all(value.equal(trunk.features.state_dict()[name]) for name, value in features.state_dict().items())
    images = torch.rand(1, 3, 4, 4)
    torch.testing.assert_close(trunk.normalise(images * 2 - 1), (images - MEAN) / STD)
    assert trunk.provenance == {"weights": weights.name, "sha256": digest(weights)}


def test_a_grey_image_gives_the_features_of_the_same_colour_image(weights):
    colour, grey = (trunk_of(weights, channels) for channels in (3, 1))
    images = torch.rand(1, 1, 8, 8)
    with torch.inference_mode():
        one = grey.features[:2](images)
        other = colour.features[:2](images.expand(-1, 3, -1, -1))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_more_channels_repeat_the_colours_and_keep_their_sum(features, weights):
    first = trunk_of(weights, 6).features[0]
    torch.testing.assert_close(first.weight, features[0].weight.repeat(1, 2, 1, 1) / 2)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"features.0.weight": torch.zeros(1)}, r"of another shape: 0.weight \(1,\) instead of \(64, 3, 3, 3\)"),
        ({"features.99.weight": torch.zeros(1)}, "missing: 0.weight, .* and 21 more; unexpected: 99.weight"),
        ({"stem": torch.zeros(1)}, "unexpected: stem"),
    ],
)
def test_weights_that_do_not_fit_are_named(tmp_path, state, message):
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=rf"other.pth does not fit vgg16[;:][\s\S]*{message}"):
        trunk_of(tmp_path / "other.pth")


def test_a_server_out_of_reach_is_an_error_that_offers_a_path(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # refuses every connection
    with pytest.raises(WeightsError, match=r"imagenet weights of vgg16_bn could not be downloaded .* path of"):
        build_trunk(3, "imagenet", batch_norm=True)


def test_fully_connected_layers_become_convolutions_of_the_same_values():
    torch.manual_seed(0)
    layers = torch.nn.Linear(512 * 49, 6), torch.nn.Linear(6, 6)
    state = {
        f"classifier.{place}.{name}": value.detach()
        for place, layer in zip((0, 3), layers, strict=True)
        for name, value in layer.named_parameters()
    }
    (weight6, bias6), (weight7, bias7) = fully_connected(
        Trunk(torch.nn.Sequential(), torch.nn.Identity(), state, {}), 6
    )
    pooled = torch.randn(1, 512, 7, 7)
    convolved = torch.conv2d(torch.conv2d(pooled, weight6, bias6), weight7, bias7)
    torch.testing.assert_close(convolved.flatten(1), layers[1](layers[0](pooled.flatten(1))))


@pytest.mark.parametrize("found", ["missing", "of shape (6, 4)"])
def test_fully_connected_layers_that_do_not_fit_are_named(found):
    state = (
        {} if found == "missing" else {"classifier.0.weight": torch.zeros(6, 4), "classifier.0.bias": torch.zeros(6)}
    )
    trunk = Trunk(torch.nn.Sequential(), torch.nn.Identity(), state, {})
    with pytest.raises(WeightsError) as raised:
        fully_connected(trunk, 6)
    assert f"classifier.0, which should be (6, 25088), is {found}" in str(raised.value)
