import pytest
import torch
from torch.nn import functional

from segbench_classic.segnet import SegNet


def test_the_decoder_mirrors_the_encoder():
    with torch.device("meta"):
        network = SegNet(3, 11).eval()
        features, encoded, decoded = torch.empty(1, 3, 360, 480), [], []
        for stage in network.encoder:
            features = stage(features)
            encoded.append(tuple(features.shape[1:]))
            features = network.pool(features)[0]
        for stage, (_, height, width) in zip(network.decoder, reversed(encoded), strict=True):
            features = stage(torch.empty(1, features.shape[1], height, width))
            decoded.append(tuple(features.shape[1:]))
    assert encoded == [(64, 360, 480), (128, 180, 240), (256, 90, 120), (512, 45, 60), (512, 22, 30)]
    assert decoded == [(512, 22, 30), (256, 45, 60), (128, 90, 120), (64, 180, 240), (11, 360, 480)]


def test_values_return_to_where_their_maxima_were():
    with torch.device("meta"):
        network = SegNet(3, 2)
    features = torch.tensor([[[[1.0, 4.0, 2.0], [3.0, 2.0, 9.0], [0.0, 0.0, 8.0]]]])
    pooled, indices = network.pool(features)
    restored = network.unpool(pooled, indices, output_size=(3, 3))
    assert restored.tolist() == [[[[0.0, 4.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]]


@pytest.mark.parametrize("size", [(32, 32), (37, 45)])
def test_logits_have_the_size_of_the_images(size):
    with torch.device("meta"):
        assert SegNet(2, 5)(torch.empty(1, 2, *size)).shape == (1, 5, *size)


def test_it_begins_with_the_weights_of_vgg16_bn(tmp_path):
    reference = SegNet(3, 2)
    layers = [layer for stage in reference.encoder for layer in (*stage, None)]
    state = {
        f"features.{place}.{name}": value
        for place, layer in enumerate(layers)
        if layer is not None
        for name, value in layer.state_dict().items()
    }
    torch.save(state, tmp_path / "vgg16_bn.pth")
    network = SegNet(3, 2, backbone_weights=str(tmp_path / "vgg16_bn.pth"))
    own, given = network.encoder.state_dict(), reference.encoder.state_dict()
    assert all(functional.mse_loss(own[name].float(), value.float()) == 0 for name, value in given.items())
