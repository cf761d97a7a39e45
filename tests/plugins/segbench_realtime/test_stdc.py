import torch
from torch.nn import functional

from segbench_realtime.stdc import STDC1, STDC1Backbone, detail_loss, detail_target

from .conftest import shapes

# Fan 2021: 8.44 M parameters and 813 M multiply-adds at 224x224 of the classification network of ImageNet,
# which is all that the paper counts (its author in github.com/MichaelFan01/STDC-Seg, issue 49; larger figures in
# circulation count shared layers twice, ibid.).


def test_its_stages_have_the_published_shapes():
    with torch.device("meta"):
        network, images = STDC1(3, 19).eval(), torch.empty(1, 3, 512, 1024)
    assert shapes(*network.backbone(images)) == [(256, 64, 128), (512, 32, 64), (1024, 16, 32)]
    assert shapes(network(images)) == [(19, 64, 128)]


def test_a_module_concatenates_half_a_quarter_and_two_eighths():
    with torch.device("meta"):
        module = STDC1Backbone(3).stages[0][0]
        features = module.first(torch.empty(1, 64, 12, 12))
        reduced = module.reduce(features)
    widths = [features.shape[1], *(block[0].out_channels for block in module.others)]
    assert widths == [128, 64, 32, 32]
    assert shapes(module.pool(features), reduced) == [(128, 6, 6), (128, 6, 6)]


def test_auxiliary_heads_are_there_in_training_alone():
    network = STDC1(4, 5)
    images = torch.zeros(1, 4, 33, 65)
    assert shapes(*network(images)) == [(5, 5, 9), (5, 5, 9), (5, 3, 5), (1, 5, 9)]
    assert shapes(network.eval()(images)) == [(5, 5, 9)]


def test_details_are_the_edges_at_strides_1_and_2():
    target = torch.zeros(1, 8, 8, dtype=torch.int64)
    target[..., 4:] = 3
    # Stride 1 sees columns 3 and 4, stride 2 column 4, which covers 5 too; stride 4 alone does not pass the threshold.
    assert detail_target(target)[0].all(dim=0).nonzero().flatten().tolist() == [3, 4, 5]
    assert detail_target(target)[0].any(dim=0).nonzero().flatten().tolist() == [3, 4, 5]


def test_the_detail_loss_is_binary_cross_entropy_plus_dice():
    torch.manual_seed(0)
    target, detail = torch.randint(2, (2, 4, 6)), torch.randn(2, 4, 6)
    truth, probability = detail_target(target).float(), detail.sigmoid()
    dice = [
        1 - (2 * (p * t).sum() + 1) / (p.pow(2).sum() + t.pow(2).sum() + 1)
        for p, t in zip(probability, truth, strict=True)
    ]
    expected = functional.binary_cross_entropy(probability, truth) + torch.stack(dice).mean()
    torch.testing.assert_close(detail_loss(detail, target), expected)


def test_the_detail_loss_leaves_ignored_pixels_out():
    target = torch.randint(2, (1, 4, 6), generator=torch.Generator().manual_seed(0))
    target[:, 2:] = -100
    one, other = torch.zeros(1, 4, 6), torch.zeros(1, 4, 6)
    other[:, 2:] = 9.0
    assert detail_loss(one, target) == detail_loss(other, target)
    assert detail_loss(one, torch.full_like(target, -100)) == 0


def test_auxiliary_heads_learn_from_the_hardest_pixels():
    torch.manual_seed(0)
    target = torch.zeros(1, 8, 8, dtype=torch.int64)
    detail = torch.zeros(1, 1, 8, 8)
    # All pixels are easier than a probability of 0.7, so the hardest sixteenth counts: 4 of 64.
    logits = torch.stack([3 + torch.rand(1, 8, 8), torch.zeros(1, 8, 8)], dim=1)
    hardest = functional.cross_entropy(logits, target, reduction="none").flatten().topk(4).values.mean()
    with torch.device("meta"):
        network = STDC1(3, 2)
    expected = 2 * hardest + detail_loss(detail[0], target)
    torch.testing.assert_close(network.auxiliary_loss((logits, logits, detail), target), expected)
