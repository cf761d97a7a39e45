import torch
from torch.nn import functional

from segbench_realtime.ddrnet import DDRNet23Slim

from .conftest import shapes


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


def test_the_auxiliary_head_weighs_0_4():
    torch.manual_seed(0)
    logits, target = torch.randn(1, 3, 8, 8), torch.randint(3, (1, 8, 8))
    with torch.device("meta"):
        network = DDRNet23Slim(3, 3)
    torch.testing.assert_close(
        network.auxiliary_loss((logits,), target), 0.4 * functional.cross_entropy(logits, target)
    )
