"""Sizes and costs of all networks beside the published ones, and one step of training."""

from functools import partial

import pytest
import torch

from segbench.engine.model.network import Segmenter
from segbench.errors import SpecError
from segbench_realtime.bisenetv2 import BiSeNetV2
from segbench_realtime.dabnet import DABNet
from segbench_realtime.ddrnet import DDRNet23Slim
from segbench_realtime.enet import ENet
from segbench_realtime.fast_scnn import FastSCNN
from segbench_realtime.pidnet import PIDNetS
from segbench_realtime.stdc import STDC1, STDC1Backbone

# What STDC's classification network has behind the backbone: a 1x1 convolution and a fully connected layer to 1024
# channels, each with batch normalisation, and the 1000 scores, none with a bias.
STDC_CLASSIFIER = 2 * (1024 * 1024 + 2 * 1024) + 1024 * 1000
STDC_CLASSIFIER_MULTIPLY_ADDS = 7 * 7 * 1024 * 1024 + 1024 * 1024 + 1024 * 1000

# Parameters here and published, for the 19 classes of Cityscapes and without auxiliary heads.
PARAMETERS = {
    # The paper gives none. github.com/bernardomig/ark, docs/segmentation_models.md.
    "BiSeNetV2": (partial(BiSeNetV2, 3, 19, auxiliary=False), 3_358_627, 3.359e6),
    # Li 2019, abstract.
    "DABNet": (partial(DABNet, 3, 19), 756_643, 0.76e6),
    # Hong 2021; as it is timed, without the auxiliary head.
    "DDRNet23Slim": (partial(DDRNet23Slim, 3, 19, auxiliary=False), 5_695_923, 5.7e6),
    # Paszke 2016, Table 3.
    "ENet": (partial(ENet, 3, 19), 366_167, 0.37e6),
    # Poudel 2019, Table 4; without auxiliary heads, which the table of the layout does not list.
    "FastSCNN": (partial(FastSCNN, 3, 19, auxiliary=False), 1_104_771, 1.11e6),
    # Xu 2022; as it is timed, without auxiliary heads.
    "PIDNetS": (partial(PIDNetS, 3, 19, auxiliary=False), 7_625_651, 7.6e6),
    # Fan 2021: the classification network of ImageNet, which is all that the paper counts (its author in
    # github.com/MichaelFan01/STDC-Seg, issue 49; larger figures in circulation count shared layers twice, ibid.).
    "STDC1Backbone": (partial(STDC1Backbone, 3), 8_443_552 - STDC_CLASSIFIER, 8.44e6 - STDC_CLASSIFIER),
}

# Published multiply-adds at a size of images; those of BiSeNetV2 and ENet, which are no equalities, are tested there.
MULTIPLY_ADDS = {
    "DDRNet23Slim": ((1024, 2048), 36.3e9),
    "PIDNetS": ((1024, 2048), 47.6e9),
    "STDC1Backbone": ((224, 224), 813e6),
}

# With the side in pixels of the squares in its images and the learning rate, at which a step goes down by about as much
# as its gradient says whatever the first weights are.
TRAINED = {
    "BiSeNetV2": (partial(BiSeNetV2, 3, 2, head_channels=32, booster_channels=16), 32, 1e-6),
    "DABNet": (partial(DABNet, 3, 2), 16, 1e-4),
    "DDRNet23Slim": (partial(DDRNet23Slim, 3, 2), 32, 1e-7),
    "ENet": (partial(ENet, 3, 2), 16, 1e-3),
    "FastSCNN": (partial(FastSCNN, 3, 2), 32, 1e-5),
    "PIDNetS": (partial(PIDNetS, 3, 2), 32, 1e-7),
    "STDC1": (partial(STDC1, 3, 2), 32, 1e-7),
}

WITHOUT_AUXILIARY_HEADS = {
    "BiSeNetV2": (partial(BiSeNetV2, 3, 2, head_channels=8, auxiliary=False), 64),
    "DDRNet23Slim": (partial(DDRNet23Slim, 3, 2, auxiliary=False), 65),
    "FastSCNN": (partial(FastSCNN, 3, 2, auxiliary=False), 64),
    "PIDNetS": (partial(PIDNetS, 3, 2, auxiliary=False), 65),
    "STDC1": (partial(STDC1, 3, 2, auxiliary=False), 33),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_as_many_as_published(parameters, name):
    build, exactly, published = PARAMETERS[name]
    with torch.device("meta"):
        found = parameters(build())
    assert found == exactly
    behind = STDC_CLASSIFIER if name == "STDC1Backbone" else 0
    assert found + behind == pytest.approx(published + behind, rel=0.02)


def test_stdc_for_segmentation_has_more_than_its_backbone(parameters):
    with torch.device("meta"):
        assert parameters(STDC1(3, 19, auxiliary=False)) == 8_275_104


@pytest.mark.parametrize("name", MULTIPLY_ADDS)
def test_multiply_adds_are_as_many_as_published(multiply_adds, name):
    size, published = MULTIPLY_ADDS[name]
    behind = STDC_CLASSIFIER_MULTIPLY_ADDS if name == "STDC1Backbone" else 0
    assert multiply_adds(PARAMETERS[name][0], *size) + behind == pytest.approx(published, rel=0.02)


@pytest.mark.parametrize("name", WITHOUT_AUXILIARY_HEADS)
def test_without_auxiliary_heads_training_returns_logits_alone(name):
    build, side = WITHOUT_AUXILIARY_HEADS[name]
    assert isinstance(build()(torch.zeros(1, 3, side, side)), torch.Tensor)


def outputs_of_one_size(name):
    """Return what the losses of a method would be given of a network for images of an odd size."""
    segmenter, images = Segmenter(TRAINED[name][0](), 2).train(), torch.rand(2, 3, 33, 41)
    return segmenter.outputs_of_one_size(segmenter(images), images)


@pytest.mark.parametrize(("name", "number"), [("BiSeNetV2", 5), ("DDRNet23Slim", 2), ("FastSCNN", 3)])
def test_the_losses_of_a_method_can_train_every_auxiliary_output(name, number):
    assert [output.shape for output in outputs_of_one_size(name)] == [(2, 2, 33, 41)] * number


@pytest.mark.parametrize("name", ["PIDNetS", "STDC1"])
def test_boundaries_and_details_are_for_the_own_loss_of_the_network_alone(name):
    with pytest.raises(SpecError, match=r"is a tensor \(2, 1, \d+, \d+\); the losses of the method take"):
        outputs_of_one_size(name)


@pytest.mark.parametrize(("network", "stride", "channels"), [(DABNet, 8, (1, 32, 40)), (ENet, 1, (1, 15, 16, 20))])
def test_any_number_of_channels_will_do(network, stride, channels):
    for number in channels:
        logits = network(number, 2).eval()(torch.zeros(1, number, 16, 16))
        assert logits.shape == (1, 2, 16 // stride, 16 // stride)


@pytest.mark.parametrize(("network", "side"), [(DABNet, 2), (ENet, 16)])
def test_one_image_of_the_minimum_size_can_be_trained_on(network, side):
    images = torch.zeros(1, 3, network.minimum_size, network.minimum_size)
    assert network(3, 2)(images).shape == (1, 2, side, side)


@pytest.mark.trains
@pytest.mark.parametrize("name", TRAINED)
def test_a_step_of_training_lowers_the_loss(losses_of_two_steps, training_seed, record_property, name):
    build, square, rate = TRAINED[name]
    before, after = losses_of_two_steps(build, square, rate, training_seed)
    record_property("margin", before - after)
    assert after < before
