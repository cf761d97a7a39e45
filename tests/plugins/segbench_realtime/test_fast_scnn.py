import pytest
import torch
from torch.nn import functional

from segbench_realtime.fast_scnn import FastSCNN

from .conftest import shapes


def test_its_stages_have_the_shapes_of_table_1():
    with torch.device("meta"):
        network, images = FastSCNN(3, 19).eval(), torch.empty(1, 3, 1024, 2048)
    fine = network.learning_to_downsample(images)
    deep = network.global_feature_extractor
    assert shapes(*(network.learning_to_downsample[:end](images) for end in (1, 2, 3))) == [
        (32, 512, 1024),
        (48, 256, 512),
        (64, 128, 256),
    ]
    assert shapes(*(deep[:end](fine) for end in (3, 6, 9, 10))) == [
        (64, 64, 128),
        (96, 32, 64),
        (128, 32, 64),
        (128, 32, 64),
    ]
    assert shapes(network.fusion(fine, deep(fine)), network(images)) == [(128, 128, 256), (19, 128, 256)]


def test_auxiliary_heads_read_both_ends_in_training_alone():
    network = FastSCNN(4, 5)
    images = torch.zeros(1, 4, 64, 96)
    assert shapes(*network(images)) == [(5, 8, 12), (5, 8, 12), (5, 2, 3)]
    assert shapes(network.eval()(images)) == [(5, 8, 12)]


def test_auxiliary_heads_weigh_0_4():
    target = torch.randint(0, 2, (1, 8, 8), generator=torch.Generator().manual_seed(0))
    logits = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.device("meta"):
        network = FastSCNN(3, 2)
    expected = 0.8 * functional.cross_entropy(logits, target)
    assert network.auxiliary_loss((logits, logits), target).item() == pytest.approx(expected.item())
