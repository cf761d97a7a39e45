from __future__ import annotations

import pytest

from segbench_smp.encoders import DPN, HALF, IMAGENET, file_statistics, hub_statistics, hub_tags


@pytest.mark.parametrize(
    ("encoder", "statistics"),
    [
        ("resnet18", IMAGENET),
        ("mit_b0", IMAGENET),
        ("inceptionv4", HALF),
        ("inceptionresnetv2", HALF),
        ("xception", HALF),
        ("dpn68", DPN),
        ("timm-efficientnet-b0", IMAGENET),
        ("timm-tf_efficientnet_lite0", HALF),
        ("tu-resnet18", IMAGENET),
        ("tu-tf_efficientnet_lite0", HALF),
        ("tu-vit_tiny_patch16_224", HALF),
        ("tu-resnet10t", IMAGENET),
    ],
)
def test_mean_and_standard_deviation_are_those_of_the_published_weights(encoder, statistics):
    assert file_statistics(encoder) == statistics


def test_timms_statistics_need_no_network():
    assert hub_statistics("tu-tf_efficientnet_lite0", "imagenet") == HALF


def test_the_tags_of_the_hub_are_known():
    assert hub_tags("resnet18") == ["imagenet", "ssl", "swsl"]
    assert hub_tags("tu-resnet18") == ["imagenet"]
