from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from segbench import DataError
from segbench_data.drawing import colour_table
from segbench_data.shapes import KINDS, build, forms

DIGEST = (
    "from segbench_data.shapes import build; import hashlib;"
    "sample = build(seed=3).splits['val'][5];"
    "print(hashlib.sha256(sample.image.tobytes() + sample.labels.tobytes()).hexdigest())"
)


def digest(sample):
    return hashlib.sha256(sample.image.tobytes() + sample.labels.tobytes()).hexdigest()


def classes_in(split):
    return set(np.unique(np.concatenate([split[i].labels.ravel() for i in range(len(split))])))


def test_samples_have_the_shape_that_was_asked_for():
    dataset = build(size=(40, 56), classes=5, train=3, val=2, test=1, channels=6)
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 3, "val": 2, "test": 1}
    sample = dataset.splits["train"][0]
    assert (sample.image.shape, sample.image.dtype) == ((40, 56, 6), np.uint8)
    assert (sample.labels.shape, sample.labels.dtype) == ((40, 56), np.uint8)
    assert len(dataset.classes) == len(set(dataset.classes)) == len(set(dataset.palette)) == 5


def test_16_bits_use_the_whole_range():
    image = build(bits=16).splits["train"][0].image
    assert image.dtype == np.uint16
    assert image.max() > 50_000


def test_pixels_are_the_same_in_another_process_and_on_another_machine():
    known = digest(build(seed=3).splits["val"][5])
    again = subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True)
    assert again.stdout.strip() == known
    assert known == "43860573052f76f33b1b342581085785fc5cbc706199f959841d91a9306a8038"


def test_seed_split_and_index_each_change_the_pixels():
    dataset = build()
    samples = [dataset.splits["train"][0], dataset.splits["train"][1], dataset.splits["val"][0]]
    samples.append(build(seed=1).splits["train"][0])
    assert len({digest(sample) for sample in samples}) == 4


@pytest.mark.parametrize("options", [{}, {"classes": 40}, {"classes": 300, "size": (160, 160)}, {"train": 1}])
def test_every_class_occurs_in_every_split(options):
    dataset = build(**options)
    for split in dataset.splits.values():
        assert classes_in(split) == set(range(len(dataset.classes)))


def test_every_class_has_a_form_and_colour_of_its_own():
    for classes in (2, 3, 4, 7, 60):
        kinds, colours = forms(classes)
        assert len(set(zip(kinds, colours, strict=True))) == classes - 1
        assert max(kinds) < len(KINDS)
    # Neither form nor colour alone tells the classes apart.
    assert forms(5) == ((0, 1, 0, 1), (0, 0, 1, 1))


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_colours_differ_from_each_other_and_from_the_ground(channels):
    table = colour_table(8, channels)
    assert len({tuple(colour) for colour in table.tolist()}) == 8
    assert (np.abs(table - 120).max(axis=1) > 50).all()


def test_more_than_255_classes_have_16_bit_labels():
    dataset = build(classes=300, size=(160, 160))
    assert dataset.ignore_index == 65535
    assert dataset.splits["train"][0].labels.dtype == np.uint16


def test_a_split_without_images_is_left_out():
    assert list(build(val=0).splits) == ["train", "test"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 1}, "classes 1 will not do"),
        ({"channels": 0}, "channels 0 will not do"),
        ({"channels": 10**9}, "will not do"),
        ({"size": (10**8, 10**8)}, r"size \[100000000, 100000000\] with channels 3 will not do"),
        ({"train": 10**9}, "'train': 1000000000.* will not do"),
        ({"seed": -1}, "seed -1 will not do"),
        ({"noise": 2.0}, "noise 2 will not do"),
        ({"train": -1}, "'train': -1.* will not do"),
        ({"train": 0, "val": 0, "test": 0}, "will not do"),
        ({"size": (8, 64)}, r"up to 6 shapes do not fit into 8x64 pixels; choose a size of at least 18"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(DataError, match=message):
        build(**options)
