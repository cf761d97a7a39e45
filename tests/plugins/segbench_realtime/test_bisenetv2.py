import pytest
import torch
from torch.nn import functional

from segbench_realtime.bisenetv2 import BiSeNetV2
from segbench_realtime.bisenetv2 import detail_branch as build_detail_branch

from .conftest import shapes

# Yu 2020, Table 3 (a), at 512x1024, in multiply-adds.
PUBLISHED_MULTIPLY_ADDS = 21.15e9


def test_the_published_operations_lie_between_heads_of_512_and_1024_channels(multiply_adds):
    narrow, wide = (
        multiply_adds(lambda width=width: BiSeNetV2(3, 19, head_channels=width), 512, 1024) for width in (512, 1024)
    )
    assert narrow < PUBLISHED_MULTIPLY_ADDS < wide
    # 3x3 convolution and 1x1 convolution at stride 8.
    assert wide - narrow == 512 * (9 * 128 + 19) * 64 * 128


def test_the_detail_branch_costs_what_table_1_says(multiply_adds):
    stage1 = 9 * (3 * 64 + 64 * 64) * 256 * 512
    stage2 = 9 * (3 * 64 * 64) * 128 * 256
    stage3 = 9 * (64 * 128 + 2 * 128 * 128) * 64 * 128
    assert multiply_adds(lambda: build_detail_branch(3), 512, 1024) == stage1 + stage2 + stage3


def test_its_stages_have_the_shapes_of_table_1():
    with torch.device("meta"):
        network, images = BiSeNetV2(3, 19).eval(), torch.empty(1, 3, 512, 1024)
    detail, semantic = network.detail(images), network.semantic(images)
    assert shapes(network.detail[:2](images), network.detail[:5](images), detail) == [
        (64, 256, 512),
        (64, 128, 256),
        (128, 64, 128),
    ]
    assert shapes(*semantic) == [(16, 128, 256), (32, 64, 128), (64, 32, 64), (128, 16, 32), (128, 16, 32)]
    assert shapes(network.aggregation(detail, semantic[-1]), network(images)) == [(128, 64, 128), (19, 64, 128)]


def test_booster_heads_read_four_stages_in_training_alone():
    network = BiSeNetV2(4, 5, head_channels=8, booster_channels=4)
    images = torch.zeros(1, 4, 64, 96)
    assert shapes(*network(images)) == [(5, 8, 12), (5, 16, 24), (5, 8, 12), (5, 4, 6), (5, 2, 3)]
    assert shapes(network.eval()(images)) == [(5, 8, 12)]


def test_the_loss_of_the_booster_heads_is_a_plain_sum():
    target = torch.zeros(1, 8, 8, dtype=torch.int64)
    undecided = torch.zeros(1, 2, 8, 8)
    with torch.device("meta"):
        network = BiSeNetV2(3, 2)
    loss = network.auxiliary_loss((undecided,) * 4, target)
    assert loss.item() == pytest.approx(4 * functional.cross_entropy(undecided, target).item())
