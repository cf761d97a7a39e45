from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segbench import DataError, Dataset, Sample
from segbench.config.augment import Augment
from segbench.engine.data import resident
from segbench.engine.data.batches import TrainingBatches, groups_of_one_size, runs_of_one_size, whole_batch
from segbench.engine.data.cache import pack
from segbench.engine.data.resident import ResidentSplit

CPU = torch.device("cpu")
IGNORED = 255
FULL = Augment(scale=(0.75, 1.5), flip=True, jitter=0.3)


def split_of(*arrays, classes=200, ignore_index=IGNORED, device=CPU, budget=None):
    """Make a split of (image, labels) pairs; the images' channels are last."""
    samples = [Sample(image, labels, f"s{index}") for index, (image, labels) in enumerate(arrays)]
    names = [f"c{index}" for index in range(classes)]
    dataset = Dataset(names, [(0, 0, 0)] * classes, {"train": samples}, ignore_index, arrays[0][0].shape[2])
    key = hash(tuple((image.tobytes(), image.shape, labels.tobytes()) for image, labels in arrays))
    return ResidentSplit(pack(dataset, "train", f"{key} {classes} {ignore_index}"), device, budget=budget)


def random_split(count=5, size=(12, 16), channels=3, dtype=np.uint8):
    return split_of(*(random_pair(seed, size, channels, dtype) for seed in range(count)))


def random_pair(seed, size, channels=3, dtype=np.uint8):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, np.iinfo(dtype).max, (*size, channels), dtype, endpoint=True)
    return image, rng.integers(0, 200, size, np.uint8)


def batches_of(split, **settings):
    defaults = {
        "batch_size": 2,
        "crop": (8, 8),
        "augment": Augment(),
        "ignore_index": split.packed.ignore_index,
        "seed": 0,
        "memory_format": torch.contiguous_format,
    }
    return TrainingBatches(split, **(defaults | settings))


def coordinate_split(height=24, width=20):
    """One image whose two channels are row and column, and whose label is row * width + column."""
    row, column = np.mgrid[:height, :width].astype(np.uint8)
    labels = np.arange(height * width, dtype=np.uint16).reshape(height, width)
    return split_of((np.stack([row, column], axis=2), labels), classes=height * width, ignore_index=60_000)


def test_a_batch_has_the_stated_shapes_and_types():
    batches = batches_of(random_split(), augment=FULL)
    images, labels, indices, _ = batches.at(0)
    assert (images.shape, images.dtype) == ((2, 3, 8, 8), torch.float32)
    assert (labels.shape, labels.dtype) == ((2, 8, 8), torch.int64)
    assert images.abs().max() <= 1 + 1e-6
    assert len(indices) == 2
    assert batches.images_per_epoch == 5


