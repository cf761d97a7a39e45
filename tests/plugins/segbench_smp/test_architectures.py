from __future__ import annotations

import pytest
import segmentation_models_pytorch as smp
import torch

import segbench_smp
from segbench import SegbenchError

BUILD = {component.name: component.build for component in segbench_smp.segbench_generators()}

SMALL_DPT = {"decoder_intermediate_channels": (16, 32, 64, 64), "decoder_fusion_channels": 32}

# Million parameters with a ResNet-18 and 11 classes, counted on SMP's own networks.
PARAMETERS = {
    "unet": 14.33,
    "unetplusplus": 15.97,
    "manet": 21.68,
    "linknet": 11.66,
    "fpn": 13.05,
    "pspnet": 11.38,
    "deeplabv3": 15.90,
    "deeplabv3plus": 12.33,
    "pan": 11.37,
    "upernet": 19.49,
    "segformer": 11.77,
}


def test_every_architecture_of_smp_is_a_component():
    assert set(BUILD) == set(smp.MODEL_ARCHITECTURES_MAPPING)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_resnet18_has_the_parameters_of_the_table(parameters, name):
    with torch.device("meta"):
        assert parameters(BUILD[name](3, 11)) / 1e6 == pytest.approx(PARAMETERS[name], abs=0.01)


def test_dpt_has_no_classifier(parameters):
    with torch.device("meta"):
        classified = smp.DPT("tu-vit_tiny_patch16_224", encoder_weights=None, classes=11, **SMALL_DPT)
        assert parameters(classified) - parameters(BUILD["dpt"](3, 11, **SMALL_DPT)) == 192 * 1000 + 1000


@pytest.mark.parametrize(
    ("name", "options", "multiple", "minimum"),
    [
        ("unet", {}, 1, 1),
        ("unet", {"encoder": "tu-resnet18"}, 32, 1),
        ("unetplusplus", {}, 32, 1),
        ("manet", {"encoder_depth": 4}, 16, 1),
        ("linknet", {}, 32, 1),
        ("fpn", {}, 32, 1),
        ("pspnet", {}, 8, 1),
        ("pspnet", {"encoder": "tu-hrnet_w18_small"}, 32, 1),
        ("deeplabv3", {}, 8, 1),
        ("deeplabv3plus", {}, 16, 1),
        ("deeplabv3plus", {"encoder_output_stride": 8}, 8, 1),
        ("pan", {}, 16, 128),
        ("pan", {"encoder_output_stride": 32}, 32, 256),
        ("upernet", {}, 32, 1),
        ("segformer", {}, 32, 1),
        ("dpt", {}, 32, 1),
        ("dpt", {"encoder": "tu-vit_small_patch32_224"}, 32, 1),
        ("unet", {"size_multiple": 48}, 48, 1),
    ],
)
def test_the_sizes_that_a_network_takes_are_stated(name, options, multiple, minimum):
    with torch.device("meta"):
        network = BUILD[name](3, 2, **options)
    assert (network.size_multiple, network.minimum_size) == (multiple, minimum)


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("unet", {"encoder": "tu-hrnet_w18_small"}, 32),
        ("unet", {"encoder": "tu-swin_tiny_patch4_window7_224"}, 32),
        ("pspnet", {"encoder": "tu-hrnet_w18_small"}, 32),
        ("pan", {}, 128),
        ("dpt", SMALL_DPT, 32),
    ],
)
def test_the_smallest_size_that_is_stated_works(name, options, size):
    with torch.inference_mode():
        assert BUILD[name](3, 2, **options).eval()(torch.zeros(1, 3, size, size)).shape == (1, 2, size, size)


@pytest.mark.parametrize(
    ("name", "encoder", "message"),
    [
        ("unet", "resnet19", "encoder 'resnet19' is unknown.*nearest: resnet18"),
        ("unet", "convnext_atto", "encoder 'convnext_atto' is unknown.*nearest: tu-convnext_atto"),
        ("unet", "tu-resnet19", "encoder 'tu-resnet19' is unknown.*nearest: tu-resnet18"),
        ("unet", "tu-resnet18.a1_in2k", "encoder 'tu-resnet18.a1_in2k' is unknown.*nearest: tu-resnet18.a1_in1k"),
        ("unet", "timm-regnetx_002", "encoder 'timm-regnetx_002' is unknown.*nearest: tu-regnetx_002"),
        ("linknet", "mit_b0", "smp/linknet cannot be built with the encoder 'mit_b0'"),
        ("unetplusplus", "mit_b0", "smp/unetplusplus cannot be built with the encoder 'mit_b0'"),
        ("dpt", "resnet18", "smp/dpt cannot be built with the encoder 'resnet18'.*must start with 'tu-'"),
        ("dpt", "tu-resnet18", "smp/dpt cannot be built with the encoder 'tu-resnet18'"),
        ("dpt", "tu-vit_small_patch14_dinov2", "its patches have 14 pixels.*patch size 8, 16 or 32"),
        ("unet", "tu-vit_tiny_patch16_224", "smp/unet cannot be built with the encoder 'tu-vit_tiny_patch16_224'"),
        ("deeplabv3", "vgg11", "smp/deeplabv3 cannot be built with the encoder 'vgg11'.*dilated"),
        ("pan", "tu-dla34", "'tu-dla34': AssertionError: ; it needs an encoder that can be dilated"),
    ],
)
def test_an_encoder_that_is_unknown_or_does_not_fit_is_an_error(name, encoder, message):
    with pytest.raises(SegbenchError, match=message), torch.device("meta"):
        BUILD[name](3, 2, encoder=encoder)


def test_decoder_channels_that_do_not_fit_the_depth_are_an_error():
    with pytest.raises(SegbenchError, match="`decoder_channels` for 3 blocks"):
        BUILD["unet"](3, 2, encoder_depth=4, decoder_channels=[64, 32, 16])


def test_a_size_multiple_of_0_is_an_error():
    with pytest.raises(SegbenchError, match="smp/unet: size_multiple is 0; give at least 1"):
        BUILD["unet"](3, 2, size_multiple=0)


def test_decoder_options_reach_the_network(parameters):
    with torch.device("meta"):
        small = parameters(BUILD["unet"](3, 2, encoder="mobilenet_v2", decoder_channels=[32, 16, 16, 8, 8]))
        plain = parameters(BUILD["unet"](3, 2, encoder="mobilenet_v2"))
        attentive = parameters(BUILD["unet"](3, 2, encoder="mobilenet_v2", decoder_attention="scse"))
    assert small < plain < attentive


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in BUILD if name != "dpt"])
@pytest.mark.parametrize("encoder", ["densenet121", "mit_b0", "mobileone_s0", "tu-convnext_atto", "tu-regnety_002"])
def test_every_pair_that_builds_takes_images_of_an_odd_size(name, encoder):
    from segbench.engine.model.network import Segmenter

    try:
        network = BUILD[name](3, 2, encoder=encoder)
    except SegbenchError as error:
        assert "cannot be built with the encoder" in str(error)  # noqa: PT017 - which pairs fit is SMP's affair
        return
    with torch.inference_mode():
        assert Segmenter(network, 2).eval()(torch.zeros(1, 3, 65, 97)).shape == (1, 2, 65, 97)
