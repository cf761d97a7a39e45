from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import grey_erosion
from sklearn.metrics import confusion_matrix
from torch import nn
from torchmetrics.classification import MulticlassJaccardIndex

from segbench.config.protocol import Boundaries, Budget, SurfaceDistances, TrainingProtocol, Window
from segbench.config.views import Views
from segbench.contract import Dataset, Sample
from segbench.engine.data.batches import groups_of_one_size
from segbench.engine.data.cache import pack
from segbench.engine.data.resident import ResidentSplit
from segbench.engine.evaluation import evaluate as evaluation
from segbench.engine.evaluation.evaluate import (
    change_shares,
    choose_batches,
    confusion_counts,
    evaluate,
    measure_refinement,
    pixel_changes,
    validation_miou,
)
from segbench.engine.evaluation.small_objects import mark_small_objects
from segbench.engine.model.network import Refined
from segbench.errors import DataError
from segbench.plan.key import fingerprint
from segbench.stats.scores import miou, scores
from segbench.store.counts import read_counts, write_counts

CPU = torch.device("cpu")
ARRAYS = ("confusion", "sizes", "void", "boundary", "band", "small", "calibration", "likelihood")


class LabelsInTheImage(nn.Module):
    """A network that reads its prediction off the image: the pixel value is the class."""

    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes

    def forward(self, images):
        labels = ((images[:, 0] + 1) * 127.5).round().long()
        return nn.functional.one_hot(labels, self.num_classes).permute(0, 3, 1, 2).float()


def dataset_of(pairs, num_classes, ignore_index=255):
    """A dataset whose images are predictions and whose labels are the truth."""
    samples = [
        Sample(prediction.astype(np.uint8), truth.astype(np.uint8), str(index))
        for index, (prediction, truth) in enumerate(pairs)
    ]
    names = [f"class {index}" for index in range(num_classes)]
    return Dataset(names, [(index, 0, 0) for index in range(num_classes)], {"test": samples}, ignore_index, channels=1)


def protocol_of(**changes):
    return TrainingProtocol(**{"budget": Budget(steps=1), "batch_size": 2, **changes})


def resident_test_split(dataset):
    return ResidentSplit(pack(dataset, "test", fingerprint(dataset)), CPU)


def counts_of(dataset, network=None, **protocol):
    network = network or LabelsInTheImage(len(dataset.classes))
    return evaluate(network, resident_test_split(dataset), protocol_of(**protocol), dataset)


def perturbed(truth, num_classes, ignore_index, seed):
    """What a network might predict: the truth, moved and eroded, and a class everywhere."""
    filled = np.where(truth == ignore_index, seed % num_classes, truth)
    return grey_erosion(np.roll(filled, (3, -2), axis=(0, 1)), size=5)


def pairs_at_random(num_classes=4, sizes=((5, 7), (5, 7), (4, 6), (5, 7))):
    generator = np.random.default_rng(0)
    for size in sizes:
        truth = generator.integers(0, num_classes + 1, size)
        yield generator.integers(0, num_classes, size), np.where(truth == num_classes, 255, truth)


def test_each_image_has_the_confusion_matrix_of_sklearn():
    pairs = list(pairs_at_random())
    counts = counts_of(dataset_of(pairs, 4))
    assert counts.ids == ("0", "1", "2", "3")
    assert counts.split == "test"
    assert counts.confusion.dtype == np.int64
    for matrix, (prediction, truth) in zip(counts.confusion, pairs, strict=True):
        kept = truth != 255
        np.testing.assert_array_equal(matrix, confusion_matrix(truth[kept], prediction[kept], labels=range(4)))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("window", [None, Window(size=(3, 4), stride=(2, 3))])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_batches_windows_and_layouts_change_no_count(batch_size, window, channels_last):
    """Windows average the softmax, of which what is counted follows; the scores are 0 and 1, so it is the same."""
    dataset = dataset_of(list(pairs_at_random()), 4)
    found = counts_of(dataset, batch_size=batch_size, window=window, channels_last=channels_last)
    expected = counts_of(dataset)
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-6, err_msg=name)
    assert np.array_equal(found.confusion, expected.confusion)


