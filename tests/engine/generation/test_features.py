from __future__ import annotations

import timm
import torch
from safetensors.torch import save_file

from segbench.engine.generation.features import Features
from segbench.engine.generation.pixel_statistics import PixelStatistics
from segbench.spec import protocol

CPU = torch.device("cpu")


def test_pixel_statistics_go_by_their_own_name():
    features = Features.of(protocol.Features(), CPU)
    assert features.name == Features.of_pixels().name == "pixel statistics"
    images = torch.rand(2, 3, 8, 8) * 2 - 1
    assert features(images).equal(PixelStatistics()(images))


def test_the_features_of_a_network_go_by_its_name(tmp_path):
    save_file(timm.create_model("resnet10t").state_dict(), tmp_path / "weights.safetensors")
    setting = protocol.Features(use="resnet10t", weights=str(tmp_path / "weights.safetensors"))
    features = Features.of(setting, CPU)
    assert features.name.startswith("resnet10t (weights ")
    assert features(torch.zeros(2, 1, 16, 16)).shape == (2, 512)


def test_many_images_are_taken_a_few_at_a_time_and_half_precision_is_not_kept():
    sizes = []

    def extract(images):
        sizes.append(len(images))
        return images.mean((2, 3))

    images = torch.rand(70, 3, 2, 2).bfloat16()
    torch.testing.assert_close(Features("means", extract)(images), images.float().mean((2, 3)))
    assert sizes == [32, 32, 6]
