from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segbench import DataError
from segbench_data.description import default_palette
from segbench_data.voc2012 import build, download


def write_voc(folder, save):
    """The published layout: lists, JPEG images, and palette masks with 255 at the borders of objects."""
    (folder / "ImageSets" / "Segmentation").mkdir(parents=True)
    for split, stems in (("train", ["2007_000032", "2007_000039"]), ("val", ["2007_000033"])):
        (folder / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems))
        for stem in stems:
            save(folder / "JPEGImages" / f"{stem}.jpg", np.zeros((2, 2, 3), dtype=np.uint8))
            mask = Image.frombytes("P", (2, 2), bytes([0, 20, 255, 1]))
            mask.putpalette([part for colour in default_palette(256) for part in colour])
            (folder / "SegmentationClass").mkdir(exist_ok=True)
            mask.save(folder / "SegmentationClass" / f"{stem}.png")
    save(folder / "JPEGImages" / "2007_000027.jpg", np.zeros((2, 2, 3), dtype=np.uint8))  # not for segmentation
    (folder / "ImageSets" / "Segmentation" / "trainval.txt").write_text("2007_000032\n")


@pytest.mark.parametrize("place", [".", "VOC2012", "VOCdevkit/VOC2012"])
def test_the_published_layout_gives_train_and_val(tmp_path, save, place):
    write_voc(tmp_path / place, save)
    dataset = build(tmp_path)
    assert {split: samples.ids for split, samples in dataset.splits.items()} == {
        "train": ("2007_000032", "2007_000039"),
        "val": ("2007_000033",),
    }
    assert dataset.splits["val"][0].labels.tolist() == [[0, 20], [255, 1]]
    assert (len(dataset.classes), dataset.classes[0], dataset.classes[15]) == (21, "background", "person")


def test_a_listed_image_without_mask_is_refused(tmp_path, save):
    write_voc(tmp_path, save)
    (tmp_path / "SegmentationClass" / "2007_000039.png").unlink()
    with pytest.raises(DataError, match=r"train\.txt names '2007_000039', which has no mask"):
        build(tmp_path)


def test_another_layout_is_refused_with_where_to_get_the_data(tmp_path):
    with pytest.raises(DataError, match=r"no VOCdevkit/VOC2012/ .*fetch VOCtrainval_11-May-2012\.tar"):
        build(tmp_path)


def test_the_download_is_unpacked_where_build_looks(tmp_path, save, monkeypatch):
    from torchvision.datasets import voc

    fetched = []

    def unpack(url, root, filename, md5):
        fetched.append(url)
        write_voc(root / "VOCdevkit" / "VOC2012", save)

    monkeypatch.setattr(voc, "download_and_extract_archive", unpack)
    download(tmp_path)
    assert len(fetched) == 1
    assert fetched[0].endswith("VOCtrainval_11-May-2012.tar")
    assert len(build(tmp_path).splits["train"]) == 2


def test_a_failed_download_says_why_and_what_to_do_by_hand(tmp_path, monkeypatch):
    from torchvision.datasets import voc

    def fail(*arguments, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(voc, "download_and_extract_archive", fail)
    with pytest.raises(
        DataError, match=r"could not be downloaded \(OSError: no route to host\)\. By hand: fetch VOCtrain"
    ):
        download(tmp_path)
