import pytest
import torch
from torch.nn import functional

from segbench_classic.unet import UNet, centre, mirrored


def sizes_of(network, images):
    """Channels and height that every pair of convolutions returns, and the logits' before they are cut off."""
    sizes = []
    for layer in (*network.down, *network.join, network.classifier):
        layer.register_forward_hook(lambda _layer, _inputs, output: sizes.append(tuple(output.shape[1:3])))
    network(images)
    return sizes


def test_its_stages_have_the_sizes_of_figure_1():
    with torch.device("meta"):
        assert sizes_of(UNet(1, 2), torch.empty(1, 1, 388, 388)) == [
            *((64, 568), (128, 280), (256, 136), (512, 64), (1024, 28)),
            *((512, 52), (256, 100), (128, 196), (64, 388)),
            (2, 388),
        ]


def test_the_image_is_mirrored_as_reflection_does():
    images = torch.randn(2, 3, 388, 196)
    assert mirrored(images).equal(functional.pad(images, (92, 92, 92, 92), mode="reflect"))


@pytest.mark.parametrize("size", [(1, 1), (5, 23), (100, 68)])
def test_mirrored_images_are_of_a_size_that_the_network_takes(size):
    images = torch.randn(1, 1, *size)
    padded = mirrored(images)
    assert [length % 16 for length in padded.shape[-2:]] == [12, 12]
    assert padded[..., 92 : 92 + size[0], 92 : 92 + size[1]].equal(images)
    with torch.device("meta"):
        assert UNet(1, 2, width=2)(torch.empty(1, 1, *size)).shape == (1, 2, *size)


def test_zero_padding_keeps_every_size():
    with torch.device("meta"):
        network = UNet(1, 2, padding="zeros")
        assert network.size_multiple == 16
        assert [size for _, size in sizes_of(network, torch.empty(1, 1, 64, 64))] == [
            64,
            32,
            16,
            8,
            4,
            8,
            16,
            32,
            64,
            64,
        ]


def test_logits_see_the_pixels_around_them_alone():
    # 92 pixels of the 184 that convolutions take off lie on either side; a change farther away changes nothing.
    torch.manual_seed(0)
    network = UNet(1, 2, width=1, dropout=0.0).eval()
    images = torch.randn(1, 1, 300, 16)
    changed = images.clone()
    changed[..., 200:, :] += 1
    with torch.no_grad():
        difference = (network(changed) - network(images)).abs().amax(dim=(0, 1, 3))
    assert difference[:100].max() == 0
    assert difference[200:].max() > 0


def test_centre_cuts_alike_on_all_sides():
    assert centre(torch.arange(36).view(1, 1, 6, 6), (2, 4)).tolist() == [[[[13, 14, 15, 16], [19, 20, 21, 22]]]]
