from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import grey_erosion
from sklearn.metrics import confusion_matrix
from torch import nn
from torchmetrics.classification import MulticlassJaccardIndex

from segbench.contracts import Dataset, Sample
from segbench.engine.data.cache import pack
from segbench.engine.data.resident import ResidentSplit
from segbench.engine.evaluate import evaluate
from segbench.spec.protocol import Window
from segbench.stats.scores import miou, scores
from segbench.store.counts import read_counts, write_counts


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


def counts_of(dataset, batch_size=2, window=None, network=None, layout=torch.contiguous_format):
    resident = ResidentSplit(pack(dataset, "test", "key"), torch.device("cpu"))
    return evaluate(
        network or LabelsInTheImage(len(dataset.classes)),
        resident,
        split="test",
        num_classes=len(dataset.classes),
        ignore_index=dataset.ignore_index,
        batch_size=batch_size,
        precision="fp32",
        memory_format=layout,
        window=window,
    )


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


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("window", [None, Window(size=(3, 4), stride=(2, 3))])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_batches_windows_and_layouts_change_no_count(batch_size, window, layout):
    dataset = dataset_of(list(pairs_at_random()), 4)
    found = counts_of(dataset, batch_size, window, layout=layout)
    np.testing.assert_array_equal(found.confusion, counts_of(dataset).confusion)


def test_the_truth_itself_scores_one():
    pairs = [(np.where(truth == 255, 0, truth), truth) for _, truth in pairs_at_random()]
    found = scores(counts_of(dataset_of(pairs, 4)).confusion.sum(axis=0))
    assert set(found.model_dump().values()) == {1.0}


def test_background_everywhere_scores_what_is_counted_by_hand():
    truth = np.array([[0, 0, 1], [0, 1, 255]])
    found = scores(counts_of(dataset_of([(np.zeros_like(truth), truth)], 2)).confusion.sum(axis=0))
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
    np.testing.assert_array_equal(read_counts(tmp_path).confusion, counts.confusion)


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
