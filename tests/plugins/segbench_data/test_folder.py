from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from segbench import DataError
from segbench.images import Reading
from segbench.registry import load_registry
from segbench.registry.datasets import open_dataset

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ["ground", "thing"]


def open_folder(root: Path, **options):
    return open_dataset(load_registry().find("dataset", "data/folder"), str(root), options)


def labels(dataset, split="train"):
    return {
        sample.id: sample.labels.tolist()
        for sample in map(dataset.splits[split].__getitem__, range(len(dataset.splits[split])))
    }


def write_splits(root, **splits):
    (root / "splits").mkdir()
    for split, stems in splits.items():
        (root / "splits" / f"{split}.txt").write_text("\n".join(stems))


def test_the_usual_layout_needs_no_option(tmp_path, save_pair):
    root = tmp_path / "my data"
    for stem in ("one", "two words", "three"):
        save_pair(root, stem, [[0, 1, 255]])
    write_splits(root, train=["two words", "one"], test=["three"])
    entries = [{"id": 0, "name": "ground", "rgb": [1, 2, 3]}, {"id": 1, "name": "thing", "rgb": [4, 5, 6]}]
    (root / "dataset.json").write_text(json.dumps({"classes": entries, "licence": "CC0", "citation": ["A.", "B."]}))
    dataset = open_folder(root)
    assert dataset.classes == ("ground", "thing")
    assert dataset.palette == ((1, 2, 3), (4, 5, 6))
    assert (dataset.ignore_index, dataset.channels, dataset.licence, dataset.citation) == (255, 3, "CC0", "A.\nB.")
    assert {split: samples.ids for split, samples in dataset.splits.items()} == {
        "train": ("two words", "one"),
        "test": ("three",),
    }
    assert dataset.splits["train"].files[0] == (root / "images" / "two words.png", root / "masks" / "two words.png")
    sample = dataset.splits["train"][0]
    assert (sample.id, sample.image.shape, sample.labels.tolist()) == ("two words", (1, 3, 3), [[0, 1, 255]])


def test_without_split_files_images_are_dealt_by_their_names(tmp_path, save_pair):
    for number in range(20):
        save_pair(tmp_path, f"{number}")
    dataset = open_folder(tmp_path, classes=CLASSES)
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 14, "val": 2, "test": 4}
    halves = open_folder(tmp_path, classes=CLASSES, fractions={"train": 0.5, "val": 0.5})
    assert {split: len(samples) for split, samples in halves.splits.items()} == {"train": 10, "val": 10}


def test_fractions_win_over_split_files(tmp_path, save_pair):
    for stem in "abcd":
        save_pair(tmp_path, stem)
    write_splits(tmp_path, train=["a"])
    dataset = open_folder(tmp_path, classes=CLASSES, fractions={"train": 0.75, "test": 0.25})
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 3, "test": 1}


def test_masks_may_lie_beside_the_images(tmp_path, save):
    for stem in "abc":
        save(tmp_path / f"{stem}.jpg", np.zeros((2, 2, 3), dtype=np.uint8))
        save(tmp_path / f"{stem}_mask.png", [[0, 1], [1, 0]])
    dataset = open_folder(tmp_path, classes=CLASSES, images=".", mask_suffix="_mask")
    assert sorted(name for split in dataset.splits.values() for name in split.ids) == ["a", "b", "c"]
    assert dataset.splits["train"].files[0][1].name.endswith("_mask.png")


def test_both_files_may_have_suffixes_and_folders_of_their_own(tmp_path, save):
    save(tmp_path / "photos" / "a_rgb.bmp", np.zeros((1, 2, 3), dtype=np.uint8))
    save(tmp_path / "photos" / "a_depth.png", np.zeros((1, 2), dtype=np.uint16))
    save(tmp_path / "truth" / "a_label.png", [[0, 1]])
    dataset = open_folder(
        tmp_path,
        classes=CLASSES,
        images="photos",
        masks="truth",
        image_suffix="_rgb",
        mask_suffix="_label",
        fractions={"train": 1},
    )
    assert labels(dataset) == {"a": [[0, 1]]}


def test_values_may_stand_for_classes_and_void(tmp_path, save_pair):
    save_pair(tmp_path, "a", [[0, 128, 255, 64]])
    dataset = open_folder(
        tmp_path,
        classes=CLASSES,
        values={"ground": 0, "thing": [128, 255], "ignore": 64},
        ignore_index=9,
        fractions={"train": 1},
    )
    assert labels(dataset) == {"a": [[0, 1, 1, 9]]}


