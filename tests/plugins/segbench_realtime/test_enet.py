import torch

from segbench_realtime.enet import ENet

from .conftest import shapes

# Paszke 2016, Table 3: 0.37 M parameters; 3.83 GFLOPs for an image of 640x360.
PUBLISHED_FLOPS = 3.83e9


def test_its_convolutions_make_up_the_published_operations(multiply_adds):
    # The rest are batch normalisation, activations, pooling and sums, which the counter leaves out.
    share = 2 * multiply_adds(lambda: ENet(3, 19), 360, 640) / PUBLISHED_FLOPS
    assert 0.9 < share < 1


def test_its_stages_have_the_shapes_of_table_1():
    with torch.device("meta"):
        network, images = ENet(3, 12).eval(), torch.empty(1, 3, 512, 512)
    initial = network.initial(images)
    down1, indices1 = network.down1(initial)
    down2, indices2 = network.down2(network.stage1(down1))
    middle = network.stage3(network.stage2(down2))
    up4 = network.stage4(network.up4(middle, indices2))
    up5 = network.stage5(network.up5(up4, indices1))
    assert shapes(initial, down1, down2, middle) == [(16, 256, 256), (64, 128, 128), (128, 64, 64), (128, 64, 64)]
    assert shapes(up4, up5, network.fullconv(up5)) == [(64, 128, 128), (16, 256, 256), (12, 512, 512)]


def test_the_decoder_unpools_to_where_the_maxima_were():
    network = ENet(3, 2).eval()
    features = torch.zeros(1, 16, 4, 4)
    features[..., 1, 1] = 1
    _, indices = network.down1(features)
    assert indices[0, 0].tolist() == [[5, 2], [8, 10]]
