"""Each check of datasets catches a wrong one that no other check catches; right ones pass all."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from segbench import Dataset, Sample
from segbench.registry import load_registry
from segbench.testing import datasets as dataset_samples
from segbench.testing.check import run_check
from segbench.testing.datasets import CHECKS, image_contents, torch_is_not_imported

CLASSES = ("ground", "left", "right", "both")


SIZE = (24, 32)


BUILDS = itertools.count()


def sample(name, seed, labels=None):
    generator = np.random.default_rng(seed)
    if labels is None:
        labels = generator.integers(0, len(CLASSES), (6, 8), dtype=np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    return Sample(generator.integers(0, 256, (*labels.shape, 3), dtype=np.uint8), labels, name)


def dataset(**changes):
    """Return a right dataset of four samples in two splits, some of its parts changed."""
    splits = {"train": [sample("a", 0), sample("b", 1), sample("c", 2)], "test": [sample("d", 3)]}
    palette = ((0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255))
    right = Dataset(CLASSES, palette, splits, licence="CC0", citation="Drawn by a test.")
    return replace(right, **changes)


def with_test(*samples):
    return dataset(splits={"train": dataset().splits["train"], "test": list(samples)})


def short_palette():
    return dataset(palette=((0, 0, 0),))


def without_licence():
    return dataset(licence="")


def without_citation():
    return dataset(citation=Dataset.citation)


def float_images():
    right = sample("d", 3)
    return with_test(right._replace(image=right.image / np.float32(255)))


def grey_images():
    right = sample("d", 3)
    return with_test(right._replace(image=right.image[..., 0]))


def label_of_no_class():
    wrong = sample("d", 3)
    wrong.labels[0, 0] = len(CLASSES)
    return with_test(wrong)


def interpolated():
    """Return ten classes whose label maps were enlarged by PIL's default."""
    blocks = np.random.default_rng(0).integers(0, 10, (12, 12), dtype=np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    labels = np.asarray(Image.fromarray(blocks).resize((96, 96), Image.Resampling.BILINEAR))
    names = tuple(f"class {number}" for number in range(10))
    colours = tuple((20 * number, 0, 0) for number in range(10))
    splits = {"train": [sample("a", 0, labels)], "test": [sample("b", 1, labels)]}
    return dataset(classes=names, palette=colours, splits=splits)


def id_twice():
    return with_test(sample("d", 3), sample("d", 4))


class MisnamedSplit(list):
    ids = ("d", "e")


def ids_that_are_not_the_samples():
    return dataset(splits={"test": MisnamedSplit([sample("d", 3), sample("f", 4)])})


def id_in_two_splits():
    return with_test(sample("a", 3))


def image_in_two_splits():
    return with_test(sample("d", 0))


def nothing_labelled():
    return with_test(sample("d", 3, np.full(SIZE, 255, dtype=np.uint8)))


def colour_twice():
    return dataset(palette=((0, 0, 0), (255, 0, 0), (0, 255, 0), (255, 0, 0)))


def another_order_every_time():
    turned = next(BUILDS) % 3
    train = dataset().splits["train"]
    return dataset(splits={"train": train[turned:] + train[:turned], "test": dataset().splits["test"]})


def test_a_right_dataset_passes_every_check(found_by):
    assert found_by(CHECKS, "dataset", lambda: dataset()) == []


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        (short_palette, "dataset_opens"),
        (without_licence, "licence_and_citation_are_stated"),
        (without_citation, "licence_and_citation_are_stated"),
        (float_images, "images_and_labels_are_arrays_that_fit"),
        (grey_images, "images_and_labels_are_arrays_that_fit"),
        (label_of_no_class, "labels_are_classes_or_ignored"),
        (interpolated, "masks_are_never_interpolated"),
        (id_twice, "ids_are_unique"),
        (ids_that_are_not_the_samples, "ids_are_unique"),
        (id_in_two_splits, "splits_share_no_id"),
        (image_in_two_splits, "splits_share_no_image"),
        (nothing_labelled, "truth_scores_one"),
        (colour_twice, "palette_tells_classes_apart"),
        (another_order_every_time, "order_is_the_same_every_time"),
    ],
)
def test_a_wrong_dataset_is_caught_by_one_check_alone(wrong, check, found_by):
    assert found_by(CHECKS, "dataset", lambda: wrong()) == [check]


class MaskFiles:
    """One sample, its mask read from a file and resized."""

    def __init__(self, folder, resampling):
        self.files = ((folder / "image.png", folder / "mask.png"),)
        self.ids = ("a",)
        self.resampling = resampling

    def __len__(self):
        return 1

    def __getitem__(self, index):
        image, mask = (Image.open(file).resize((80, 60), self.resampling) for file in self.files[index])
        return Sample(np.asarray(image), np.asarray(mask), "a")


