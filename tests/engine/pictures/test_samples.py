from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from segbench.config.protocol import Budget, Keep, TrainingProtocol
from segbench.config.resize import Resize
from segbench.engine.data.cache import pack
from segbench.engine.pictures.samples import write_samples


class BrightOrDark(torch.nn.Module):
    """Class 1 where the image is bright."""

    def forward(self, images):
        return torch.cat([-images[:, :1], images[:, :1]], dim=1)


class Convolutional(torch.nn.Sequential):
    """A network with a layer that evidence can be seen at."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(torch.nn.Conv2d(3, 5, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(5, 2, 1))


def write(folder, dataset, samples, network=None, score_map=None, boundary=None, **changes):
    packed = pack(dataset, "train", "key")
    protocol = TrainingProtocol(budget=Budget(steps=1), keep=Keep(samples=samples), **changes)
    write_samples(
        folder, network or BrightOrDark(), packed, torch.device("cpu"), dataset, protocol, score_map, boundary
    )
    return packed


def test_some_images_spread_over_the_split_leave_a_label_map_and_a_panel(tmp_path, dataset):
    write(tmp_path / "samples", dataset, 3)
    names = [f"image {index}" for index in (0, 2, 5)]
    expected = {f"{name}{ending}" for name in names for ending in (".png", ".truth.png", ".panel.png")}
    assert {path.name for path in (tmp_path / "samples").iterdir()} == expected


def test_the_label_map_is_what_the_network_predicts_at_native_size(tmp_path, dataset):
    packed = write(tmp_path, dataset, 1)
    with Image.open(tmp_path / "image 0.png") as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture), packed.image(0)[0] > 127)


def test_of_a_large_image_the_middle_is_shown(tmp_path, dataset, monkeypatch):
    monkeypatch.setattr("segbench.images.pixels.LARGE_PIXELS", 10)
    monkeypatch.setattr("segbench.engine.pictures.samples.LARGEST_SIDE", 4)
    packed = write(tmp_path, dataset, 1)
    height, width = packed.index.sizes[0]
    assert min(height, width) > 4
    middle = np.s_[(height - 4) // 2 :, (width - 4) // 2 :]
    for ending, whole in (("", packed.image(0)[0] > 127), (".truth", packed.labels(0))):
        with Image.open(tmp_path / f"image 0{ending}.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture), whole[middle][:4, :4])


def test_of_a_large_image_the_same_middle_is_shown_where_images_are_resized(tmp_path, dataset, monkeypatch):
    resize = Resize(factor=0.5)
    packed = write(tmp_path / "whole", dataset, 1, resize=resize)
    monkeypatch.setattr("segbench.images.pixels.LARGE_PIXELS", 10)
    monkeypatch.setattr("segbench.engine.pictures.samples.LARGEST_SIDE", 4)
    write(tmp_path / "middle", dataset, 1, resize=resize)
    height, width = packed.index.sizes[0]
    middle = np.s_[(height - 4) // 2 :, (width - 4) // 2 :]
    for ending in ("", ".truth"):
        whole, part = (np.asarray(Image.open(tmp_path / name / f"image 0{ending}.png")) for name in ("whole", "middle"))
        assert whole.shape == (height, width)
        np.testing.assert_array_equal(part, whole[middle][:4, :4])


def test_the_truth_is_kept_as_the_labels_are_ignored_ones_among_them(tmp_path, dataset):
    first = dataset.splits["train"][0]
    first.labels[0, 0] = dataset.ignore_index
    write(tmp_path, dataset, 1)
    with Image.open(tmp_path / "image 0.truth.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), first.labels)


def test_more_samples_than_images_show_every_image_and_none_show_none(tmp_path, dataset):
    write(tmp_path / "all", dataset, 100)
    assert len(list((tmp_path / "all").iterdir())) == 3 * 6
    write(tmp_path / "none", dataset, 0)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["\u7ec6" * 31, "\u7ec6" * 85, "a" * 250, "\u0000/" * 60])
def test_pictures_of_ids_of_any_length_and_script_are_written(tmp_path, dataset, name):
    first = dataset.splits["train"][0]
    dataset.splits["train"][:] = [first._replace(id=name)]
    write(tmp_path, dataset, 1, Convolutional())
    written = [path.name for path in tmp_path.iterdir()]
    assert len(written) == 4
    assert max(len(path.encode()) for path in written) <= 143  # as encrypted file systems allow


def test_a_picture_that_cannot_be_written_costs_nothing_else(tmp_path, dataset, capsys):
    (tmp_path / "image 0.png").mkdir()
    write(tmp_path, dataset, 1)
    assert (tmp_path / "image 0.panel.png").is_file()
    assert "without the picture image 0.png: " in capsys.readouterr().err


def test_an_id_with_a_slash_is_one_file(tmp_path, dataset):
    first = dataset.splits["train"][0]
    dataset.splits["train"][:] = [first._replace(id="../aachen/0 1")]
    write(tmp_path / "samples", dataset, 1)
    assert (tmp_path / "samples" / "..%2Faachen%2F0 1.png").is_file()


def test_a_network_with_a_fitting_layer_leaves_pictures_of_its_evidence(tmp_path, dataset):
    write(tmp_path, dataset, 1, Convolutional())
    assert {path.name for path in tmp_path.iterdir()} == {
        "image 0.png",
        "image 0.truth.png",
        "image 0.panel.png",
        "image 0.evidence.png",
    }
    with Image.open(tmp_path / "image 0.evidence.png") as picture:
        assert picture.mode == "RGB"


def test_a_discriminator_is_asked_about_the_image_as_the_network_saw_it_and_leaves_a_picture(tmp_path, dataset):
    asked = []

    def score_map(images, logits):
        asked.append((images, logits))
        return logits.amax(dim=1, keepdim=True)

    packed = write(tmp_path, dataset, 1, score_map=score_map, boundary=0.0)
    assert (tmp_path / "image 0.critic.png").is_file()
    [(images, logits)] = asked
    torch.testing.assert_close(images, torch.from_numpy(packed.image(0)[None]) / 127.5 - 1)
    assert torch.equal(logits, BrightOrDark()(images))


def test_a_picture_of_evidence_that_takes_too_much_memory_is_left_out(tmp_path, dataset, monkeypatch):
    def fail(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("segbench.engine.pictures.samples.evidence_picture", fail)
    write(tmp_path, dataset, 1, Convolutional())
    assert {path.name for path in tmp_path.iterdir()} == {"image 0.png", "image 0.truth.png", "image 0.panel.png"}


def test_what_a_network_leaves_does_not_change_its_gradients(tmp_path, dataset):
    network = Convolutional()
    write(tmp_path, dataset, 1, network)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_pictures_are_not_written_through_links(tmp_path, dataset):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "victim").write_bytes(b"of somebody else")
    (tmp_path / "samples").symlink_to(tmp_path / "elsewhere")
    write(tmp_path / "samples", dataset, 1)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    (tmp_path / "samples" / "image 0.png").unlink()
    (tmp_path / "samples" / "image 0.png").symlink_to(tmp_path / "victim")
    write(tmp_path / "samples", dataset, 1)
    assert (tmp_path / "victim").read_bytes() == b"of somebody else"
