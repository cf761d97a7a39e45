from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from segbench import DataError, Dataset, Sample
from segbench.engine.data.samples import _batches, clusters_of, count_labels, read_samples


def image(height=2, width=3, channels=3, dtype=np.uint8):
    return np.zeros((height, width, channels), dtype)


def labels(height=2, width=3, value=0, dtype=np.uint8):
    return np.full((height, width), value, dtype)


def dataset(*samples, channels=3, ignore_index=255):
    return Dataset(["sky", "road"], [(0, 0, 0), (1, 1, 1)], {"train": list(samples)}, ignore_index, channels)


def refusal(*samples, **definition):
    with pytest.raises(DataError) as error:
        list(read_samples(dataset(*samples, **definition), "train"))
    return str(error.value)


class FileSplit:
    """Samples that claim to come from files; `read` gives the sample at an index."""

    def __init__(self, length, read):
        self.ids = [f"s{index}" for index in range(length)]
        self.files = [(f"images/s{index}.png", f"masks/s{index}.png") for index in range(length)]
        self.read = read

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        return self.read(index)


def test_a_grey_image_gets_a_channel_axis():
    (sample,) = read_samples(dataset(Sample(image()[..., 0], labels(), "a"), channels=1), "train")
    assert sample.image.shape == (2, 3, 1)


def test_plain_tuples_will_do():
    (sample,) = read_samples(dataset((image(), labels(), "a")), "train")
    assert sample.id == "a"


def test_an_empty_split_is_an_error():
    assert refusal() == "split 'train' is empty; it needs at least one image with its labels"


def test_an_unknown_split_is_an_error_that_lists_those_there_are():
    with pytest.raises(DataError, match=r"no split 'val'\. Available: train"):
        list(read_samples(dataset(), "val"))


def test_a_repeated_id_is_an_error():
    message = refusal(Sample(image(), labels(), "a"), Sample(image(), labels(), "b"), Sample(image(), labels(), "a"))
    assert message == "train sample 'a' has the id of sample 0; every id must be unique in its split"


def test_sizes_that_differ_are_an_error_with_both():
    message = refusal(Sample(image(2, 3), labels(3, 2), "a"))
    assert message == "train sample 'a': its image is 3 x 2 pixels, its labels are 2 x 3; the sizes must agree"


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.bool_, np.int8])
def test_an_image_of_another_dtype_is_an_error(dtype):
    message = refusal(Sample(image(dtype=dtype), labels(), "a"))
    assert message == f"train sample 'a': its image is {np.dtype(dtype)}; allowed are arrays of uint8 and uint16"


def test_labels_of_another_dtype_are_an_error():
    assert "its labels is int64; allowed" in refusal(Sample(image(), labels(dtype=np.int64), "a"))


def test_something_else_than_an_array_is_an_error():
    assert "its labels is list; allowed are arrays" in refusal(Sample(image(), [[0, 0, 0]] * 2, "a"))


@pytest.mark.parametrize(("given", "declared"), [(4, 3), (1, 3), (3, 1)])
def test_another_number_of_channels_is_an_error(given, declared):
    message = refusal(Sample(image(channels=given), labels(), "a"), channels=declared)
    assert message == f"train sample 'a': its image has {given} channels; the dataset declares {declared}"


def test_other_numbers_of_dimensions_are_an_error():
    assert "image (2, 3, 3), labels (2, 3, 1)" in refusal(Sample(image(), labels()[..., None], "a"))


def test_a_sample_without_pixels_is_an_error():
    assert refusal(Sample(image(0, 3), labels(0, 3), "a")) == "train sample 'a' has no pixels"


def test_an_id_that_is_no_text_is_an_error():
    assert "id of type int" in refusal(Sample(image(), labels(), 7))


def test_images_of_two_dtypes_are_an_error():
    message = refusal(Sample(image(), labels(), "a"), Sample(image(dtype=np.uint16), labels(), "b"))
    assert message.startswith("train sample 'b' is uint16, the images before it are uint8")