def test_images_in_another_order_have_the_same_counts():
    pairs = list(pairs_at_random())
    forth, back = counts_of(dataset_of(pairs, 4)), counts_of(dataset_of(pairs[::-1], 4))
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(back, name)[::-1], getattr(forth, name), err_msg=name)


def test_on_a_device_images_of_one_size_come_together_and_counts_are_of_the_images_in_their_order(monkeypatch):
    dataset = dataset_of(list(pairs_at_random()), 4)
    split, network = resident_test_split(dataset), LabelsInTheImage(4)
    expected, visited = counts_of(dataset), []
    grouped = list(groups_of_one_size(split, 2, 4))
    monkeypatch.setattr(evaluation, "choose_batches", lambda *_: (visited.extend(one) or one for one in grouped))
    found = counts_of(dataset)
    assert visited == [0, 1, 3, 2]
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    confusion = confusion_counts(network, split, protocol_of(), dataset)
    np.testing.assert_array_equal(confusion, expected.confusion)


@pytest.mark.parametrize(("sizes", "searches"), [(4, True), (5, False)])
def test_on_a_device_kernels_are_searched_for_only_where_images_have_few_sizes(sizes, searches):
    index = SimpleNamespace(sizes=[(8, 8 + one) for one in range(sizes)])
    split = SimpleNamespace(device=torch.device("cuda"), packed=SimpleNamespace(index=index, num_classes=2))
    with torch.backends.cudnn.flags(enabled=True, benchmark=True):
        assert [torch.backends.cudnn.benchmark for _ in choose_batches(split, 8)] == [searches] * sizes
        assert torch.backends.cudnn.benchmark


def test_counts_of_two_splits_put_together_are_those_of_both():
    pairs = list(pairs_at_random())
    first, second, both = (counts_of(dataset_of(part, 4)) for part in (pairs[:1], pairs[1:], pairs))
    for name in ARRAYS:
        joined = np.concatenate([getattr(first, name), getattr(second, name)])
        np.testing.assert_array_equal(joined, getattr(both, name), err_msg=name)


def test_validation_counts_the_same_confusion_and_nothing_else():
    dataset = dataset_of(list(pairs_at_random()), 4)
    network = LabelsInTheImage(4).train()
    confusion = confusion_counts(network, resident_test_split(dataset), protocol_of(), dataset)
    np.testing.assert_array_equal(confusion, counts_of(dataset).confusion)
    assert not network.training


def test_validation_looks_at_one_view_and_evaluation_at_all():
    dataset, seen = dataset_of(list(pairs_at_random()), 4), []
    network = LabelsInTheImage(4)
    network.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    protocol = protocol_of(tta=Views(flip=True))
    found = validation_miou(network, resident_test_split(dataset), protocol, dataset)
    assert sum(seen) == 4
    counts = evaluate(network, resident_test_split(dataset), protocol, dataset)
    assert sum(seen) == 4 + 8
    assert found == miou(counts.confusion.sum(axis=0))


def test_sizes_ignored_pixels_and_groups_are_kept():
    pairs = list(pairs_at_random())
    counts = counts_of(replace(dataset_of(pairs, 4), cluster=lambda name: "aabb"[int(name)]))
    assert counts.sizes.tolist() == [[5, 7], [5, 7], [4, 6], [5, 7]]
    assert counts.void.tolist() == [(truth == 255).sum() for _, truth in pairs]
    assert counts.clusters == ("a", "a", "b", "b")
    assert counts_of(dataset_of(pairs, 4)).clusters is None


