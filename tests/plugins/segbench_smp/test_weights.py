from __future__ import annotations

from functools import cache

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file

from segbench import WeightsError
from segbench_smp import segbench_generators

BUILD = {component.name: component.build for component in segbench_generators()}

LITE = "tf_efficientnet_lite0"
DEPRECATED = "ignore:`timm-` encoders are deprecated:DeprecationWarning"

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    """A torchvision ResNet-18 with weights and statistics of its own, and the file that holds them."""
    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None)
    network.train()(torch.rand(4, 3, 32, 32))
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(network.state_dict(), path)
    return network.eval(), path


@pytest.fixture(scope="module")
def loaded(resnet):
    """Builds a network that starts from the file, once for all tests; they leave it as it is."""

    @cache
    def build(name, channels, encoder):
        return BUILD[name](channels, 2, encoder=encoder, encoder_weights=str(resnet[1])).eval()

    return build


@pytest.fixture
def changed(resnet, tmp_path):
    """Write a changed copy of the file."""

    def write(change):
        state = resnet[0].state_dict()
        change(state)
        torch.save(state, tmp_path / "changed.pth")
        return str(tmp_path / "changed.pth")

    return write


def features(network, images):
    """The encoder's features of images in [-1, 1]."""
    with torch.inference_mode():
        return network.model.encoder(network.normalise(images))


def resnet_features(network, images):
    stem = network.relu(network.bn1(network.conv1(images)))
    outputs = [stem, network.layer1(network.maxpool(stem))]
    for layer in (network.layer2, network.layer3, network.layer4):
        outputs.append(layer(outputs[-1]))
    return outputs


# SMP's own copy of this network pads symmetrically and has another epsilon than the network that was trained.
SMPS_COPY = {"pad_type": "", "bn_eps": 1e-5}


@pytest.mark.filterwarnings(DEPRECATED)
@pytest.mark.parametrize(("encoder", "differences"), [(f"tu-{LITE}", {}), (f"timm-{LITE}", SMPS_COPY)])
def test_imagenet_weights_from_a_file_give_timms_own_features(lite_weights, encoder, differences):
    reference = timm.create_model(LITE, **differences)
    reference.load_state_dict(load_file(lite_weights))
    # This network was trained on images of mean 1/2 and standard deviation 1/2, which is [-1, 1].
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        expected = reference.eval().forward_intermediates(images, intermediates_only=True)
    network = BUILD["unet"](3, 11, encoder=encoder, encoder_weights=str(lite_weights)).eval()
    given = features(network, images)[1:]
    assert len(given) == len(expected) == 5
    # At stride 2 SMP's own copy gives the stem, timm the first block behind it.
    for one, other in zip(given[1:], expected[1:], strict=True):
        torch.testing.assert_close(one, other)