def test_unlisted_values_are_refused_or_ignored(tmp_path, save_pair):
    save_pair(tmp_path, "a", [[0, 1, 7]])
    options = {"classes": CLASSES, "fractions": {"train": 1}}
    with pytest.raises(DataError, match=r"a\.png: the mask holds the value 7"):
        labels(open_folder(tmp_path, **options))
    assert labels(open_folder(tmp_path, **options, unlisted="ignore")) == {"a": [[0, 1, 255]]}


def test_colours_may_stand_for_classes_and_are_the_palette(tmp_path, save):
    save(tmp_path / "images" / "a.png", np.zeros((1, 3, 3), dtype=np.uint8))
    save(tmp_path / "masks" / "a.png", [[[0, 0, 0], [128, 64, 128], [0, 0, 142]]])
    dataset = open_folder(
        tmp_path,
        classes=CLASSES,
        colours={"thing": [[0, 0, 142], [0, 0, 143]], "ground": [128, 64, 128], "ignore": [0, 0, 0]},
        fractions={"train": 1},
    )
    assert labels(dataset) == {"a": [[255, 0, 1]]}
    assert dataset.palette == ((128, 64, 128), (0, 0, 142))


@pytest.mark.parametrize(
    ("option", "table", "mask"),
    [
        ("colours", {"thing": [0, 0, 142], "ignore": [0, 0, 0], "ground": [128, 64, 128]}, [[[0, 0, 142], [0, 0, 0]]]),
        ("values", {"thing": 5, "ignore": 0, "ground": 7}, [[5, 0]]),
    ],
)
def test_classes_follow_from_the_table_that_names_them(tmp_path, save, option, table, mask):
    save(tmp_path / "images" / "a.png", np.zeros((1, 2, 3), dtype=np.uint8))
    save(tmp_path / "masks" / "a.png", mask)
    dataset = open_folder(tmp_path, fractions={"train": 1}, **{option: table})
    assert dataset.classes == ("thing", "ground")
    assert labels(dataset) == {"a": [[0, 255]]}


def test_names_of_the_description_win_over_those_of_a_table(tmp_path, save_pair):
    save_pair(tmp_path, "a", [[5, 7]])
    (tmp_path / "dataset.json").write_text(json.dumps({"classes": ["ground", "thing"]}))
    dataset = open_folder(tmp_path, fractions={"train": 1}, values={"thing": 5, "ground": 7})
    assert labels(dataset) == {"a": [[1, 0]]}


@pytest.mark.parametrize(("train", "val", "test"), [("train", "val", "test"), ("training", "valid", "testing")])
def test_splits_may_have_folders_of_their_own(tmp_path, save_pair, train, val, test):
    for folder, stem in ((train, "a"), (val, "b"), (test, "c")):
        save_pair(tmp_path / folder, stem)
    dataset = open_folder(tmp_path, classes=CLASSES, images="{split}/images", masks="{split}/masks")
    assert {split: samples.ids for split, samples in dataset.splits.items()} == {
        "train": ("a",),
        "val": ("b",),
        "test": ("c",),
    }


