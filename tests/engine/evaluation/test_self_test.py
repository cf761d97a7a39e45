from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from segbench import Dataset, Sample
from segbench.engine.data.cache import PackedIndex, PackedSplit, pack
from segbench.engine.evaluation.self_test import find_confused_classes, paint_and_decode, scores_of_a_guess, self_test
from segbench.errors import DataError
from segbench.registry import load_registry
from segbench.registry.datasets import open_dataset

IGNORE = 255
MAPS = [np.array([[0, 1, 1], [0, 2, IGNORE]]), np.array([[1, 1, IGNORE]]), np.array([[IGNORE, IGNORE]])]


def packed(*maps, num_classes=3, ignore_index=IGNORE, decoded=None):
    """A split of grey images with these labels, as if it had been decoded; `decoded` are the pixels by class then."""
    valid = [labels[labels != ignore_index] for labels in maps]
    found = sum(np.bincount(labels.astype(int), minlength=num_classes)[:num_classes] for labels in valid)
    index = PackedIndex(
        split="test",
        ids=tuple(f"image {i}" for i in range(len(maps))),
        sizes=tuple(labels.shape for labels in maps),
        channels=1,
        image_dtype="uint8",
        label_dtype="uint16",
        num_classes=num_classes,
        ignore_index=ignore_index,
        class_pixels=tuple(int(count) for count in (found if decoded is None else decoded)),
    )
    labels = np.concatenate([labels.ravel() for labels in maps]).astype(np.uint16)
    return PackedSplit(index, np.zeros(labels.shape, dtype=np.uint8), labels)


def test_class_0_everywhere_scores_what_was_worked_out_by_hand():
    # 7 labelled pixels: 2 of class 0, 4 of class 1, 1 of class 2; the IoU of class 0 is 2/7, the others are 0
    assert self_test("toy", packed(*MAPS)) == pytest.approx(2 / 7 / 3)


def test_the_expected_scores_of_a_guess_are_those_worked_out_by_hand():
    assert scores_of_a_guess(np.array([[6, 2, 0], [0, 4, 0], [0, 0, 0]])) == {
        "miou": pytest.approx(6 / 12 / 2),
        "pixel_accuracy": pytest.approx(6 / 12),
        "mean_accuracy": pytest.approx(1 / 2),
        "fwiou": pytest.approx(6 / 12 * 6 / 12),
        "dice": pytest.approx(2 * 6 / (12 + 6) / 2),
        "per_image_miou": pytest.approx((6 / 8 / 2 + 0) / 2),
    }


def test_a_guess_where_class_0_never_occurs_scores_0():
    assert self_test("toy", packed(np.array([[1, 1, 2]]))) == 0


def test_a_split_without_labels_has_no_score():
    assert self_test("toy", packed(MAPS[2])) is None


@given(arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.sampled_from([0, 1, 2, IGNORE])))
def test_any_label_map_passes(labels):
    miou = self_test("toy", packed(labels))
    assert (miou is None) == bool((labels == IGNORE).all())


IGNORED_IS_COUNTED = (
    ", image 'image 1': truth against itself: 2 pixels of class 1 are counted, 0 of them correctly; "
    "its labels hold 0 of that class"
)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        # ids 1 to 3 instead of 0 to 2: the counter would take 3 for ignored
        (packed(np.array([[1, 2, 3]])), ", image 'image 0' is labelled 3; allowed are the class ids 0 to 2"),
        # ignored pixels are labelled 255, and the dataset says 254
        (packed(*MAPS, ignore_index=254), ", image 'image 0' is labelled 255; allowed .* and 254 for ignored pixels"),
        # the ignored label is one of the classes: the counter would count it
        (packed(*MAPS[2:], MAPS[0], ignore_index=1, num_classes=256), IGNORED_IS_COUNTED),
        # labels in the cache were shifted after they had been decoded
        (packed(*MAPS, decoded=[4, 1, 2]), ": the cache holds other labels than were decoded, .* instead of .4, 1, 2."),
    ],
)
def test_a_broken_dataset_is_refused_with_its_name_its_split_and_its_image(broken, message):
    with pytest.raises(DataError, match=f"^dataset toy: split 'test'{message}"):
        self_test("dataset toy", broken)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(pixels, dtype=np.uint8)).save(path)


def save_pair(image, mask, values):
    """A grey strip and its mask, a pixel for each value."""
    save(image, np.zeros((2, len(values), 3)))
    save(mask, [values, values[::-1]])


def write_nothing(root):
    """Datasets that need no files."""


def write_folder(root):
    (root / "dataset.json").write_text(json.dumps({"classes": ["ground", "thing"]}))
    save_pair(root / "images" / "a.png", root / "masks" / "a.png", [0, 1, 255])
    (root / "splits").mkdir()
    (root / "splits" / "test.txt").write_text("a")


