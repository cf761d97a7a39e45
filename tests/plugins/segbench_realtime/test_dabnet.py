import torch

from segbench_realtime.dabnet import DABNet

from .conftest import shapes


def test_its_stages_have_the_shapes_of_table_1():
    with torch.device("meta"):
        network, images = DABNet(3, 19).eval(), torch.empty(1, 3, 512, 1024)
    initial = network.initial(images)
    entered1 = network.block1.downsampling(torch.empty(1, 35, 256, 512, device="meta"))
    entered2 = network.block2.downsampling(torch.empty(1, 131, 128, 256, device="meta"))
    left1, left2 = network.block1.bottlenecks(entered1), network.block2.bottlenecks(entered2)
    assert shapes(initial, entered1, left1) == [(32, 256, 512), (64, 128, 256), (64, 128, 256)]
    assert shapes(entered2, left2, network(images)) == [(128, 64, 128), (128, 64, 128), (19, 64, 128)]


def test_its_modules_see_as_far_as_their_dilations():
    network = DABNet(3, 2)
    modules = [*network.block1.bottlenecks, *network.block2.bottlenecks]
    assert [module.far[0].dilation[0] for module in modules] == [2, 2, 2, 4, 4, 8, 8, 16, 16]


def test_the_image_is_joined_before_each_block_and_before_the_logits():
    network = DABNet(5, 2)
    joined = [block.downsampling.convolution.in_channels for block in (network.block1, network.block2)]
    assert joined == [32 + 5, 64 + 64 + 5]
    assert network.classifier.in_channels == 128 + 128 + 5
