"""Outputs beside those of the published layouts under the same weights: segbench holds the numbers alone.

The networks were published for Caffe: FCN-8s as net.py in github.com/shelhamer/fcn.berkeleyvision.org, SegNet as
segnet_inference.prototxt in github.com/alexgkendall/SegNet-Tutorial. The numbers come from their layers written down
in torch, once; U-Net is figure 1 of its paper, DeepLab-LargeFOV its section 3. In training (batch statistics, no
dropout), then in evaluation. Each row: mean, standard deviation, three values.
"""

import pytest

from segbench_classic.deeplab_largefov import DeepLabLargeFOV
from segbench_classic.fcn8s import FCN8s
from segbench_classic.segnet import SegNet
from segbench_classic.unet import UNet

from ..published import filled, outlines, pattern  # noqa: TID252 - tests have no absolute name

NETWORKS = {
    "SegNet": (lambda: SegNet(3, 4), (2, 3, 37, 45)),
    "DeepLabLargeFOV": (lambda: DeepLabLargeFOV(3, 4), (1, 3, 33, 41)),
    "UNet": (lambda: UNet(3, 4, width=4), (1, 3, 100, 116)),
    "FCN8s": (lambda: FCN8s(3, 4, fc_channels=16), (1, 3, 17, 30)),
}

SEGNET = [
    [0.041266843, 1.0442145, 0.64678445, -0.26733268, 0.43667766],
    [0.013385369, 0.16059497, 0.16057501, -0.176999, 0.008330973],
]
# The others have no batch normalisation, so that training and evaluation are the same.
ALIKE = {
    "DeepLabLargeFOV": [-0.32285042, 0.53037992, 0.59943888, -0.30868738, -0.16583895],
    "UNet": [-0.66794875, 2.7796651, -2.43939, 0.3423334, 0.061199116],
    "FCN8s": [-1.1905495, 1.1941613, -3.1922099, -0.61366752, 0.2642221],
}
OUTLINES = {"SegNet": SEGNET} | {name: [row, row] for name, row in ALIKE.items()}


# Those that begin with VGG-16 take seconds.
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "UNet")) for name in NETWORKS])
def test_outputs_are_those_of_the_published_layout(name):
    build, shape = NETWORKS[name]
    found = outlines(filled(build()), pattern(*shape))
    assert found == [pytest.approx(row, rel=1e-6, abs=1e-8) for row in OUTLINES[name]]
