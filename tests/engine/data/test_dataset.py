from __future__ import annotations

import numpy as np
import pytest
import torch

from segbench import Dataset, Sample
from segbench.engine.data.dataset import CellData, choose_evenly, common_size

CPU = torch.device("cpu")


def test_a_split_is_decoded_and_brought_to_the_device_once(dataset):
    data = CellData(dataset, "two colours", CPU)
    assert data.num_classes == 2
    assert len(data.resident("val")) == len(data.packed("val")) == 2
    assert data.resident("val") is data.resident("val")


def test_the_splits_of_a_cell_share_one_budget_on_a_device(dataset, monkeypatch):
    image = 16 * 20 * (3 + 1)  # three channels and the labels, a byte each
    monkeypatch.setattr("segbench.engine.data.dataset.resident_budget", lambda device, share, taken: 9 * image - taken)
    data = CellData(dataset, "two colours", torch.device("meta"))
    splits = [data.resident(split) for split in ("train", "test", "val")]  # of 6, 3 and 2 images
    assert [split.device_bytes for split in splits] == [6 * image, 3 * image, 0]
    assert data.resident_bytes == 9 * image
    assert CellData(dataset, "two colours", CPU).resident_bytes is None


@pytest.mark.parametrize(
    ("sizes", "expected"), [([(2, 3), (4, 1), (4, 1)], (4, 1)), ([(2, 3), (4, 1)], (2, 3)), ([(5, 6)], (5, 6))]
)
def test_the_common_size_is_the_most_frequent_one_and_of_equals_the_first(sizes, expected):
    samples = [
        Sample(np.zeros(size, np.uint8), np.zeros(size, np.uint8), f"s{index}") for index, size in enumerate(sizes)
    ]
    one_class = Dataset(["sky"], [(0, 0, 0)], {"train": samples}, channels=1)
    assert common_size(CellData(one_class, f"sizes {sizes}", CPU).packed("train")) == expected


@pytest.mark.parametrize(
    ("length", "count", "expected"), [(10, 3, [0, 4, 9]), (100, 5, [0, 25, 50, 74, 99]), (2, 4, [0, 1]), (0, 3, [])]
)
def test_indices_are_spread_evenly_from_the_first_to_the_last(length, count, expected):
    assert choose_evenly(length, count) == expected
