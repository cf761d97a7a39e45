from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench import DataError, Dataset, Sample
from segbench.engine.data.cache import absent_classes, check_classes, open_split, pack
from segbench.plan.machine import cache_folder

HYPOTHESIS_KEYS = iter(range(10**9))


def random_sample(seed, height, width, channels, dtype, label_dtype, num_classes, ignore_index, name):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)
    values = np.append(np.arange(num_classes), ignore_index)
    return Sample(image, rng.choice(values, (height, width)).astype(label_dtype), name)


def tiny_dataset(value=5, sizes=((2, 3), (4, 1))):
    samples = [
        Sample(np.full((*size, 3), value, np.uint8), np.zeros(size, np.uint8), f"s{index}")
        for index, size in enumerate(sizes)
    ]
    return Dataset(["sky", "road"], [(0, 0, 0), (1, 1, 1)], {"train": samples})


class Unreadable:
    """Stands for a split that must not be decoded again."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        raise AssertionError("decoded again")


def cache_entries():
    return sorted(path.name for path in (cache_folder() / "packed" / "key").iterdir())


@given(
    sizes=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=6),
    channels=st.integers(1, 5),
    dtype=st.sampled_from([np.uint8, np.uint16]),
    label_dtype=st.sampled_from([np.uint8, np.uint16]),
    num_classes=st.integers(1, 200),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_what_is_packed_comes_back(sizes, channels, dtype, label_dtype, num_classes, seed, data):
    ignore_index = data.draw(st.integers(num_classes, np.iinfo(label_dtype).max))
    samples = [
        random_sample(seed + index, *size, channels, dtype, label_dtype, num_classes, ignore_index, f"s{index}")
        for index, size in enumerate(sizes)
    ]
    classes = [f"c{index}" for index in range(num_classes)]
    dataset = Dataset(classes, [(0, 0, 0)] * num_classes, {"train": samples}, ignore_index, channels)
    packed = pack(dataset, "train", f"round trip {next(HYPOTHESIS_KEYS)}")
    assert len(packed) == len(sizes)
    assert packed.ids == tuple(sample.id for sample in samples)
    assert packed.sizes.tolist() == [list(size) for size in sizes]
    assert (packed.channels, packed.num_classes, packed.ignore_index) == (channels, num_classes, ignore_index)
    assert packed.image_dtype == dtype
    for index, sample in enumerate(samples):
        np.testing.assert_array_equal(packed.image(index), sample.image.transpose(2, 0, 1))
        np.testing.assert_array_equal(packed.labels(index), sample.labels)
    everything = np.concatenate([sample.labels.ravel() for sample in samples])
    assert packed.class_pixels().tolist() == [int((everything == index).sum()) for index in range(num_classes)]


def test_camvid_has_the_class_pixels_that_its_description_states(camvid, shared_data):
    import json

    stated = json.loads((shared_data / "camvid" / "dataset.json").read_text())["statistics"]["val"]
    packed = pack(camvid, "val", "camvid")
    pixels = packed.class_pixels()
    assert (len(packed), int(pixels.sum())) == (stated["images"], stated["labelled_pixels"])
    np.testing.assert_allclose(pixels / pixels.sum(), stated["class_pixel_fraction"], atol=1e-6)
    np.testing.assert_array_equal(packed.image(7), camvid.splits["val"][7].image.transpose(2, 0, 1))


def test_a_second_time_nothing_is_decoded():
    first = pack(tiny_dataset(), "train", "key")
    again = pack(Dataset(["sky", "road"], [(0, 0, 0)] * 2, {"train": Unreadable(2)}), "train", "key")
    np.testing.assert_array_equal(again.image(1), first.image(1))


def test_splits_and_keys_lie_apart():
    dataset = tiny_dataset(5)
    both = Dataset(dataset.classes, dataset.palette, dataset.splits | {"test": tiny_dataset(6).splits["train"]})
    packed = [pack(both, "train", "a"), pack(both, "test", "a"), pack(tiny_dataset(7), "train", "b")]
    assert [split.image(0)[0, 0, 0] for split in packed] == [5, 6, 7]
    assert [split.split for split in packed] == ["train", "test", "train"]


def test_writing_to_the_arrays_changes_no_file():
    pack(tiny_dataset(5), "train", "key").image(0)[...] = 9
    assert pack(tiny_dataset(5), "train", "key").image(0).max() == 5


def test_labels_of_few_classes_take_one_byte():
    sample = Sample(np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.uint16), "a")
    for ignore_index, dtype in [(255, np.uint8), (256, np.uint16)]:
        dataset = Dataset(["sky"], [(0, 0, 0)], {"train": [sample]}, ignore_index, channels=1)
        assert pack(dataset, "train", f"ignore {ignore_index}").labels(0).dtype == dtype


def truncate_images(folder):
    os.truncate(folder / "images.bin", 5)


def lengthen_labels(folder):
    with open(folder / "labels.bin", "ab") as file:
        file.write(b"\0")


def remove_labels(folder):
    (folder / "labels.bin").unlink()


def empty_images(folder):
    os.truncate(folder / "images.bin", 0)


def empty_index(folder):
    os.truncate(folder / "index.json", 0)


def garble_index(folder):
    (folder / "index.json").write_bytes(b"\xff\x00not json")


def other_format(folder):
    index = folder / "index.json"
    index.write_text(index.read_text().replace("packed split 1", "packed split 0"))


def empty_folder(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def file_instead_of_folder(folder):
    shutil.rmtree(folder)
    folder.touch()


@pytest.mark.parametrize(
    "damage",
    [
        truncate_images,
        lengthen_labels,
        remove_labels,
        empty_images,
        empty_index,
        garble_index,
        other_format,
        empty_folder,
        file_instead_of_folder,
    ],
)
@pytest.mark.parametrize("opened_by", [pack, open_split])
def test_a_damaged_cache_is_built_anew(damage, opened_by):
    pack(tiny_dataset(), "train", "key")
    damage(cache_folder() / "packed" / "key" / "train")
    packed = opened_by(tiny_dataset(), "train", "key")
    assert packed.image(1).tolist() == [[[5]] * 4] * 3
    assert cache_entries() == ["train"]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", ["index.json", "images.bin", "labels.bin"])
def test_one_flipped_bit_anywhere_is_told_and_the_split_decoded_anew(name, seed, flip_bit):
    pack(tiny_dataset(), "train", "key")
    path = cache_folder() / "packed" / "key" / "train" / name
    whole, told = path.read_bytes(), []
    flip_bit(path, seed)
    packed = pack(tiny_dataset(), "train", "key", told.append)
    assert told == [
        f"{path} is damaged: it has changed since it was written: its checksum does not match; "
        "the split is decoded anew"
    ]
    assert packed.image(1).tolist() == [[[5]] * 4] * 3
    assert path.read_bytes() == whole
    assert cache_entries() == ["train"]


def test_damage_is_told_on_stderr_where_nobody_else_is_told(capsys):
    pack(tiny_dataset(), "train", "key")
    truncate_images(folder := cache_folder() / "packed" / "key" / "train")
    pack(tiny_dataset(), "train", "key")
    assert f"{folder} is not the packed split of this dataset; the split is decoded anew" in capsys.readouterr().err
    pack(tiny_dataset(), "train", "key")
    assert capsys.readouterr().err == ""


def test_a_cache_of_older_versions_has_no_checksums_and_is_read():
    pack(tiny_dataset(), "train", "key")
    folder = cache_folder() / "packed" / "key" / "train"
    index = json.loads((folder / "index.json").read_text())
    del index["seal"]
    (folder / "index.json").write_text(json.dumps(index))
    for name in ("images.bin", "labels.bin"):
        (folder / name).write_bytes((folder / name).read_bytes().partition(b"segbench crc32")[0])
    unreadable = Dataset(["sky", "road"], [(0, 0, 0)] * 2, {"train": Unreadable(2)})
    assert pack(unreadable, "train", "key").image(1).tolist() == [[[5]] * 4] * 3


@pytest.mark.parametrize(
    "other",
    [tiny_dataset(6, sizes=((2, 3),)), Dataset(["sky"], [(0, 0, 0)], tiny_dataset(6).splits)],
    ids=["another length", "other classes"],
)
def test_the_cache_of_another_dataset_is_not_taken(other):
    pack(tiny_dataset(5), "train", "key")
    assert pack(other, "train", "key").image(0).max() == 6


def test_a_sample_that_is_refused_leaves_nothing():
    broken = Sample(np.zeros((2, 3, 3), np.uint8), np.full((2, 3), 9, np.uint8), "bad")
    dataset = tiny_dataset()
    dataset.splits["train"].append(broken)
    with pytest.raises(DataError, match="'bad': its labels contain 9"):
        pack(dataset, "train", "key")
    assert cache_entries() == []


def test_a_truncated_png_is_an_error_with_its_file(tmp_path, camvid):
    split = camvid.splits["val"]
    image, mask = split.files[1]
    (tmp_path / mask.name).write_bytes(mask.read_bytes()[:200])
    split.files[1] = (image, tmp_path / mask.name)
    with pytest.raises(DataError, match=rf"val sample 1 \(.*{tmp_path / mask.name}\) cannot be read"):
        pack(camvid, "val", "key")


def test_what_a_killed_process_left_is_removed_after_a_day():
    parent = cache_folder() / "packed" / "key"
    for name, age in [(".packing-old", 90_000), (".packing-young", 3_600)]:
        (parent / name).mkdir(parents=True)
        os.utime(parent / name, (time.time() - age,) * 2)
    pack(tiny_dataset(), "train", "key")
    assert cache_entries() == [".packing-young", "train"]


def test_a_cache_folder_that_cannot_be_made_is_an_error_with_the_cure(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError) as error:
        pack(tiny_dataset(), "train", "key")
    assert str(error.value) == (
        f"cannot write the cache of decoded images in {tmp_path / 'file' / 'packed' / 'key'}: Not a directory; "
        "make room there, or set SEGBENCH_CACHE to a folder that can be written"
    )


PROGRAM = """
import sys
import numpy as np
from segbench import DataError, Dataset, Sample
from segbench.engine.data.cache import pack