def test_parts_of_the_image_are_counted_by_themselves():
    """The band by hand: within one row or column of another class."""
    truth = np.zeros((1, 330), dtype=np.int64)
    truth[0, 8:300], truth[0, 302], truth[0, 320:] = 1, 2, 255
    prediction = np.zeros_like(truth)
    counts = counts_of(dataset_of([(prediction, truth)], 3), boundaries=Boundaries(iou_width=0.001))
    assert counts.band[0, :, 0].tolist() == [1 + 1 + 2, 2, 1]
    assert counts.small[0, :, 0].tolist() == [0, 0, 1]
    assert counts.small[0].sum() == mark_small_objects(truth, 3, 255).sum()


def test_the_width_of_boundaries_is_a_share_of_the_diagonal():
    pairs = [(truth, truth) for truth in (np.kron([[0, 1], [1, 0]], np.ones((20, 20), dtype=np.int64)),)]
    narrow, wide = (
        counts_of(dataset_of(pairs, 2), boundaries=Boundaries(iou_width=width)) for width in (1 / 56, 3 / 56)
    )
    assert narrow.band.sum() == 4 * 20 * 2 - 4
    assert wide.band.sum() == 4 * 20 * 2 * 3 - 4 * 9


def test_surface_distances_are_counted_where_they_are_asked_for():
    pytest.importorskip("monai")
    pairs = list(pairs_at_random())
    assert counts_of(dataset_of(pairs, 4)).surface is None
    counts = counts_of(dataset_of(pairs, 4), surface_distances=SurfaceDistances(tolerance=1))
    assert counts.surface.shape == (4, 4, 2)
    assert scores(counts).hd95 > 0
    assert 0 < scores(counts).surface_dice < 1


def test_what_is_predicted_where_the_truth_is_ignored_changes_no_count():
    pairs = list(pairs_at_random())
    changed = [(np.where(truth == 255, (prediction + 1) % 4, prediction), truth) for prediction, truth in pairs]
    before, after = counts_of(dataset_of(pairs, 4)), counts_of(dataset_of(changed, 4))
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name), err_msg=name)


def test_the_truth_itself_scores_one():
    pairs = [(np.where(truth == 255, 0, truth), truth) for _, truth in pairs_at_random()]
    found = scores(counts_of(dataset_of(pairs, 4))).model_dump()
    of_calibration = {found.pop(name) for name in ("ece", "nll", "brier")}  # the logits are 0 and 1, not certainty
    assert None not in of_calibration
    assert {found.pop("hd95"), found.pop("surface_dice")} == {None}
    assert set(found.values()) == {1.0}


def test_background_everywhere_scores_what_is_counted_by_hand():
    truth = np.array([[0, 0, 1], [0, 1, 255]])
    found = scores(counts_of(dataset_of([(np.zeros_like(truth), truth)], 2)))
    # class 0: 3 right of 3 true and 5 predicted, class 1: 0 of 2
    assert found.miou == pytest.approx((3 / 5 + 0) / 2)
    assert found.pixel_accuracy == pytest.approx(3 / 5)


def test_the_network_is_left_in_evaluation_mode():
    network = LabelsInTheImage(4).train()
    counts_of(dataset_of(list(pairs_at_random()), 4), network=network)
    assert not network.training


def test_what_is_evaluated_can_be_written_and_read(tmp_path):
    counts = counts_of(dataset_of(list(pairs_at_random()), 4))
    write_counts(tmp_path, counts)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(read_counts(tmp_path), name), getattr(counts, name), err_msg=name)


