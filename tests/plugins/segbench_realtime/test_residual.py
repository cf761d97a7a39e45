import torch

from segbench_realtime.residual import basic_block, basic_stage, bottleneck_block


def test_blocks_end_without_activation():
    torch.manual_seed(0)
    images = torch.randn(2, 4, 6, 6)
    for block in (basic_block(4, 8, stride=2), bottleneck_block(4, 2)):
        assert block(images).min() < 0


def test_a_stage_changes_size_and_channels_once():
    with torch.device("meta"):
        assert basic_stage(4, 8, 3, stride=2)(torch.empty(1, 4, 7, 7)).shape == (1, 8, 4, 4)
