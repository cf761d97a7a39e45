from __future__ import annotations

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch.nn import functional

from segbench import WeightsError
from segbench_tv import segbench_generators

BUILD = {component.name: component.build for component in segbench_generators()}
SEGMENTATION = torchvision.models.segmentation

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def official(name):
    return getattr(SEGMENTATION, name)(weights=None, weights_backbone=None, num_classes=4)


def same_weights(build, reference):
    with torch.device("meta"):  # its own first weights are not wanted
        network = build()
    network.load_state_dict(reference.state_dict(), assign=True)
    return network.eval(), reference.eval()


@pytest.fixture(scope="module")
def classifier():
    """torchvision's MobileNet with weights and statistics of its own."""
    torch.manual_seed(0)
    network = torchvision.models.mobilenet_v3_large(weights=None)
    network.train()(torch.rand(4, 3, 64, 64))
    return network.eval()


@pytest.fixture
def weights(classifier, tmp_path):
    torch.save(classifier.state_dict(), tmp_path / "mobilenet.pth")
    return tmp_path / "mobilenet.pth"


@pytest.mark.parametrize(
    ("component", "backbone"),
    [("deeplabv3", "mobilenet_v3_large"), ("lraspp", "mobilenet_v3_large"), ("fcn", "resnet50")],
)
def test_the_network_is_torchvisions_up_to_its_last_resize(component, backbone):
    network, reference = same_weights(
        lambda: BUILD[component](3, 4, backbone=backbone), official(f"{component}_{backbone}")
    )
    images = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        logits = functional.interpolate(network(images), size=(64, 96), mode="bilinear", align_corners=False)
        torch.testing.assert_close(logits, reference(images)["out"])


@pytest.mark.parametrize(
    ("component", "backbone", "published"),
    [
        ("fcn", "resnet50", SEGMENTATION.FCN_ResNet50_Weights.DEFAULT),
        ("fcn", "resnet101", SEGMENTATION.FCN_ResNet101_Weights.DEFAULT),
        ("deeplabv3", "resnet50", SEGMENTATION.DeepLabV3_ResNet50_Weights.DEFAULT),
        ("deeplabv3", "resnet101", SEGMENTATION.DeepLabV3_ResNet101_Weights.DEFAULT),
        ("deeplabv3", "mobilenet_v3_large", SEGMENTATION.DeepLabV3_MobileNet_V3_Large_Weights.DEFAULT),
        ("lraspp", "mobilenet_v3_large", SEGMENTATION.LRASPP_MobileNet_V3_Large_Weights.DEFAULT),
    ],
)
def test_every_backbone_has_the_published_parameters(parameters, component, backbone, published):
    head = {} if component == "lraspp" else {"aux_loss": True}
    with torch.device("meta"):
        network = BUILD[component](3, 21, backbone=backbone, **head)
    assert parameters(network) == published.meta["num_params"]


def test_the_auxiliary_head_runs_in_training_only():
    network = BUILD["deeplabv3"](3, 4, backbone="mobilenet_v3_large", aux_loss=True)
    calls = []
    network.aux_classifier.register_forward_hook(lambda *_: calls.append(1))
    images = torch.rand(2, 3, 64, 64)
    logits, auxiliary = network.train()(images)
    assert logits.shape[:2] == auxiliary.shape[:2] == (2, 4)
    assert isinstance(network.eval()(images), torch.Tensor)
    assert len(calls) == 1


def test_without_auxiliary_head_training_returns_the_logits_alone():
    network = BUILD["deeplabv3"](3, 4, backbone="mobilenet_v3_large").train()
    assert isinstance(network(torch.rand(2, 3, 64, 64)), torch.Tensor)