@pytest.mark.parametrize(("resampling", "found"), [("NEAREST", []), ("BICUBIC", ["masks_are_never_interpolated"])])
def test_masks_that_are_resized_are_held_beside_their_files(resampling, found, found_by, tmp_path):
    stripes = np.where(np.arange(100) % 13 < 6, np.uint8(0), np.uint8(2))
    right = sample("a", 0, np.maximum.outer(stripes, stripes))
    Image.fromarray(right.image).save(tmp_path / "image.png")
    Image.fromarray(right.labels).save(tmp_path / "mask.png")
    split = MaskFiles(tmp_path, Image.Resampling[resampling])
    assert found_by(CHECKS, "dataset", lambda: dataset(splits={"test": split})) == found


SOURCE = """
import numpy as np
from segbench import Component, Dataset, Sample, hookimpl

def build():
    {when_built}
    names = {names}
    samples = [Sample(np.full((8, 8, 3), ord(n[-1]), np.uint8), np.eye(8, dtype=np.uint8), n) for n in names]
    return Dataset(("a", "b"), ((0, 0, 0), (9, 9, 9)), {{"test": samples}}, licence="CC0", citation="A test.")

@hookimpl
def segbench_datasets():
    yield Component("drawn", build, "Drawn by a test")
"""


NAMES = "[f'sample {n}' for n in 'abcdefgh']"


@pytest.mark.parametrize(
    ("when_built", "names", "found"),
    [
        ("pass", NAMES, []),
        ("import torch", NAMES, ["torch_is_not_imported"]),
        ("pass", f"set({NAMES})", ["order_is_the_same_every_time"]),
    ],
)
def test_an_installed_dataset_is_opened_in_another_process(when_built, names, found, install_plugin):
    source = SOURCE.format(when_built=when_built, names=names)
    install_plugin("theirs", {"theirs": "their_data"}, {"their_data.py": source})
    offer = load_registry().find("dataset", "theirs/drawn")
    results = [run_check(check, offer) for check in CHECKS]
    assert [result.check for result in results if result.outcome == "failed"] == found


def test_who_imports_torch_is_named(install_plugin):
    source = SOURCE.format(when_built="import torch", names=NAMES)
    install_plugin("theirs", {"theirs": "their_data"}, {"their_data.py": source})
    result = run_check(torch_is_not_imported, load_registry().find("dataset", "theirs/drawn"))
    assert result.message.startswith("their_data imports torch")


def test_a_dataset_whose_files_are_missing_is_skipped_with_their_place(monkeypatch, tmp_path):
    monkeypatch.setenv("SEGBENCH_DATA", str(tmp_path))
    offer = load_registry().find("dataset", "data/camvid")
    results = [run_check(check, offer) for check in CHECKS]
    assert {result.outcome for result in results} == {"skipped"}
    assert all(str(tmp_path / "camvid") in result.message for result in results)


def test_the_synthetic_shapes_pass_every_check():
    offer = load_registry().find("dataset", "data/shapes")
    assert {run_check(check, offer).outcome for check in CHECKS} == {"passed"}


@pytest.mark.slow
def test_camvid_passes_every_check(monkeypatch, tmp_path, shared_data):
    (tmp_path / "camvid").symlink_to(shared_data / "camvid")
    monkeypatch.setenv("SEGBENCH_DATA", str(tmp_path))
    offer = load_registry().find("dataset", "data/camvid")
    assert {run_check(check, offer).outcome for check in CHECKS} == {"passed"}


class Files:
    """Samples whose image is the number in their file."""

    def __init__(self, files):
        self.files = tuple((file,) for file in files)
        self.ids = tuple(file.name for file in files)

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        (file,) = self.files[index]
        image = np.full((2, 2), int(file.read_text()), np.uint8)
        return Sample(image, np.zeros((2, 2), np.uint8), file.name)


@pytest.fixture
def numbers(tmp_path):
    """Splits of files that hold numbers: 3 is in both, and is written in two ways in the second."""
    splits = {}
    for name, texts in (("train", ["1", "2", "3"]), ("test", ["3", "03", "4"])):
        files = [tmp_path / f"{name}-{place}" for place in range(len(texts))]
        for file, text in zip(files, texts, strict=True):
            file.write_text(text)
        splits[name] = Files(files)
    return Dataset(("a",), ((0, 0, 0),), splits, channels=1)


def shared(contents):
    return [contents["test"][one] for one in contents["train"].keys() & contents["test"].keys()]


def test_images_are_compared_pixel_by_pixel(numbers):
    contents = image_contents(numbers)
    assert len(contents["train"]) == 3
    assert len(shared(contents)) == 1


def test_of_many_images_those_of_equal_files_are_compared(numbers, monkeypatch):
    monkeypatch.setattr(dataset_samples, "MOST_IMAGES", 2)
    contents = image_contents(numbers)
    assert [list(contents[name].values()) for name in ("train", "test")] == [["train-2"], ["test-0"]]