def test_without_weights_the_encoder_is_another(lite_weights):
    fresh = BUILD["unet"](3, 11, encoder=f"tu-{LITE}")
    stem = fresh.state_dict()["model.encoder.model.conv_stem.weight"]
    assert not torch.allclose(load_file(lite_weights)["conv_stem.weight"], stem)


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18"])
def test_images_are_converted_to_what_the_weights_were_trained_with(resnet, loaded, encoder):
    reference, _ = resnet
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        expected = resnet_features(reference, (images - MEAN) / STD)
    network = loaded("unet", 3, encoder)
    for one, other in zip(features(network, images * 2 - 1)[1:], expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_without_weights_images_are_not_converted():
    images = torch.rand(1, 3, 8, 8)
    assert BUILD["unet"](3, 2).normalise(images) is images


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18"])
@pytest.mark.parametrize("name", ["unet", "deeplabv3plus"])
def test_a_grey_image_gives_the_features_of_the_same_colour_image(loaded, encoder, name):
    colour, grey = (loaded(name, channels, encoder) for channels in (3, 1))
    # In the network's own range, since the three colours' means differ.
    images = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        one = grey.model.encoder(images)[-1]
        other = colour.model.encoder(images.expand(-1, 3, -1, -1))[-1]
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18"])
def test_more_channels_repeat_the_colours_and_keep_their_sum(resnet, encoder):
    reference, path = resnet
    network = BUILD["unet"](6, 2, encoder=encoder, encoder_weights=str(path))
    stem = next(weight for name, weight in network.named_parameters() if name.endswith("conv1.weight"))
    torch.testing.assert_close(stem, reference.conv1.weight.repeat(1, 2, 1, 1) / 2)
    assert network.normalise(torch.zeros(1, 6, 2, 2))[0, :, 0, 0].tolist() == pytest.approx(
        2 * ((0.5 - MEAN) / STD).flatten().tolist()
    )


def test_a_grey_image_is_converted_with_the_mean_over_the_colours(loaded):
    network = loaded("unet", 1, "resnet18")
    expected = (0.5 - MEAN.mean()) / STD.mean()
    assert network.normalise(torch.zeros(1, 1, 1, 1)).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18"])
def test_a_classifier_of_any_size_or_none_is_ignored(resnet, changed, encoder):
    def shrink(state):
        state["fc.weight"], state["fc.bias"] = torch.zeros(7, 512), torch.zeros(7)

    def remove(state):
        del state["fc.weight"], state["fc.bias"]

    for change in (shrink, remove):
        network = BUILD["unet"](3, 2, encoder=encoder, encoder_weights=changed(change))
        stem = next(weight for name, weight in network.named_parameters() if name.endswith("conv1.weight"))
        assert stem.equal(resnet[0].conv1.weight)


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("layer1.0.conv1.weight"), "missing: layer1.0.conv1.weight"),
        (lambda state: state.update({"layer9.weight": torch.zeros(1)}), "unexpected: layer9.weight"),
        (
            lambda state: state.update({"conv1.weight": torch.zeros(64, 4, 7, 7)}),
            r"of another shape: conv1.weight \(64, 4, 7, 7\) instead of \(64, 3, 7, 7\)",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(changed, encoder, change, message):
    path = changed(change)
    with pytest.raises(WeightsError, match=f"changed.pth does not fit the encoder {encoder}; {message}"):
        BUILD["unet"](3, 2, encoder=encoder, encoder_weights=path)


def test_a_long_list_of_keys_is_cut(lite_weights):
    with pytest.raises(WeightsError, match=r"missing: conv1.weight, .* and \d+ more; unexpected: .* and \d+ more"):
        BUILD["unet"](3, 2, encoder_weights=str(lite_weights))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_every_kind_of_file_is_read(resnet, tmp_path, suffix):
    reference, _ = resnet
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(reference.state_dict(), path)
    else:
        torch.save({"state_dict": reference.state_dict(), "epoch": 3}, path)
    network = BUILD["unet"](3, 2, encoder_weights=str(path))
    assert network.model.encoder.conv1.weight.equal(reference.conv1.weight)


def test_a_relative_path_starts_at_the_current_directory(resnet, monkeypatch):
    reference, path = resnet
    monkeypatch.chdir(path.parent)
    network = BUILD["unet"](3, 2, encoder_weights="resnet18.pth")
    assert network.model.encoder.conv1.weight.equal(reference.conv1.weight)


def test_a_tag_that_the_hub_does_not_have_is_an_error():
    with pytest.raises(WeightsError, match=r"'imagnet' is not known for .*'resnet18'; give none, imagenet, ssl, swsl"):
        BUILD["unet"](3, 2, encoder_weights="imagnet")


@pytest.mark.parametrize("encoder", ["mobilenet_v2", "tu-edgenext_xx_small"])
def test_a_hub_out_of_reach_is_an_error_that_offers_a_path(hub_cache, encoder):
    expected = f"imagenet weights of '{encoder}' could not be fetched .*; give the path of a .safetensors or .pth file"
    with pytest.raises(WeightsError, match=expected), torch.device("meta"):
        BUILD["unet"](3, 2, encoder=encoder, encoder_weights="imagenet")


def test_a_pair_that_does_not_fit_is_not_blamed_on_the_hub(hub_cache):
    with pytest.raises(Exception, match="smp/linknet cannot be built with the encoder 'mit_b0'"):
        BUILD["linknet"](3, 2, encoder="mit_b0", encoder_weights="imagenet")


def test_a_vision_transformer_is_loaded_for_dpt(tmp_path):
    torch.manual_seed(0)
    reference = timm.create_model("vit_tiny_patch16_224").eval()
    save_file(reference.state_dict(), tmp_path / "vit.safetensors")
    decoder = {"decoder_intermediate_channels": (16, 32, 64, 64), "decoder_fusion_channels": 32}
    network = BUILD["dpt"](3, 2, encoder_weights=str(tmp_path / "vit.safetensors"), **decoder).eval()
    images = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        expected = reference.forward_intermediates(images, indices=[11], intermediates_only=True)[0]
        given = network.model.encoder(images)[0][-1]
    torch.testing.assert_close(given, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["resnet10t", "convnext_atto", "mobilenetv3_small_100", "regnety_002", "hgnetv2_b0", "pvt_v2_b0", "fastvit_t8"],
)
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_files_of_many_families_are_loaded_into_timms_feature_extractors(tmp_path, name, channels):
    torch.manual_seed(0)
    reference = timm.create_model(name)
    save_file(reference.state_dict(), tmp_path / "weights.safetensors")
    network = BUILD["fpn"](channels, 2, encoder=f"tu-{name}", encoder_weights=str(tmp_path / "weights.safetensors"))
    images = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        expected = reference.eval().forward_intermediates(images.expand(-1, 3, -1, -1), intermediates_only=True)[-1]
        given = network.model.eval().encoder(images.expand(-1, channels, -1, -1))[-1]
    # Of 5 channels the colours weigh 2 : 2 : 1, so that only 1 and 3 keep the features of a grey image.
    if channels != 5:
        torch.testing.assert_close(given, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize(
    "encoder",
    [
        "densenet121",
        "dpn68",
        "efficientnet-b0",
        "inceptionv4",
        "mit_b0",
        "mobilenet_v2",
        "mobileone_s0",
        "se_resnet50",
        "vgg11",
        "xception",
    ],
)
def test_files_of_smps_own_encoders_are_loaded(tmp_path, encoder, channels):
    torch.manual_seed(0)
    reference = smp.encoders.get_encoder(encoder, weights=None).eval()
    save_file(reference.state_dict(), tmp_path / "weights.safetensors")
    path = str(tmp_path / "weights.safetensors")
    network = BUILD["fpn"](channels, 2, encoder=encoder, encoder_weights=path).eval()
    grey = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        given = network.model.encoder(grey.expand(-1, channels, -1, -1))[-1]
        # Of 5 channels the colours weigh 2 : 2 : 1, so that a grey image has features of its own.
        if channels != 5:
            expected = reference(grey.expand(-1, 3, -1, -1))[-1]
            torch.testing.assert_close(given, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_torchvisions_files_of_a_densenet_are_loaded(tmp_path):
    reference = torchvision.models.densenet121(weights=None)
    torch.save(reference.state_dict(), tmp_path / "densenet.pth")
    network = BUILD["unet"](3, 2, encoder="densenet121", encoder_weights=str(tmp_path / "densenet.pth"))
    assert network.model.encoder.features.norm0.weight.equal(reference.features.norm0.weight)
