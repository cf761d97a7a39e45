"""Outputs beside those of the authors' code under the same weights: segbench holds the numbers alone.

In training (batch statistics, no dropout) with all auxiliary outputs, then in evaluation. Each row: mean, standard
deviation, three values.
"""

import pytest

from segbench_realtime.bisenetv2 import BiSeNetV2
from segbench_realtime.dabnet import DABNet
from segbench_realtime.ddrnet import DDRNet23Slim
from segbench_realtime.pidnet import PIDNetS
from segbench_realtime.stdc import STDC1

from ..published import filled, outlines, pattern  # noqa: TID252 - tests have no absolute name

NETWORKS = {
    "PIDNetS": (PIDNetS, (72, 104)),
    "DDRNet23Slim": (DDRNet23Slim, (72, 104)),
    "DABNet": (DABNet, (64, 96)),
    "STDC1": (STDC1, (72, 104)),
    "BiSeNetV2": (BiSeNetV2, (64, 96)),
}

OUTLINES = {
    "PIDNetS": [
        [0.21625145, 0.90160253, 0.61995946, -0.22568231, 0.7047573],
        [0.30538051, 0.96794911, -0.32789864, 0.34049251, 0.06547224],
        [0.57221421, 0.88223721, -0.061727606, 0.25879919, 0.53421305],
        [0.21625145, 0.90160253, 0.61995946, -0.22568231, 0.7047573],
        [-3.0963349, 29.809782, 2.0810403, -19.54268, 9.999628],
    ],
    "DDRNet23Slim": [
        [-0.14061041, 0.95303985, -0.13378333, 0.52711476, 0.9030734],
        [-0.18870647, 0.85793973, -0.31422556, 0.47644309, -0.69589879],
        [0.65136176, 19.43191, -26.18856, -4.6289224, 7.3246873],
    ],
    "DABNet": [
        [-0.13623282, 1.1702385, 0.35046841, 0.20780162, -0.97582072],
        [-2.0643818, 100.05204, 54.438389, 70.445328, -39.242047],
    ],
    "STDC1": [
        [0.23900469, 0.91951645, -0.61960145, -0.69354403, -0.3215612],
        [0.25102306, 0.88179294, 1.4402026, 0.35799552, 0.32187814],
        [-0.15484354, 1.0488135, 0.85233904, -0.39653517, -0.76918672],
        [0.17041382, 0.859357, 0.81113718, -0.32158777, -0.65564519],
        [-0.1446976, 1.4482147, -0.41370266, 1.1925508, -0.32233175],
    ],
    # the paper's layout; its authors published no code
    "BiSeNetV2": [
        [-0.38552166, 0.89949586, -0.63730758, 1.7830466, -0.19900977],
        [0.36055924, 0.89354933, -0.56942895, 0.16498884, -1.3656368],
        [0.15098137, 1.0720835, -0.18208078, 1.1173418, 0.48254369],
        [-0.32760792, 1.149922, -2.4099566, -2.5455055, 0.22912775],
        [0.17690319, 0.80487151, 0.10051507, 0.83986556, -0.36178992],
        [-0.56658953, 1.4248677, -3.6866092, 1.8791523, 0.19851774],
    ],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_those_of_the_authors_code(name):
    build, size = NETWORKS[name]
    found = outlines(filled(build(3, 5)), pattern(2, 3, *size))
    assert found == [pytest.approx(row, rel=1e-6, abs=1e-8) for row in OUTLINES[name]]