@given(count=st.integers(1, 12), batch_size=st.integers(1, 12), seed=st.integers(0, 2**40))
def test_every_epoch_visits_every_image_once(count, batch_size, seed):
    split = split_of(*((np.full((2, 2, 1), index, np.uint8), np.zeros((2, 2), np.uint8)) for index in range(count)))
    batch_size = min(batch_size, count)
    batches = batches_of(split, batch_size=batch_size, crop=None, seed=seed)
    epochs = 3
    steps = -(-epochs * count // batch_size)
    visited = [index for step in range(steps) for index in batches.at(step).indices]
    for epoch in range(epochs):
        assert sorted(visited[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_epochs_differ_in_order():
    batches = batches_of(random_split(count=20), batch_size=20)
    assert batches.at(0).indices != batches.at(1).indices


def test_seeds_differ_in_order():
    split = random_split(count=20)
    assert (
        batches_of(split, seed=0, batch_size=20).at(0).indices != batches_of(split, seed=1, batch_size=20).at(0).indices
    )


@given(seed=st.integers(0, 2**62), step=st.integers(0, 10**6))
def test_a_step_gives_the_same_batch_whenever_it_is_asked_for(seed, step):
    split = random_split()
    batches = batches_of(split, augment=FULL, seed=seed)
    first = batches.at(step)
    batches.at(step + 1)
    for again in (batches.at(step), batches_of(split, augment=FULL, seed=seed).at(step)):
        assert torch.equal(again.images, first.images)
        assert torch.equal(again.labels, first.labels)
        assert again.indices == first.indices


def test_batches_leave_the_global_generator_alone():
    batches = batches_of(random_split(), augment=FULL)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    batches.at(0)
    assert torch.equal(torch.rand(1), expected)


def test_colour_does_not_change_what_is_cropped():
    split = coordinate_split()
    plain, coloured = (
        batches_of(split, batch_size=1, augment=Augment(scale=(0.75, 1.5), flip=True, jitter=jitter))
        for jitter in (0.0, 0.5)
    )
    for step in range(5):
        assert torch.equal(plain.at(step).labels, coloured.at(step).labels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_without_augmentation_batches_are_slices(dtype):
    split = random_split(dtype=dtype)
    half = np.iinfo(dtype).max / 2
    batches = batches_of(split)
    for step in range(10):
        images, labels, indices, _ = batches.at(step)
        for image, label, index in zip(images, labels, indices, strict=True):
            row, column = find(split.packed.labels(index), label)
            expected = split.packed.image(index)[:, row : row + 8, column : column + 8] / half - 1
            np.testing.assert_allclose(image.numpy(), expected, rtol=0, atol=1e-6)


def find(labels, part):
    """Return where a part lies in a label map."""
    windows = np.lib.stride_tricks.sliding_window_view(labels, part.shape)
    ((row, column),) = np.argwhere((windows == part.numpy()).all(axis=(2, 3)))
    return row, column


def test_black_grey_and_white_become_minus_one_zero_and_one():
    for dtype, grey in [(np.uint8, 51), (np.uint16, 13107)]:
        values = np.array([0, grey, np.iinfo(dtype).max], dtype).reshape(1, 3, 1)
        batch = whole_batch(split_of((values, np.zeros((1, 3), np.uint8))), (0,))
        assert batch.images.flatten().tolist() == pytest.approx([-1, -0.6, 1], abs=1e-7)


def test_every_position_of_the_crop_occurs():
    batches = batches_of(coordinate_split(6, 5), batch_size=1, crop=(5, 3))
    corners = Counter(int(batches.at(step).labels[0, 0, 0]) for step in range(600))
    assert sorted(corners) == [0, 1, 2, 5, 6, 7]
    # Of 600 draws 100 fall on each in the mean; 60 and 140 are more than four standard deviations away.
    assert all(60 < count < 140 for count in corners.values())


def test_half_of_the_images_are_mirrored_left_and_right():
    batches = batches_of(coordinate_split(4, 4), batch_size=1, crop=None, augment=Augment(flip=True))
    straight = torch.arange(16).view(4, 4)
    mirrored = 0
    for step in range(200):
        labels = batches.at(step).labels[0]
        assert torch.equal(labels, straight) or torch.equal(labels, straight.flip(1))
        mirrored += int(labels[0, 0] == 3)
    assert 70 < mirrored < 130


def test_images_and_labels_move_together():
    split = coordinate_split()
    batches = batches_of(split, batch_size=1, crop=(16, 12), augment=Augment(scale=(0.5, 2.0), flip=True))
    for step in range(40):
        images, labels, *_ = batches.at(step)
        inside = labels[0] != 60_000
        row, column = (images[0, :, inside] + 1) * 127.5
        label = labels[0][inside]
        # The nearest pixel is at most half a pixel away from where the image was sampled.
        assert (row - label // 20).abs().max() <= 0.5 + 1e-3
        assert (column - label % 20).abs().max() <= 0.5 + 1e-3


def test_scales_cover_their_range():
    batches = batches_of(coordinate_split(60, 60), batch_size=1, crop=(30, 30), augment=Augment(scale=(0.5, 2.0)))
    scales = []
    for step in range(100):
        rows = (batches.at(step).images[0, 0, :, 15] + 1) * 127.5
        scales.append(1 / float(rows.diff()[5:25].mean()))
    assert 0.5 - 1e-3 <= min(scales) < 0.6
    assert 1.9 < max(scales) <= 2 + 1e-3


@pytest.mark.parametrize("jitter", [0.0, 0.5])
def test_outside_the_image_is_mid_grey_and_ignored(jitter):
    white = np.full((8, 8, 3), 255, np.uint8), np.ones((8, 8), np.uint8)
    augment = Augment(scale=(0.5, 1.0), flip=True, jitter=jitter)
    batches = batches_of(split_of(white), batch_size=1, augment=augment)
    outside_seen = 0
    for step in range(20):
        images, labels, *_ = batches.at(step)
        outside = labels[0] == IGNORED
        height, width = (~outside).any(dim=1).sum(), (~outside).any(dim=0).sum()
        assert height == width
        assert (~outside).sum() == height * width
        assert (images[0, :, outside] == 0).all()
        assert (images[0, :, ~outside] > (-0.01 if jitter else 1 - 1e-6)).all()
        outside_seen += int(outside.sum())
    assert outside_seen


def test_an_image_smaller_than_the_crop_is_padded_where_another_one_fills_it():
    split = split_of(random_pair(0, (6, 5)), random_pair(1, (9, 9)))
    batches = batches_of(split, batch_size=2, crop=(8, 8))
    labels, indices = batches.at(0).labels, batches.at(0).indices
    small = labels[indices.index(0)]
    assert int((small == IGNORED).sum()) == 64 - 30
    row, column = torch.nonzero(small != IGNORED)[0].tolist()
    np.testing.assert_array_equal(small[row : row + 6, column : column + 5].numpy(), split.packed.labels(0))


@pytest.mark.parametrize("ignore_index", [255, 254, 3000])
def test_padding_has_the_ignore_index_of_the_dataset(ignore_index):
    pair = np.zeros((4, 4, 1), np.uint8), np.zeros((4, 4), np.uint8)
    split = split_of(pair, ignore_index=ignore_index)
    labels = batches_of(split, batch_size=1, crop=(4, 4), augment=Augment(scale=(0.5, 1.0))).at(1).labels
    assert sorted(set(labels.flatten().tolist())) == [0, ignore_index]


@pytest.mark.parametrize("augment", [Augment(), Augment(flip=True), FULL])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_memory_format_changes_the_layout_only(augment, memory_format):
    split = random_split()
    batch = batches_of(split, augment=augment, memory_format=memory_format).at(3)
    assert batch.images.is_contiguous(memory_format=memory_format)
    assert torch.equal(batch.images, batches_of(split, augment=augment).at(3).images)


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_any_number_of_channels_will_do(channels):
    batch = batches_of(random_split(channels=channels), augment=FULL).at(0)
    assert batch.images.shape == (2, channels, 8, 8)


def test_without_a_crop_whole_images_come():
    split = random_split()
    images, labels, indices, _ = batches_of(split, crop=None).at(0)
    np.testing.assert_array_equal(labels[1].numpy(), split.packed.labels(indices[1]))
    assert images.shape[2:] == (12, 16)


def test_single_images_need_neither_a_crop_nor_one_size():
    split = split_of(random_pair(0, (6, 5)), random_pair(1, (9, 9)))
    sizes = {tuple(batches_of(split, batch_size=1, crop=None).at(step).labels.shape[1:]) for step in range(2)}
    assert sizes == {(6, 5), (9, 9)}


def test_images_of_several_sizes_need_a_crop():
    split = split_of(random_pair(0, (6, 5)), random_pair(1, (9, 9)))
    with pytest.raises(DataError) as error:
        batches_of(split, crop=None)
    assert str(error.value) == (
        "split 'train' has images of several sizes ('s0' is [6, 5], 's1' is [9, 9]; height, width), "
        "which cannot share a batch; set protocol.crop"
    )


def test_a_batch_larger_than_the_split_is_an_error():
    with pytest.raises(DataError) as error:
        batches_of(random_split(count=1), batch_size=2)
    assert str(error.value) == (
        "batch_size 2 is larger than split 'train', which has 1 image; set protocol.batch_size, times "
        "protocol.accumulate, to at most 1"
    )


def test_a_crop_larger_than_every_image_is_an_error():
    split = split_of(random_pair(0, (6, 5)), random_pair(1, (9, 12)))
    with pytest.raises(DataError) as error:
        batches_of(split, crop=(10, 10))
    assert str(error.value) == (
        "crop [10, 10] (height, width) is larger than every image of split 'train'; "
        "the largest, 's1', is [9, 12]; set protocol.crop to at most [9, 12]"
    )


def test_a_crop_may_be_larger_than_the_images_where_zoom_makes_up_for_it():
    split = random_split(size=(6, 6))
    assert batches_of(split, crop=(9, 9), augment=Augment(scale=(1.0, 1.5))).at(0).labels.shape == (2, 9, 9)
    with pytest.raises(
        DataError, match=r"is \[6, 6\], \[9, 9\] at the largest scale 1.5; set protocol.crop to at most"
    ):
        batches_of(split, crop=(10, 9), augment=Augment(scale=(1.0, 1.5)))


def assert_same(first, second):
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.labels, second.labels)
    assert first.indices == second.indices


def test_all_places_are_the_same_as_none():
    split = random_split()
    for step in range(5):
        assert_same(batches_of(split, augment=FULL, places=range(5)).at(step), batches_of(split, augment=FULL).at(step))


@given(places=st.sets(st.integers(0, 9), min_size=1), batch_size=st.integers(1, 10))
def test_every_epoch_visits_every_given_place_once(places, batch_size):
    split = split_of(*((np.full((2, 2, 1), index, np.uint8), np.zeros((2, 2), np.uint8)) for index in range(10)))
    batches = batches_of(split, batch_size=batch_size, crop=None, places=sorted(places))
    steps = range(-(-3 * len(places) // batch_size))
    visited = [index for step in steps for index in batches.at(step).indices]
    for epoch in range(3):
        assert set(visited[epoch * len(places) : (epoch + 1) * len(places)]) == places


def test_fewer_places_than_a_batch_recur_in_it():
    batch = batches_of(random_split(), batch_size=4, places=[3]).at(0)
    assert batch.indices == (3, 3, 3, 3)
    assert not torch.equal(batch.labels[0], batch.labels[1])


def test_an_epoch_of_a_budget_is_as_long_whatever_places_are_drawn():
    assert batches_of(random_split(), places=[1, 2]).images_per_epoch == 5


def test_no_place_to_draw_from_is_an_error():
    with pytest.raises(DataError) as error:
        batches_of(random_split(), places=())
    assert str(error.value) == (
        "none of the 5 images of split 'train' is left to draw batches from; "
        "a method that uses unlabelled images needs a labels.fraction below 1"
    )


def test_streams_differ_in_order_and_in_augmentation():
    many = random_split(count=20)
    orders = {batches_of(many, batch_size=20, stream=stream).at(0).indices for stream in ("", "critic", "synthetic")}
    assert len(orders) == 3
    plain, discriminator = (
        batches_of(coordinate_split(), batch_size=1, stream=stream).at(0) for stream in ("", "critic")
    )
    assert not torch.equal(plain.labels, discriminator.labels)


def test_a_stream_gives_the_same_batch_whenever_it_is_asked_for():
    split = random_split()
    for step in range(5):
        first, again = (batches_of(split, augment=FULL, stream="critic").at(step) for _ in range(2))
        assert_same(first, again)


def test_hidden_labels_tell_only_what_is_outside():
    """Class 1 and a void pixel are there in truth; neither shows."""
    labels = np.ones((8, 8), np.uint8)
    labels[3:5] = IGNORED
    split = split_of((np.full((8, 8, 1), 255, np.uint8), labels))
    settings = {"batch_size": 1, "augment": Augment(scale=(0.5, 1.5), flip=True)}
    hidden, plain = batches_of(split, with_labels=False, **settings), batches_of(split, **settings)
    outside_seen = 0
    for step in range(20):
        batch = hidden.at(step)
        assert torch.equal(batch.images, plain.at(step).images)
        outside = batch.images[:, 0] == 0
        assert torch.equal(batch.labels, torch.where(outside, IGNORED, 0))
        outside_seen += int(outside.sum())
    assert outside_seen


class StoredFields:
    """Fields (K, H, W) of each image, given out whole."""

    def __init__(self, fields):
        self.fields = fields

    def windows(self, indices, rows, columns):
        return resident.gather_windows([self.fields[index] for index in indices], rows, columns, pinned=False)


@given(step=st.integers(0, 10**6), zoom=st.sampled_from([(1.0, 1.0), (0.5, 2.0)]), flip=st.booleans())
def test_probabilities_move_as_an_image_of_them_does(step, zoom, flip):
    """The image's channels are the probabilities, so both must remain equal."""
    rng = np.random.default_rng(0)
    images = [rng.integers(1, 256, (*size, 3), np.uint8) for size in ((16, 14), (12, 15), (9, 20))]
    split = split_of(*((image, np.zeros(image.shape[:2], np.uint8)) for image in images))
    fields = StoredFields([torch.from_numpy(image).permute(2, 0, 1) for image in images])
    batch = batches_of(split, batch_size=3, augment=Augment(scale=zoom, flip=flip), fields=fields).at(step)
    outside = (batch.labels == IGNORED)[:, None]
    shown = (batch.images + 1) / 2
    expected = torch.where(outside, 1 / 3, shown / shown.sum(dim=1, keepdim=True))
    torch.testing.assert_close(batch.probabilities, expected, rtol=0, atol=1e-5)
    assert batch.probabilities.dtype == torch.float32


def test_probabilities_change_nothing_else():
    split = random_split()
    fields = StoredFields([torch.full((4, 12, 16), 9, dtype=torch.uint8)] * 5)
    settings = {"augment": FULL, "memory_format": torch.channels_last}
    batch = batches_of(split, fields=fields, **settings).at(2)
    assert_same(batch, batches_of(split, **settings).at(2))
    assert batch.probabilities.is_contiguous(memory_format=torch.channels_last)
    assert batches_of(split).at(2).probabilities is None


def test_evaluation_goes_through_whole_images_in_order():
    split = random_split(count=5)
    batches = [whole_batch(split, places, torch.channels_last) for places in runs_of_one_size(split, 2)]
    assert [batch.indices for batch in batches] == [(0, 1), (2, 3), (4,)]
    assert all(batch.images.is_contiguous(memory_format=torch.channels_last) for batch in batches)
    np.testing.assert_allclose(batches[1].images[1].numpy(), split.packed.image(3) / 127.5 - 1, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(batches[2].labels[0].numpy(), split.packed.labels(4))


def test_evaluation_batches_hold_images_of_one_size():
    split = split_of(*(random_pair(0, size) for size in [(4, 5), (4, 5), (5, 4), (4, 5), (4, 5), (4, 5)]))
    assert list(runs_of_one_size(split, 2)) == [(0, 1), (2,), (3, 4), (5,)]
    assert list(groups_of_one_size(split, 2, channels=3)) == [(0, 1), (3, 4), (5,), (2,)]


def test_a_batch_of_evaluation_holds_no_more_numbers_than_kernels_can_count():
    sizes = [(1024, 2048)] * 120
    split = SimpleNamespace(packed=SimpleNamespace(index=SimpleNamespace(sizes=sizes)))
    lengths = [len(batch) for batch in groups_of_one_size(split, 100, 19)]
    assert lengths == [53, 53, 14]
    assert 53 * 19 * 1024 * 2048 < 2**31 < 54 * 19 * 1024 * 2048
    assert len(next(groups_of_one_size(split, 8, 10**6))) == 1


def test_camvid_trains_on_what_its_files_hold(camvid):
    split = ResidentSplit(pack(camvid, "val", "camvid"), CPU)
    images, labels, indices, _ = batches_of(split, batch_size=8, crop=None).at(0)
    for image, label, index in zip(images, labels, indices, strict=True):
        sample = camvid.splits["val"][index]
        np.testing.assert_array_equal(label.numpy(), sample.labels)
        np.testing.assert_array_equal(((image + 1) * 127.5).round().numpy().transpose(1, 2, 0), sample.image)


@pytest.mark.gpu
@pytest.mark.parametrize("budget", [0, None])
def test_a_cuda_device_gets_the_batches_of_the_cpu(budget):
    pairs = random_pair(0, (20, 20)), random_pair(1, (20, 20))
    expected, given = (
        batches_of(split_of(*pairs, device=device, budget=budget), augment=FULL).at(0)
        for device in (CPU, torch.device("cuda"))
    )
    assert given.images.device.type == "cuda"
    torch.testing.assert_close(given.images.cpu(), expected.images, rtol=0, atol=1e-3)
    assert torch.equal(given.labels.cpu(), expected.labels)