def test_masks_may_lie_beside_the_images_of_each_split_and_a_split_without_masks_is_left_out(tmp_path, save):
    for folder in ("images/train", "labels/train", "images/test"):
        save(tmp_path / folder / "a.png", [[0, 1]])
    dataset = open_folder(tmp_path, classes=CLASSES, images="images/{split}", masks="labels/{split}")
    assert [*dataset.splits] == ["train"]
    save(tmp_path / "train" / "b.jpg", np.zeros((1, 2, 3), dtype=np.uint8))
    save(tmp_path / "train" / "b_mask.png", [[0, 1]])
    assert labels(open_folder(tmp_path, classes=CLASSES, images="{split}", mask_suffix="_mask")) == {"b": [[0, 1]]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": "{split}/images"}, r"images: \{split\}/images, masks: masks; \{split\} stands in both"),
        (
            {"images": "{split}", "masks": "{split}", "mask_suffix": "_m", "fractions": {"train": 1}},
            "without fractions",
        ),
        ({"images": "i/{split}", "masks": "m/{split}"}, "no split has folders"),
    ],
)
def test_folders_of_splits_that_do_not_fit_are_refused(tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        open_folder(tmp_path, classes=CLASSES, **options)


def test_masks_in_colour_are_read_by_the_palette_of_the_description(tmp_path, save):
    save(tmp_path / "images" / "a.png", np.zeros((1, 3, 3), dtype=np.uint8))
    save(tmp_path / "masks" / "a.png", [[[9, 9, 9], [4, 5, 6], [1, 2, 3]]])
    entries = [{"id": 0, "name": "ground", "rgb": [1, 2, 3]}, {"id": 1, "name": "thing", "rgb": [4, 5, 6]}]
    (tmp_path / "dataset.json").write_text(json.dumps({"classes": entries, "ignore_rgb": [9, 9, 9]}))
    assert labels(open_folder(tmp_path, fractions={"train": 1})) == {"a": [[255, 1, 0]]}


def test_16_bit_images_and_labels_come_as_they_are(tmp_path, save):
    pixels = save(tmp_path / "images" / "a.png", np.array([[0, 1000, 65535]], dtype=np.uint16))
    save(tmp_path / "masks" / "a.png", np.array([[0, 299, 999]], dtype=np.uint16))
    dataset = open_folder(
        tmp_path,
        classes=[f"class {i}" for i in range(300)],
        ignore_index=999,
        channels=1,
        fractions={"train": 1},
    )
    sample = dataset.splits["train"][0]
    assert np.array_equal(sample.image[..., 0], pixels)
    assert sample.labels.tolist() == [[0, 299, 999]]


def test_an_image_without_mask_is_refused(tmp_path, save_pair, save):
    save_pair(tmp_path, "a")
    save(tmp_path / "images" / "b.png", [[0]])
    with pytest.raises(DataError, match=r"image without mask: .*b\.png"):
        open_folder(tmp_path, classes=CLASSES)


def test_a_split_file_that_names_a_missing_stem_is_refused(tmp_path, save_pair):
    save_pair(tmp_path, "a")
    write_splits(tmp_path, train=["a", "b"])
    with pytest.raises(DataError, match=r"train\.txt names 'b', which has no image; add the file or remove the line"):
        open_folder(tmp_path, classes=CLASSES)


def test_sizes_that_differ_are_refused_with_both_files(tmp_path, save):
    save(tmp_path / "images" / "a.png", np.zeros((4, 5, 3), dtype=np.uint8))
    save(tmp_path / "masks" / "a.png", np.zeros((4, 4), dtype=np.uint8))
    dataset = open_folder(tmp_path, classes=CLASSES, fractions={"train": 1})
    with pytest.raises(DataError, match=r"images/a\.png is 5x4 pixels, its mask .*masks/a\.png 4x4"):
        dataset.splits["train"][0]


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_a_truncated_file_is_named_when_it_is_read(tmp_path, save_pair, folder):
    save_pair(tmp_path, "a", np.zeros((50, 50)))
    path = tmp_path / folder / "a.png"
    path.write_bytes(path.read_bytes()[:50])
    dataset = open_folder(tmp_path, classes=CLASSES, fractions={"train": 1})
    with pytest.raises(DataError, match=rf"{folder}/a\.png: cannot be read as an image"):
        dataset.splits["train"][0]


def test_one_image_alone_is_refused(tmp_path, save_pair):
    save_pair(tmp_path, "a")
    with pytest.raises(DataError, match="images: one image cannot be split into train, val, test"):
        open_folder(tmp_path, classes=CLASSES)


@pytest.mark.parametrize("made", [[], ["images", "masks"]])
def test_missing_and_empty_folders_are_refused(tmp_path, made):
    for name in made:
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="images: no images" if made else "no folder .*images"):
        open_folder(tmp_path, classes=CLASSES)


def test_classes_must_be_named_somewhere(tmp_path, save_pair):
    save_pair(tmp_path, "a")
    with pytest.raises(DataError, match=r"`classes: \[background, nucleus\]` or in a dataset\.json"):
        open_folder(tmp_path, values={"ignore": 2})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"values": {"ground": 0, "thing": 1}, "colours": {"ground": [0, 0, 0], "thing": [1, 1, 1]}}, "both given"),
        ({"values": {"ground": 0}}, "the class 'thing' has no entry"),
        ({"masks": "images"}, "told apart by mask_suffix"),
        ({"ignore_index": 0}, r"give values: \{ignore: 0, ground: 1, thing: 2\}"),
        ({"ignore_index": -1}, r"give values: \{ignore: 0, ground: 1, thing: 2\}"),
        ({"bits": 8}, "from 9 to 16"),
        ({"max_pixels": 0}, "1 or more"),
        ({"pages": "classes", "values": {"ground": 0, "thing": 1}}, "reads no values and no colours"),
        ({"ignore_index": 1}, r"ignore_index: 1 cannot .* give values: \{ignore: 1, ground: 0, thing: 2\}"),
        ({"channels": 0}, "channels is 0"),
        ({"fractions": {"train": 0.5}}, "add up to 0.5"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, save_pair, options, message):
    for stem in "abc":
        save_pair(tmp_path, stem)
    with pytest.raises(DataError, match=message):
        open_folder(tmp_path, classes=CLASSES, **options)


