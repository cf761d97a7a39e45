"""Sizes of all networks beside the published ones, and one step of training."""

from functools import partial

import pytest
import torch

from segbench_classic.deeplab_largefov import DeepLabLargeFOV
from segbench_classic.fcn8s import FCN8s
from segbench_classic.segnet import SegNet
from segbench_classic.unet import UNet

PARAMETERS = {
    # Chen 2015, Table 2: for the 21 classes of VOC.
    "DeepLabLargeFOV": (partial(DeepLabLargeFOV, 3, 21), 20_505_429, 20.5e6),
    # Long 2015, Table 1: for the 21 classes of VOC.
    "FCN8s": (partial(FCN8s, 3, 21), 134_376_863, 134e6),
    # Paszke 2016 (ENet, arXiv 1606.02147), which compares itself with SegNet.
    "SegNet": (partial(SegNet, 3, 11), 29_449_355, 29.46e6),
    # Widely reported for the published widths, which the paper does not count; for one channel and two classes.
    "UNet": (partial(UNet, 1, 2), 31_030_658, 31.03e6),
}

TRAINED = {
    "DeepLabLargeFOV": partial(DeepLabLargeFOV, 3, 2, dropout=0.0),
    "FCN8s": partial(FCN8s, 3, 2, padding="fc6", fc_channels=8, dropout=0.0),
    "SegNet": partial(SegNet, 3, 2),
    "UNet mirror": partial(UNet, 3, 2, width=4, padding="mirror", dropout=0.0),
    "UNet zeros": partial(UNet, 3, 2, width=4, padding="zeros", dropout=0.0),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_as_many_as_published(parameters, name):
    build, exactly, published = PARAMETERS[name]
    with torch.device("meta"):
        found = parameters(build())
    assert found == exactly
    assert found == pytest.approx(published, rel=0.02)


@pytest.mark.trains
@pytest.mark.parametrize("name", TRAINED)
def test_a_step_of_training_lowers_the_loss(losses_of_two_steps, training_seed, record_property, name):
    before, after = losses_of_two_steps(lambda: TRAINED[name]().double(), square=8, rate=1e-8, seed=training_seed)
    record_property("margin", before - after)
    assert after < before
