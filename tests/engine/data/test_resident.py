from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from segbench import Dataset, Sample
from segbench.engine.data.cache import pack
from segbench.engine.data.resident import RESIDENT_SHARE, ResidentSplit, resident_budget

CPU = torch.device("cpu")


def packed_split(dtype=np.uint8, sizes=((4, 5), (6, 3)), ignore_index=255):
    rng = np.random.default_rng(0)
    samples = [
        Sample(
            rng.integers(0, np.iinfo(dtype).max, (*size, 2), dtype),
            rng.choice([0, 1, ignore_index], size).astype(np.uint16),
            f"s{index}",
        )
        for index, size in enumerate(sizes)
    ]
    dataset = Dataset(["sky", "road"], [(0, 0, 0), (1, 1, 1)], {"train": samples}, ignore_index, channels=2)
    return pack(dataset, "train", f"{dtype.__name__} {ignore_index}")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_images_and_labels_are_the_packed_ones(dtype):
    packed = packed_split(dtype, ignore_index=40_000)
    split = ResidentSplit(packed, CPU)
    assert len(split) == 2
    assert split.ids == ("s0", "s1")
    assert split.sizes.tolist() == [[4, 5], [6, 3]]
    assert split.white == np.iinfo(dtype).max
    for index in range(2):
        np.testing.assert_array_equal(split.image(index).numpy(), packed.image(index))
        images, labels = split.whole([index])
        np.testing.assert_array_equal(images[0].numpy(), packed.image(index))
        np.testing.assert_array_equal(labels[0].numpy(), packed.labels(index))


def test_on_the_cpu_nothing_is_copied():
    packed = packed_split()
    split = ResidentSplit(packed, CPU)
    assert split.image(1).data_ptr() == packed.image(1).ctypes.data


def test_windows_lie_in_the_upper_left_corner():
    packed = packed_split()
    images, labels = ResidentSplit(packed, CPU).windows([1, 0, 1], [(2, 6), (0, 1), (0, 2)], [(0, 3), (3, 5), (1, 2)])
    assert images.shape == (3, 2, 4, 3)
    assert labels.shape == (3, 4, 3)
    np.testing.assert_array_equal(images[0].numpy(), packed.image(1)[:, 2:6, 0:3])
    np.testing.assert_array_equal(images[1, :, :1, :2].numpy(), packed.image(0)[:, 0:1, 3:5])
    np.testing.assert_array_equal(labels[2, :2, :1].numpy(), packed.labels(1)[0:2, 1:2])
    assert images[1, :, 1:].eq(0).all()
    assert images[1, :, :, 2:].eq(0).all()


PROGRAM = """
import sys
import numpy as np
import torch
from segbench import Dataset, Sample
from segbench.engine.data.batches import TrainingBatches, whole_batch
from segbench.engine.data.cache import pack
from segbench.engine.data.resident import ResidentSplit
from segbench.config.augment import Augment

class Images:
    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        image = np.full((500, 500, 3), index, np.uint8)
        return Sample(image, np.zeros((500, 500), np.uint8), f"s{index}")

def peak_bytes():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024

def use(length):
    dataset = Dataset(["sky"], [(0, 0, 0)], {"train": Images(length)})
    packed = pack(dataset, "train", f"{length} images")
    split = ResidentSplit(packed, torch.device("cpu"))
    batches = TrainingBatches(split, batch_size=4, crop=(96, 96), augment=Augment(scale=(0.75, 1.5), flip=True),
                              ignore_index=255, seed=0)
    for step in range(length // 4):
        batches.at(step)
    for place in range(length):
        whole_batch(split, (place,)).images.sum()
    return packed.nbytes

torch.set_num_threads(1)
use(4)
before = peak_bytes()
size = use(64)
print((peak_bytes() - before) / size)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of resident memory")
def test_packing_training_and_evaluating_take_little_more_memory_than_the_pixels():
    answer = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert float(answer.stdout) <= 1.2


def test_pixels_are_kept_on_a_device_within_their_budget_alone():
    packed, device = packed_split(), torch.device("meta")
    size = packed.pixels.nbytes + packed.label_pixels.nbytes
    budgets = None, size, size - 1, 0
    assert [ResidentSplit(packed, device, budget=one).device_bytes for one in budgets] == [size, size, 0, 0]
    assert ResidentSplit(packed, CPU).device_bytes == 0


def test_the_budget_is_a_share_of_all_memory_that_jobs_and_splits_have_in_common(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10_000))
    device, free = torch.device("cuda", 0), 9000
    assert RESIDENT_SHARE == 0.4
    assert [resident_budget(device, *given) for given in ((1, 0), (1, 3000), (0.25, 0), (0, 500))] == [
        4000,
        1000,
        1000,
        -500,
    ]
    free = 1600  # another program has the rest
    assert resident_budget(device, 1, 0) == 800
    assert resident_budget(CPU, 1, 0) is None


@pytest.mark.gpu
@pytest.mark.parametrize("budget", [0, None])
def test_a_cuda_device_sees_the_same_pixels_whether_they_fit_or_not(budget):
    packed = packed_split(np.uint16)
    host, device = ResidentSplit(packed, CPU), ResidentSplit(packed, torch.device("cuda"), budget=budget)
    windows = [0, 1], [(0, 4), (1, 5)], [(0, 2), (1, 3)]
    for given, expected in zip(device.windows(*windows), host.windows(*windows), strict=True):
        assert given.device.type == "cuda"
        np.testing.assert_array_equal(given.cpu().numpy(), expected.numpy())
    assert {one.device.type for one in (device.image(1), *device.whole([1]))} == {"cuda"}
    np.testing.assert_array_equal(device.image(1).cpu().numpy(), packed.image(1))