@pytest.mark.parametrize(
    ("folder", "num_classes"),
    [("camvid", 11), ("nuclei_dsb2018", 2), ("aerial_dubai", 5), ("retina_chase_db1", 2)],
)
def test_scores_on_real_label_maps_are_those_of_the_oracles(shared_data, folder, num_classes):
    """The truth of a few real images, moved and eroded, against sklearn and torchmetrics."""
    names = (shared_data / folder / "splits" / "test.txt").read_text().split()[:3]
    truths = [np.asarray(Image.open(shared_data / folder / "masks" / f"{name}.png")) for name in names]
    pairs = [(perturbed(truth, num_classes, 255, seed), truth) for seed, truth in enumerate(truths)]
    total = counts_of(dataset_of(pairs, num_classes)).confusion.sum(axis=0)

    oracle = MulticlassJaccardIndex(num_classes=num_classes, ignore_index=255, average="macro")
    expected = np.zeros((num_classes, num_classes), dtype=np.int64)
    for prediction, truth in pairs:
        kept = truth != 255
        expected += confusion_matrix(truth[kept], prediction[kept], labels=range(num_classes))
        oracle.update(torch.from_numpy(prediction.astype(np.int64)), torch.from_numpy(truth.astype(np.int64)))
    np.testing.assert_array_equal(total, expected)
    assert 0.1 < miou(total) < 0.99
    assert miou(total) == pytest.approx(oracle.compute().item(), abs=1e-6)


def test_pixels_are_counted_by_what_became_of_them():
    truth = torch.tensor([[[0, 0, 1, 1, 2, 255]]])
    before = torch.tensor([[[0, 1, 0, 1, 0, 0]]])
    after = torch.tensor([[[0, 0, 1, 0, 1, 1]]])
    # kept, corrected, corrected, spoilt, changed from wrong to wrong, not labelled
    assert pixel_changes(before, after, truth, 255).tolist() == [5, 4, 2, 1]


def test_shares_of_changed_pixels_are_of_those_changed():
    refinement = change_shares(torch.tensor([8, 4, 3, 1]))
    assert (refinement.changed, refinement.corrected, refinement.spoilt) == (0.5, 0.75, 0.25)


def test_of_pixels_that_none_changed_there_are_no_shares():
    refinement = change_shares(torch.tensor([8, 0, 0, 0]))
    assert (refinement.changed, refinement.corrected, refinement.spoilt) == (0, None, None)


def test_without_a_labelled_pixel_nothing_is_changed():
    assert change_shares(torch.zeros(4, dtype=torch.int64)).changed == 0


