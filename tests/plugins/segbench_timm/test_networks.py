from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from segbench import SegbenchError
from segbench.engine.model.network import Segmenter
from segbench_timm import segbench_generators

BUILD = {component.name: component.build for component in segbench_generators()}
LITE = "tf_efficientnet_lite0"

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


@pytest.fixture(scope="module")
def classifier():
    """timm's ResNet-10 with weights and statistics of its own."""
    torch.manual_seed(0)
    network = timm.create_model("resnet10t")
    network.train()(torch.rand(4, 3, 32, 32))
    return network.eval()


@pytest.fixture
def weights(classifier, tmp_path):
    save_file(classifier.state_dict(), tmp_path / "resnet10t.safetensors")
    return tmp_path / "resnet10t.safetensors"


def build(name="fpn", channels=3, classes=5, **options):
    return BUILD[name](channels, classes, **{"backbone": "test_resnet", "width": 8, **options})


@pytest.mark.parametrize("name", BUILD)
def test_one_small_image_can_be_trained_on(name):
    assert Segmenter(build(name, backbone="test_vit"), 5)(torch.rand(1, 3, 7, 9)).shape == (1, 5, 7, 9)


def test_the_finest_map_that_is_decoded_has_stride_4():
    assert build()(torch.rand(2, 3, 64, 96)).shape == (2, 5, 16, 24)
    assert len(build().decoder.laterals) == 4


def test_the_maps_that_are_decoded_can_be_chosen():
    network = build(out_indices=[1, 3])
    assert [lateral.in_channels for lateral in network.decoder.laterals] == [32, 192]
    assert build(out_indices=[0]).eval()(torch.rand(1, 3, 64, 64)).shape == (1, 5, 32, 32)


def test_the_pathway_is_the_sum_of_projected_and_resized_maps():
    decoder = build(out_indices=[1, 2]).decoder.eval()
    fine, coarse = torch.rand(1, 32, 8, 8), torch.rand(1, 48, 4, 4)
    with torch.inference_mode():
        enlarged = functional.interpolate(decoder.laterals[1](coarse), scale_factor=2, mode="bilinear")
        expected = decoder.classifier(decoder.smooth(decoder.laterals[0](fine) + enlarged))
        torch.testing.assert_close(decoder([fine, coarse]), expected)


def test_maps_whose_channels_come_last_are_turned():
    options = {"backbone": "swin_tiny_patch4_window7_224", "out_indices": [0]}
    with torch.device("meta"):
        network = build(**options)
    assert network.channels_come_last
    assert network.decoder.laterals[0].in_channels == 96


def test_pretrained_weights_give_timms_own_features(lite_weights):
    reference = timm.create_model(LITE)
    reference.load_state_dict(load_file(lite_weights))
    # This network was trained on images of mean 1/2 and standard deviation 1/2, which is [-1, 1].
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    network = build(backbone=LITE, weights=str(lite_weights)).eval()
    with torch.inference_mode():
        expected = reference.eval().forward_intermediates(images, intermediates_only=True)
        given = network.backbone(network.normalise(images))
    for one, other in zip(given, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_images_are_converted_to_what_the_weights_were_trained_with(classifier, weights):
    network = build(backbone="resnet10t", weights=str(weights)).eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        expected = classifier.forward_intermediates((images - MEAN) / STD, intermediates_only=True)[-1]
        given = network.backbone(network.normalise(images * 2 - 1))[-1]
    torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-5)


def test_without_weights_images_are_not_converted_and_nothing_is_told():
    images = torch.rand(1, 3, 8, 8)
    assert build().normalise(images) is images
    assert build().provenance == {}


def test_a_grey_image_gives_the_features_of_the_same_colour_image(weights):
    colour = build(backbone="resnet10t", weights=str(weights)).eval()
    grey = build(channels=1, backbone="resnet10t", weights=str(weights)).eval()
    images = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        one, other = grey.backbone(images)[-1], colour.backbone(images.expand(-1, 3, -1, -1))[-1]
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_the_segmenter_tells_the_file_its_weights_came_from(weights, digest):
    segmenter = Segmenter(build(backbone="resnet10t", weights=str(weights)), 5)
    assert segmenter.provenance == {"weights": "resnet10t.safetensors", "sha256": digest(weights)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "resnet81"}, r"'resnet81' is unknown; .* nearest: resnet18"),
        ({"backbone": "resnet18.a9"}, r"'resnet18.a9' is unknown; .* nearest: resnet18\.a"),
        ({"out_indices": [9]}, r"'test_resnet' cannot be made to give feature maps with out_indices \[9\]"),
        ({"width": 0}, "width is 0; give at least 1 channel"),
        ({"backbone": "mixer_s32_224"}, "'mixer_s32_224' was made for images of 224x224 pixels and cannot take"),
    ],
)
def test_options_that_will_not_do_are_errors(options, message):
    with pytest.raises(SegbenchError, match=message):
        build(**options)
