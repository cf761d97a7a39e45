import pytest
import torch
from torch.nn import functional

from segbench_realtime.ddrnet import DDRNet23Slim

# Hong 2021: 5.7 M parameters and 36.3 G multiply-adds at 1024x2048 for the 19 classes
# of Cityscapes; as it is timed, without the auxiliary head.
PUBLISHED = 5.7e6
PUBLISHED_MULTIPLY_ADDS = 36.3e9


def shapes(*tensors):
    return [tuple(tensor.shape[1:]) for tensor in tensors]


def test_it_has_the_published_number_of_parameters(parameters):
    with torch.device("meta"):
        network = DDRNet23Slim(3, 19, auxiliary=False)
    assert parameters(network) == 5_695_923
    assert parameters(network) == pytest.approx(PUBLISHED, rel=0.02)


def test_it_costs_the_published_number_of_multiply_adds(multiply_adds):
    assert multiply_adds(lambda: DDRNet23Slim(3, 19, auxiliary=False), 1024, 2048) == pytest.approx(
        PUBLISHED_MULTIPLY_ADDS, rel=0.02
    )


def test_its_stages_have_the_published_shapes():
    with torch.device("meta"):
        network, images = DDRNet23Slim(3, 19).eval(), torch.empty(1, 3, 1024, 2048)
    shared = network.shared(images)
    fine4, coarse4 = network.fusion4(network.fine4(shared), network.coarse4(shared))
    fine5, coarse5 = network.fusion5(network.fine5(fine4), network.coarse5(coarse4))
    fine6, coarse6 = network.fine6(fine5), network.coarse6(coarse5)
    assert shapes(shared, fine4, coarse4) == [(64, 128, 256), (64, 128, 256), (128, 64, 128)]
    assert shapes(fine5, coarse5) == [(64, 128, 256), (256, 32, 64)]
    assert shapes(fine6, coarse6) == [(128, 128, 256), (512, 16, 32)]
    assert shapes(network.context(coarse6), network(images)) == [(128, 16, 32), (19, 128, 256)]


def test_the_auxiliary_head_reads_the_first_fusion_in_training_alone():
    network = DDRNet23Slim(4, 5)
    images = torch.zeros(1, 4, 65, 97)
    assert shapes(*network(images)) == [(5, 9, 13), (5, 9, 13)]
    assert shapes(network.eval()(images)) == [(5, 9, 13)]


def test_without_auxiliary_head_training_returns_logits_alone():
    assert isinstance(DDRNet23Slim(3, 2, auxiliary=False)(torch.zeros(1, 3, 65, 65)), torch.Tensor)


def test_the_auxiliary_head_weighs_0_4():
    torch.manual_seed(0)
    logits, target = torch.randn(1, 3, 8, 8), torch.randint(3, (1, 8, 8))
    with torch.device("meta"):
        network = DDRNet23Slim(3, 3)
    torch.testing.assert_close(
        network.auxiliary_loss((logits,), target), 0.4 * functional.cross_entropy(logits, target)
    )


def test_a_training_step_lowers_its_loss(losses_of_two_steps):
    before, after = losses_of_two_steps(DDRNet23Slim(3, 2), square=32)
    assert after < before