@pytest.mark.parametrize("name", ["camvid", "nuclei_dsb2018", "aerial_dubai", "retina_chase_db1"])
def test_real_datasets_hold_what_their_description_says(shared_data, name):
    dataset = open_folder(shared_data / name)
    stated = json.loads((shared_data / name / "dataset.json").read_text())["statistics"]
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {
        split: numbers["images"] for split, numbers in stated.items()
    }
    split = min(stated, key=lambda split: stated[split]["labelled_pixels"])
    counts = np.zeros(256, dtype=np.int64)
    for index in range(len(dataset.splits[split])):
        counts += np.bincount(dataset.splits[split][index].labels.ravel(), minlength=256)
    classes = len(dataset.classes)
    assert counts[:classes].sum() == stated[split]["labelled_pixels"]
    assert counts[255] == stated[split]["ignored_pixels"]
    assert counts[:classes] / counts[:classes].sum() == pytest.approx(stated[split]["class_pixel_fraction"], abs=1e-6)


def save_turned(path, pixels):
    exif = Image.Exif()
    exif[274] = 6
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, exif=exif)


def test_photos_with_an_orientation_tag_are_refused_applied_or_left_as_asked(tmp_path, save):
    save_turned(tmp_path / "images" / "a.png", np.zeros((2, 3, 3)))
    save(tmp_path / "masks" / "a.png", [[0, 1], [1, 1], [0, 0]])
    options = {"classes": CLASSES, "fractions": {"train": 1.0}}
    with pytest.raises(DataError, match="set orientation: apply"):
        labels(open_folder(tmp_path, **options))
    assert labels(open_folder(tmp_path, **options, orientation="apply")) == {"a": [[0, 1], [1, 1], [0, 0]]}
    with pytest.raises(DataError, match=r"its orientation tag \(6\) says that it is shown .*, so give both one size"):
        labels(open_folder(tmp_path, **options, orientation="stored"))


def test_how_files_are_read_stands_in_the_dataset(tmp_path, save_pair):
    save_pair(tmp_path, "a")
    dataset = open_folder(tmp_path, classes=CLASSES, fractions={"train": 1.0}, bits=12, max_pixels=7)
    assert dataset.reading == Reading(orientation="refuse", bits=12, max_pixels=7)


def test_pages_are_classes_where_asked(tmp_path, save):
    save(tmp_path / "images" / "a.png", np.zeros((1, 3, 3), np.uint8))
    first, second = (Image.fromarray(np.array([page], np.uint8)) for page in ([1, 0, 0], [0, 1, 0]))
    (tmp_path / "masks").mkdir()
    first.save(tmp_path / "masks" / "a.tif", save_all=True, append_images=[second])
    dataset = open_folder(tmp_path, classes=CLASSES, fractions={"train": 1.0}, pages="classes")
    assert labels(dataset) == {"a": [[0, 1, 255]]}


def test_a_folder_whose_images_all_lie_deeper_says_so(tmp_path, save_pair):
    save_pair(tmp_path, "a")
    (tmp_path / "images" / "site").mkdir()
    (tmp_path / "images" / "a.png").rename(tmp_path / "images" / "site" / "a.png")
    with pytest.raises(DataError, match="no images; 1 lie in folders below it, which are not read"):
        open_folder(tmp_path, classes=CLASSES)


def test_a_link_without_a_target_is_an_error_and_no_pair_less(tmp_path, save_pair):
    save_pair(tmp_path, "a")
    for folder in ("images", "masks"):
        (tmp_path / folder / "b.png").symlink_to("/nowhere/b.png")
    with pytest.raises(DataError, match=r"b\.png is a link to /nowhere/b\.png"):
        open_folder(tmp_path, classes=CLASSES)