class Bright(nn.Module):
    """Takes bright pixels for class 1, which is the truth in this dataset."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack([-images[:, 0], images[:, 0]], 1)


class Dark(Bright):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return -super().forward(images)


class Keeps(nn.Module):
    def forward(self, images: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
        return probabilities.log()


class Turns(nn.Module):
    def forward(self, images: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
        return -probabilities.log()


class TurnsTheLeft(nn.Module):
    """Turns every prediction in the left half of the image."""

    def forward(self, images: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
        logits = probabilities.log()
        middle = logits.shape[-1] // 2
        return torch.cat([-logits[..., :middle], logits[..., middle:]], -1)


@pytest.mark.parametrize(
    ("base", "refiner", "expected"),
    [
        (Bright(), Keeps(), (0, None, None)),
        (Dark(), Turns(), (1, 1, 0)),
        (Bright(), Turns(), (1, 0, 1)),
    ],
)
@pytest.mark.parametrize("window", [None, Window(size=(8, 8), stride=(8, 8))], ids=["whole", "windows"])
def test_a_refiner_is_compared_with_its_base_and_the_truth(dataset, base, refiner, expected, window):
    protocol = protocol_of(window=window)
    refinement = measure_refinement(Refined(base, refiner), resident_test_split(dataset), protocol, dataset)
    assert (refinement.changed, refinement.corrected, refinement.spoilt) == expected


def test_ignored_pixels_do_not_count(dataset):
    refined = Refined(Dark(), TurnsTheLeft())
    refinement = measure_refinement(refined, resident_test_split(dataset), protocol_of(batch_size=4), dataset)
    # 16 x 20 pixels, of which the upper left one has no label
    assert refinement.changed == pytest.approx((160 - 1) / (320 - 1))
    assert (refinement.corrected, refinement.spoilt) == (1, 0)


class Background(nn.Module):
    """A network that sees class 0 everywhere."""

    def forward(self, images):
        return torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(len(images), -1, *images.shape[2:])


def test_the_miou_of_validation_is_that_of_the_counts():
    dataset = dataset_of(list(pairs_at_random(num_classes=3)), 3)
    truth = np.concatenate([sample.labels.ravel() for sample in dataset.splits["test"]])
    share = (truth == 0).sum() / (truth != 255).sum()
    found = validation_miou(Background(), resident_test_split(dataset), protocol_of(), dataset)
    assert found == pytest.approx(share / 3)


def test_a_group_without_a_name_is_an_error_of_the_dataset():
    dataset = replace(dataset_of(list(pairs_at_random()), 4), cluster=int)
    with pytest.raises(DataError, match=r"the dataset's cluster function returned 0 for the image '0'"):
        counts_of(dataset)


class Filter(nn.Module):
    """A convolution of random weights that are the same each time."""

    def __init__(self, num_classes):
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(1, num_classes, 3, padding=1)

    def forward(self, images):
        return self.convolution(images * 20)


def large_pairs(sizes, num_classes=4):
    """Images of noise whose truth has objects of many sizes, some of them through the whole image, and void."""
    generator = np.random.default_rng(1)
    for height, width in sizes:
        coarse = generator.integers(0, num_classes + 1, (height // 9 + 1, width // 7 + 1))
        truth = coarse.repeat(9, axis=0).repeat(7, axis=1)[:height, :width]
        truth[:, 3] = 1
        yield generator.integers(0, 256, (height, width)), np.where(truth == num_classes, 255, truth)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_large_images_scored_in_bands_have_bit_by_bit_the_counts_of_whole_ones(monkeypatch, precision, channels_last):
    """Blocks of pixels, bands of rows and rows of windows end at different places."""
    dataset = dataset_of(list(large_pairs([(200, 190), (200, 190), (61, 333)])), 4)
    network, window = Filter(4), Window(size=(48, 64), stride=(31, 40))
    boundaries = Boundaries(iou_width=0.02, f1_tolerance=0.03)

    def count():
        protocol = {"window": window, "boundaries": boundaries, "precision": precision, "channels_last": channels_last}
        return counts_of(dataset, network, **protocol)

    whole = count()
    monkeypatch.setattr("segbench.images.pixels.LARGE_PIXELS", 1000)
    monkeypatch.setattr("segbench.images.pixels.BAND_PIXELS", 190 * 17)
    monkeypatch.setattr(ResidentSplit, "whole", None)
    in_bands = count()
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(in_bands, name), getattr(whole, name), err_msg=name)
    assert whole.small.any()
    assert whole.band.any()


def test_a_large_image_without_a_window_is_scored_whole_and_counted_in_bands(monkeypatch):
    dataset = dataset_of(list(large_pairs([(61, 333)])), 4)
    whole = counts_of(dataset, Filter(4))
    monkeypatch.setattr("segbench.images.pixels.LARGE_PIXELS", 1000)
    monkeypatch.setattr("segbench.images.pixels.BAND_PIXELS", 333 * 5)
    in_bands = counts_of(dataset, Filter(4))
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(in_bands, name), getattr(whole, name), err_msg=name)


def test_what_refinement_changes_is_the_same_in_bands(monkeypatch):
    dataset = dataset_of(list(large_pairs([(61, 333)])), 4)
    split, protocol = resident_test_split(dataset), protocol_of(window=Window(size=(32, 64), stride=(20, 40)))
    refined = Refined(LabelsInTheImage(256), Filter(4))
    refined.base, refined.forward = Filter(4), lambda images: Filter(4)(images * 0.5 + 0.01)
    whole = measure_refinement(refined, split, protocol, dataset)
    monkeypatch.setattr("segbench.images.pixels.LARGE_PIXELS", 1000)
    assert measure_refinement(refined, split, protocol, dataset) == whole
    assert 0 < whole.changed < 1
