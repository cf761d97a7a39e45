from __future__ import annotations

import pytest

from segbench import SegbenchError
from segbench_gan.generators import components

BUILD = {component.name: component.build for component in components()}
ARGUMENTS = {
    "image -> labels": (3, 2),
    "image -> image": (3, 3),
    "noise -> image": (4, 3, (16, 16)),
    "labels -> image": (2, 3, 4, (16, 16)),
    "noise -> image, labels": (4, 3, 2, (16, 16)),
}
MAPS = {component.name: component.maps for component in components()}


@pytest.mark.parametrize("name", [name for name in BUILD if name != "mlp"])
def test_a_width_of_0_is_an_error(name):
    with pytest.raises(SegbenchError, match=rf"^gan/{name}: width is 0; allowed is 1 or more channels$"):
        BUILD[name](*ARGUMENTS[MAPS[name]], width=0)


@pytest.mark.parametrize(
    ("name", "depth", "allowed"),
    [
        ("pix2pix_unet", 1, "2 to 12"),
        ("pix2pix_unet_colours", 13, "2 to 12"),
        ("spade", 0, "1 to 12"),
        ("spade", 13, "1 to 12"),
    ],
)
def test_a_depth_out_of_range_is_an_error(name, depth, allowed):
    with pytest.raises(SegbenchError, match=rf"^gan/{name}: depth is {depth}; allowed is {allowed} halvings$"):
        BUILD[name](*ARGUMENTS[MAPS[name]], depth=depth)


@pytest.mark.parametrize("name", ["resnet", "resnet_colours"])
def test_a_residual_network_without_blocks_is_an_error(name):
    with pytest.raises(SegbenchError, match=rf"^gan/{name}: blocks is 0; allowed is 1 or more$"):
        BUILD[name](*ARGUMENTS[MAPS[name]], blocks=0)


@pytest.mark.parametrize("hidden", [(), (8, 0)])
def test_hidden_layers_without_units_are_an_error(hidden):
    with pytest.raises(SegbenchError, match=r"^gan/mlp: hidden is \[.*\]; allowed is one number of 1 or more a layer$"):
        BUILD["mlp"](*ARGUMENTS["noise -> image"], hidden=hidden)
