import pytest
import torch
from torch import nn
from torch.nn import functional

from segbench_classic.fcn8s import FCN8s, bilinear_kernel


def test_its_stages_have_the_shapes_of_the_published_network():
    with torch.device("meta"):
        network, images = FCN8s(3, 21).eval(), torch.empty(1, 3, 500, 500)
        pool3 = network.to_pool3(images)
        pool4 = network.to_pool4(pool3)
        fc6 = network.fc6(network.to_pool5(pool4))
        assert network(images).shape == (1, 21, 500, 500)
    # As Caffe prints them for images of 500x500 pixels.
    assert [tuple(each.shape[1:]) for each in (pool3, pool4, fc6)] == [(256, 88, 88), (512, 44, 44), (4096, 16, 16)]


@pytest.mark.parametrize("padding", ["image", "fc6"])
@pytest.mark.parametrize("size", [(1, 7), (33, 64)])
def test_logits_have_the_size_of_the_images(padding, size):
    with torch.device("meta"):
        network = FCN8s(2, 5, padding=padding, fc_channels=4).eval()
        assert network(torch.empty(1, 2, *size)).shape == (1, 5, *size)


@pytest.mark.parametrize("padding", ["image", "fc6"])
def test_all_three_scores_lie_where_the_image_has_what_they_see(padding):
    with torch.device("meta"):
        network = FCN8s(1, 1, padding=padding, fc_channels=1)
    with_means(network, border=network.geometry.image_padding - 1)
    ramps = torch.stack(torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")).unsqueeze(1)
    with torch.no_grad():
        logits = network.eval()(ramps)
    inner = (..., slice(96, 160), slice(96, 160))
    torch.testing.assert_close(logits[inner], 3 * ramps[inner], rtol=1e-5, atol=1e-3)


def with_means(network, border):
    """Let the network's layers average pixels alone, so that the logits of a ramp are three times the ramp."""
    network.to_pool3 = nn.Sequential(nn.ZeroPad2d(border), nn.AvgPool2d(8, ceil_mode=True))
    network.to_pool4 = network.to_pool5 = nn.AvgPool2d(2, ceil_mode=True)
    for name in ("fc6", "fc7", "score_fc7", "score_pool4", "score_pool3"):
        kernel = 7 if name == "fc6" else 1
        layer = nn.Conv2d(1, 1, kernel, padding=getattr(network, name).padding)
        nn.init.zeros_(layer.bias)
        nn.init.dirac_(layer.weight)
        setattr(network, name, layer)
    for name in ("upsample_fc7", "upsample_pool4"):
        layer = nn.ConvTranspose2d(1, 1, 4, 2, bias=False)
        layer.weight = nn.Parameter(bilinear_kernel(4)[None, None])
        setattr(network, name, layer)
    network.bilinear = bilinear_kernel(16)[None, None]


def test_upsampling_begins_bilinear_and_within_each_class():
    with torch.device("cpu"):
        network = FCN8s(3, 3, padding="fc6", fc_channels=1)
    scores = torch.randn(1, 3, 6, 6)
    upsampled = network.upsample_fc7(scores)[..., 1:-1, 1:-1]
    expected = functional.interpolate(scores, scale_factor=2, mode="bilinear", align_corners=False)
    # Beyond the border transposed convolution sees zeros, interpolation the nearest cell.
    torch.testing.assert_close(upsampled[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])
    assert [name for name, _ in network.named_parameters() if "bilinear" in name] == []


def test_it_begins_with_all_layers_of_vgg16_and_scores_of_0(tmp_path):
    reference = FCN8s(3, 2, padding="fc6", fc_channels=4)
    features = nn.Sequential(*reference.to_pool3, *reference.to_pool4, *reference.to_pool5)
    state = {f"features.{name}": value for name, value in features.state_dict().items()}
    state |= {"classifier.0.weight": reference.fc6.weight.detach().flatten(1), "classifier.0.bias": torch.ones(4)}
    state |= {"classifier.3.weight": torch.eye(4), "classifier.3.bias": torch.zeros(4)}
    torch.save(state, tmp_path / "vgg16.pth")
    network = FCN8s(3, 2, padding="fc6", fc_channels=4, backbone_weights=str(tmp_path / "vgg16.pth"))
    assert network.to_pool5[0].weight.equal(reference.to_pool5[0].weight)
    assert network.fc6.weight.equal(reference.fc6.weight)
    assert network.fc6.bias.tolist() == [1.0] * 4
    assert network.fc7.weight[..., 0, 0].equal(torch.eye(4))
    assert network(torch.rand(1, 3, 32, 32)).abs().max() == 0