class Images:
    def __len__(self):
        return 40

    def __getitem__(self, index):
        return Sample(np.full((200, 200, 3), index, np.uint8), np.zeros((200, 200), np.uint8), f"s{index}")

dataset = Dataset(["sky"], [(0, 0, 0)], {"train": Images()})
"""


def start(program):
    command = [sys.executable, "-c", PROGRAM + program]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_several_processes_may_pack_at_once_and_none_needs_torch():
    program = """
sys.stdin.readline()
packed = pack(dataset, "train", "key")
print(packed.ids[-1], packed.image(39).mean(), packed.nbytes, "torch" in sys.modules)
"""
    processes = [start(program) for _ in range(3)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate()[0] for process in processes]
    assert answers == ["s39 39.0 6400000 False\n"] * 3
    assert cache_entries() == ["train"]


def test_a_full_disk_is_an_error_with_the_cure_and_leaves_nothing():
    # A limit on the size of files fails writes as a full disk does.
    program = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    pack(dataset, "train", "key")
except DataError as error:
    print(error)
"""
    answer = start(program).communicate()[0]
    assert answer.startswith(f"cannot write the cache of decoded images in {cache_folder() / 'packed' / 'key'}: ")
    assert "set SEGBENCH_CACHE to" in answer
    assert cache_entries() == []


def test_a_process_killed_while_packing_leaves_no_split():
    program = """
import os, signal
Images.__getitem__ = lambda self, index: os.kill(os.getpid(), signal.SIGKILL)
pack(dataset, "train", "key")
"""
    process = start(program)
    process.communicate()
    assert process.returncode == -9
    assert "train" not in cache_entries()
    assert len(pack(tiny_dataset(), "train", "key")) == 2


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