def test_the_auxiliary_loss_is_two_fifths_of_the_cross_entropy():
    network = BUILD["deeplabv3"](3, 4, backbone="mobilenet_v3_large", aux_loss=True)
    logits, target = torch.randn(2, 4, 3, 5), torch.randint(4, (2, 6, 10))
    target[0, :2] = -100
    resized = functional.interpolate(logits, size=(6, 10), mode="bilinear", align_corners=False)
    expected = 0.4 * functional.cross_entropy(resized, target)
    torch.testing.assert_close(network.auxiliary_loss((logits,), target), expected)


def test_the_auxiliary_loss_of_ignored_pixels_alone_is_0():
    network = BUILD["deeplabv3"](3, 4, backbone="mobilenet_v3_large", aux_loss=True)
    logits = torch.randn(1, 4, 2, 2, requires_grad=True)
    loss = network.auxiliary_loss((logits,), torch.full((1, 2, 2), -100))
    loss.backward()
    assert loss == 0
    assert logits.grad.abs().sum() == 0


@pytest.mark.parametrize("component", ["deeplabv3", "lraspp"])
def test_weights_from_a_file_give_the_classifiers_features(classifier, weights, component):
    network = BUILD[component](3, 4, backbone="mobilenet_v3_large", backbone_weights=str(weights)).eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        features = network.backbone(network.normalise(images * 2 - 1))
        expected = classifier.features[:5]((images - MEAN) / STD)
    if component == "lraspp":
        # The features at stride 8, behind which dilation begins.
        torch.testing.assert_close(features["low"], expected, rtol=1e-4, atol=1e-5)
    for name, tensor in network.backbone.state_dict().items():
        assert tensor.equal(classifier.state_dict()[f"features.{name}"])


def test_a_resnet_is_loaded_from_safetensors(tmp_path):
    torch.manual_seed(0)
    reference = torchvision.models.resnet50(weights=None)
    save_file(reference.state_dict(), tmp_path / "resnet50.safetensors")
    network = BUILD["fcn"](3, 4, backbone_weights=str(tmp_path / "resnet50.safetensors"))
    assert network.backbone.layer4[2].conv3.weight.equal(reference.layer4[2].conv3.weight)


def test_without_weights_images_are_not_converted():
    images = torch.rand(1, 3, 8, 8)
    assert BUILD["lraspp"](3, 4).normalise(images) is images


def test_a_grey_image_gives_the_features_of_the_same_colour_image(weights):
    colour, grey = (BUILD["lraspp"](channels, 4, backbone_weights=str(weights)).eval() for channels in (3, 1))
    images = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        one, other = grey.backbone(images), colour.backbone(images.expand(-1, 3, -1, -1))
    torch.testing.assert_close(one["high"], other["high"], rtol=1e-4, atol=1e-5)


def test_more_channels_repeat_the_colours_and_keep_their_sum(classifier, weights):
    network = BUILD["lraspp"](6, 4, backbone_weights=str(weights))
    stem = classifier.features[0][0].weight
    torch.testing.assert_close(network.backbone["0"][0].weight, stem.repeat(1, 2, 1, 1) / 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("features.3.block.0.0.weight"), "missing: 3.block.0.0.weight"),
        (lambda state: state.update(more=torch.zeros(1)), "unexpected: more"),
        (lambda state: state.update({"features.0.0.weight": torch.zeros(16, 4, 3, 3)}), "of another shape: 0.0.weight"),
    ],
)
def test_weights_that_do_not_fit_are_named(weights, change, message):
    state = torch.load(weights, weights_only=True)
    change(state)
    torch.save(state, weights)
    expected = rf"mobilenet.pth does not fit mobilenet_v3_large[;:][\s\S]*{message}"
    with pytest.raises(WeightsError, match=expected), torch.device("meta"):
        BUILD["lraspp"](3, 4, backbone_weights=str(weights))


def test_a_server_out_of_reach_is_an_error_that_offers_a_path(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # refuses every connection
    with pytest.raises(
        WeightsError, match=r"imagenet weights of mobilenet_v3_large could not be downloaded .* path of"
    ):
        BUILD["lraspp"](3, 4, backbone_weights="imagenet")
