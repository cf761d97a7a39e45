from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from segbench.engine.data.cache import pack
from segbench.engine.data.resident import ResidentSplit
from segbench.engine.pictures import write_samples
from segbench.spec.protocol import Budget, Keep, Protocol


class BrightOrDark(torch.nn.Module):
    """Class 1 where the image is bright."""

    def forward(self, images):
        return torch.cat([-images[:, :1], images[:, :1]], dim=1)


def write(folder, dataset, samples):
    resident = ResidentSplit(pack(dataset, "train", "key"), torch.device("cpu"))
    protocol = Protocol(budget=Budget(steps=1), keep=Keep(samples=samples))
    write_samples(folder, BrightOrDark(), resident, dataset, protocol)
    return resident


def test_some_images_spread_over_the_split_leave_a_label_map_and_a_panel(tmp_path, dataset):
    write(tmp_path / "samples", dataset, 3)
    names = [f"image {index}" for index in (0, 2, 5)]
    expected = {f"{name}{ending}" for name in names for ending in (".png", ".panel.png")}
    assert {path.name for path in (tmp_path / "samples").iterdir()} == expected


def test_the_label_map_is_what_the_network_predicts_at_native_size(tmp_path, dataset):
    resident = write(tmp_path, dataset, 1)
    with Image.open(tmp_path / "image 0.png") as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture), resident.image(0)[0].numpy() > 127)


def test_more_samples_than_images_show_every_image_and_none_show_none(tmp_path, dataset):
    write(tmp_path / "all", dataset, 100)
    assert len(list((tmp_path / "all").iterdir())) == 2 * 6
    write(tmp_path / "none", dataset, 0)
    assert not (tmp_path / "none").exists()


def test_an_id_with_a_slash_is_one_file(tmp_path, dataset):
    first = dataset.splits["train"][0]
    dataset.splits["train"][:] = [first._replace(id="../aachen/0 1")]
    write(tmp_path / "samples", dataset, 1)
    assert (tmp_path / "samples" / "..%2Faachen%2F0 1.png").is_file()