def test_a_label_outside_the_classes_is_an_error_with_its_value_and_the_files():
    wrong = labels()
    wrong[0, :2] = 7, 2
    split = FileSplit(1, lambda index: Sample(image(), wrong, "s0"))
    with pytest.raises(DataError) as error:
        list(read_samples(Dataset(["sky", "road"], [(0, 0, 0)] * 2, {"train": split}), "train"))
    assert str(error.value) == (
        "train sample 's0' (images/s0.png, masks/s0.png): its labels contain 2, 7; "
        "allowed are the class ids 0 to 1, or 255 for ignored pixels"
    )


def test_many_wrong_labels_are_not_all_listed():
    wrong = np.arange(100, dtype=np.uint8).reshape(10, 10)
    assert "contain 2, 3, 4, 5, 6, 7, 8, 9 and 90 more; allowed" in refusal(Sample(image(10, 10), wrong, "a"))


@pytest.mark.parametrize("ignore_index", [255, 2, 65535])
def test_ignore_index_is_allowed(ignore_index):
    ignored = labels(value=ignore_index, dtype=np.uint16)
    (sample,) = read_samples(dataset(Sample(image(), ignored, "a"), ignore_index=ignore_index), "train")
    assert (sample.labels == ignore_index).all()


def test_a_sample_that_cannot_be_read_is_an_error_with_its_files_and_the_cause():
    def read(index):
        raise OSError("image file is truncated")

    with pytest.raises(DataError) as error:
        list(read_samples(Dataset(["sky"], [(0, 0, 0)], {"train": FileSplit(2, read)}), "train"))
    assert str(error.value) == (
        "train sample 0 (images/s0.png, masks/s0.png) cannot be read: OSError: image file is truncated"
    )


def test_an_error_of_the_dataset_itself_is_passed_on():
    def read(index):
        raise DataError("s0 has no mask")

    with pytest.raises(DataError, match=r"^s0 has no mask$"):
        list(read_samples(Dataset(["sky"], [(0, 0, 0)], {"train": FileSplit(2, read)}), "train"))


def test_samples_of_files_come_in_order_and_only_a_few_ahead():
    started = []

    def read(index):
        started.append(index)
        return Sample(image(), labels(), f"s{index}")

    samples = read_samples(Dataset(["sky"], [(0, 0, 0)], {"train": FileSplit(500, read)}), "train")
    assert next(samples).id == "s0"
    assert len(started) < 100
    assert [sample.id for sample in samples] == [f"s{index}" for index in range(1, 500)]


def test_samples_without_files_are_read_by_the_calling_thread():
    class Split(list):
        def __getitem__(self, index):
            assert threading.current_thread() is threading.main_thread()
            return super().__getitem__(index)

    split = Split([Sample(image(), labels(), "a"), Sample(image(), labels(), "b")])
    assert len(list(read_samples(Dataset(["sky"], [(0, 0, 0)], {"train": split}), "train"))) == 2


def test_as_many_images_are_decoded_at_a_time_as_fit_into_memory(tmp_path):
    for name, side in (("large", 7_000), ("larger", 9_000), ("small", 10)):
        Image.new("1", (side, side)).save(tmp_path / f"{name}.png")
    large, larger, small = ((tmp_path / f"{name}.png",) for name in ("large", "larger", "small"))
    assert list(_batches([small, small, large, large, small, larger, small], 3)) == [[0, 1, 2], [3, 4], [5], [6]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_labels_are_counted_in_bands_as_at_once(monkeypatch, dtype):
    monkeypatch.setattr("segbench.images.pixels.BAND_PIXELS", 20)
    labels = np.random.default_rng(0).integers(0, 256, (13, 17), dtype=dtype)
    np.testing.assert_array_equal(count_labels(labels), np.bincount(labels.ravel()))


def test_each_image_is_in_the_group_that_the_dataset_says():
    by_number = replace(dataset(), cluster=lambda name: name[-1])
    assert clusters_of(by_number, ("image 0", "image 1")) == ("0", "1")


def test_a_dataset_may_know_of_no_groups():
    assert clusters_of(dataset(), ("image 0",)) is None


@pytest.mark.parametrize("returned", [3, None, ""])
def test_what_is_no_name_of_a_group_is_refused(returned):
    broken = replace(dataset(), cluster=lambda name: returned)
    with pytest.raises(DataError, match=rf"the dataset's cluster function returned {returned!r} for .* 'image 0'"):
        clusters_of(broken, ("image 0",))