def write_camvid(root):
    for split in ("train", "test"):
        save_pair(root / split / "a.png", root / f"{split}annot" / "a.png", range(12))


def write_voc2012(root):
    save_pair(root / "JPEGImages" / "a.png", root / "SegmentationClass" / "a.png", [*range(21), 255])
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    for split in ("train", "val"):
        (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("a")


def write_oxford_pets(root):
    stems = [f"Bengal_{number}" for number in range(40)]
    for stem in stems:
        save_pair(root / "images" / f"{stem}.jpg", root / "annotations" / "trimaps" / f"{stem}.png", [1, 2, 3])
    for split in ("trainval", "test"):
        (root / "annotations" / f"{split}.txt").write_text("".join(f"{stem} 1 1 1\n" for stem in stems))


def write_cityscapes(root):
    for split in ("train", "val"):
        image = root / "leftImg8bit" / split / "aachen" / "a_leftImg8bit.png"
        save_pair(image, root / "gtFine" / split / "aachen" / "a_gtFine_labelIds.png", range(34))


def write_isic(root):
    for part, stem in (("Training", "ISIC_0000000"), ("Test", "ISIC_0012169")):
        mask = root / f"ISIC2018_Task1_{part}_GroundTruth" / f"{stem}_segmentation.png"
        save_pair(root / f"ISIC2018_Task1-2_{part}_Input" / f"{stem}.jpg", mask, [0, 255, 255])


def write_drive(root):
    for number in (21, 25):
        folder, name = root / "training", f"{number}_training"
        save_pair(folder / "images" / f"{name}.tif", folder / "1st_manual" / f"{number}_manual1.gif", [0, 255, 255])
        save(folder / "mask" / f"{name}_mask.gif", [[255, 255, 0], [255, 255, 0]])


# Every dataset of data/, by a function that writes its published layout with every label value.
LAYOUTS = {
    "nuclei": write_nothing,
    "shapes": write_nothing,
    "folder": write_folder,
    "camvid": write_camvid,
    "voc2012": write_voc2012,
    "oxford_pets": write_oxford_pets,
    "cityscapes": write_cityscapes,
    "isic": write_isic,
    "drive": write_drive,
}
REAL = ["camvid", "nuclei_dsb2018", "aerial_dubai", "retina_chase_db1"]


def opened(name, tmp_path):
    LAYOUTS[name](tmp_path)
    root = None if LAYOUTS[name] is write_nothing else str(tmp_path)
    return open_dataset(load_registry().find("dataset", f"data/{name}"), root, {})


def guessed(dataset, who):
    """The mIoU of class 0 everywhere by split, of a dataset that passed."""
    return {split: self_test(who, pack(dataset, split, "cache-key")) for split in dataset.splits}


def test_every_dataset_of_data_is_tested_here():
    offers = load_registry().offers("dataset")
    assert {offer.component.name for offer in offers if offer.full_name.startswith("data/")} == set(LAYOUTS)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_dataset_of_data_passes(name, tmp_path):
    dataset = opened(name, tmp_path)
    guesses = guessed(dataset, f"data/{name}")
    assert set(guesses) == set(dataset.splits)
    assert all(0 < guess < 1 for guess in guesses.values())


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_palette_of_data_decodes_to_its_classes(name, tmp_path):
    dataset = opened(name, tmp_path)
    assert find_confused_classes(dataset) == []
    sample = dataset.splits["test" if "test" in dataset.splits else "val"][0]
    assert_decodes_to_itself(sample.labels, dataset)


def assert_decodes_to_itself(labels, dataset):
    truth = torch.from_numpy(labels.astype(np.int64))[None]
    labelled = truth != dataset.ignore_index
    assert torch.equal(paint_and_decode(truth, dataset)[labelled].long(), truth[labelled])


@pytest.mark.slow
@pytest.mark.parametrize("folder", REAL)
def test_real_datasets_pass_and_their_palettes_decode(folder, shared_data):
    dataset = open_dataset(load_registry().find("dataset", "data/folder"), str(shared_data / folder), {})
    assert all(0 < guess < 1 for guess in guessed(dataset, folder).values())
    assert_decodes_to_itself(dataset.splits["test"][0].labels, dataset)


def test_equal_colours_of_a_palette_are_found():
    sample = Sample(np.zeros((1, 3), dtype=np.uint8), np.array([[0, 1, 2]], dtype=np.uint8), "only")
    dataset = Dataset(["sky", "road", "tree"], [(9, 9, 9), (0, 0, 0), (9, 9, 9)], {"test": [sample]}, channels=1)
    assert find_confused_classes(dataset) == [("tree", "sky")]
    with pytest.raises(AssertionError):
        assert_decodes_to_itself(sample.labels, dataset)


def test_colours_that_differ_by_one_step_decode_to_their_own_class():
    assert find_confused_classes(Dataset(["a", "b"], [(254, 7, 9), (255, 7, 9)], {})) == []
