from __future__ import annotations

import numpy as np
import pytest

from segbench import DataError, Dataset, Sample
from segbench.engine.data.cache import pack
from segbench.engine.data.classes import absent_classes, check_classes

CLASSES = ["sky", "road", "tree"]


def packed(*values):
    labels = np.array([values], np.uint8)
    sample = Sample(np.zeros((1, len(values)), np.uint8), labels, "a")
    dataset = Dataset(CLASSES, [(0, 0, 0)] * 3, {"train": [sample]}, channels=1)
    return pack(dataset, "train", f"key {values}")


def test_nothing_is_said_where_every_class_occurs():
    check_classes(packed(0, 2, 1), CLASSES)


def test_a_class_that_never_occurs_is_an_error_with_the_cure():
    with pytest.raises(DataError) as error:
        check_classes(packed(0, 2, 255), CLASSES)
    assert str(error.value) == (
        "class 'road' never occurs in the labels of split 'train' (images: 1); remove what is absent from the dataset, "
        "or set `absent_classes: allow` in the protocol"
    )


def test_all_absent_classes_are_named():
    with pytest.raises(DataError, match="classes 'sky', 'tree' never occur in"):
        check_classes(packed(1), CLASSES)
    assert absent_classes(packed(1), CLASSES) == ["sky", "tree"]
