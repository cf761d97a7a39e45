import pytest
import torch

from segbench_realtime.residual import average_pooling, basic_block, basic_stage, bottleneck_block


def test_blocks_end_without_activation():
    torch.manual_seed(0)
    images = torch.randn(2, 4, 6, 6)
    for block in (basic_block(4, 8, stride=2), bottleneck_block(4, 2)):
        assert block(images).min() < 0


def test_a_stage_changes_size_and_channels_once():
    with torch.device("meta"):
        assert basic_stage(4, 8, 3, stride=2)(torch.empty(1, 4, 7, 7)).shape == (1, 8, 4, 4)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_padding_does_not_count_in_average_pooling(size):
    features = torch.full((1, 1, size, size), 3.0)
    assert average_pooling(17, 8)(features).unique().tolist() == [3.0]
