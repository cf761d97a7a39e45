from __future__ import annotations

import numpy as np
import pytest
import torch

from segbench import Dataset, Sample
from segbench.engine.data.batches import TrainingBatches
from segbench.engine.data.cache import pack
from segbench.engine.data.pseudo import PseudoLabelledBatches
from segbench.engine.data.resident import ResidentSplit
from segbench.spec.protocol import Augment

IGNORED = 255
# Pixel values and how sure `brightness` is of them: the sigmoid of twice the normalised value.
DARK, MIDDLE, BRIGHT = 0, 140, 255


def brightness(images):
    """Logits of the classes dark and bright."""
    assert torch.is_inference_mode_enabled()
    return torch.cat([-images[:, :1], images[:, :1]], dim=1)


def unlabelled(with_labels=False, scale=(1.0, 1.0)):
    """Batches of one image of three grey values, in truth of class 1 where it is not void."""
    image = np.repeat(np.array([DARK, MIDDLE, BRIGHT, BRIGHT], np.uint8)[:, None], 4, axis=1)
    labels = np.ones((4, 4), np.uint8)
    labels[0, 0] = IGNORED
    dataset = Dataset(["dark", "bright"], [(0, 0, 0)] * 2, {"train": [Sample(image, labels, "a")]}, channels=1)
    return TrainingBatches(
        ResidentSplit(pack(dataset, "train", "three greys"), torch.device("cpu")),
        batch_size=1,
        crop=(4, 4),
        augment=Augment(scale=scale),
        ignore_index=IGNORED,
        seed=0,
        with_labels=with_labels,
    )


@pytest.mark.parametrize(
    ("threshold", "rows"),
    [(0.0, [0, 1, 1, 1]), (0.6, [0, IGNORED, 1, 1]), (0.88, [0, IGNORED, 1, 1]), (0.89, [IGNORED] * 4)],
)
def test_labels_are_those_of_the_network_where_it_is_sure(threshold, rows):
    """It is sure of dark and bright by 1 / (1 + exp(-2)) = 0.8808, of the middle by 0.549."""
    batch = PseudoLabelledBatches(unlabelled(), brightness, threshold, IGNORED, "fp32").at(0)
    assert batch.labels.tolist() == [[[value] * 4 for value in rows]]
    assert batch.labels.dtype == torch.int64
    assert torch.equal(batch.images, unlabelled().at(0).images)


def test_nothing_outside_the_image_is_labelled():
    batches = unlabelled(scale=(0.5, 1.0))
    labelled = PseudoLabelledBatches(batches, brightness, 0.0, IGNORED, "fp32")
    assert labelled.images_per_epoch == 1
    outside_seen = 0
    for step in range(20):
        outside = batches.at(step).labels == IGNORED
        assert torch.equal(labelled.at(step).labels == IGNORED, outside)
        outside_seen += int(outside.sum())
    assert outside_seen


def test_batches_that_show_true_labels_are_refused():
    with pytest.raises(AssertionError, match="must not be known"):
        PseudoLabelledBatches(unlabelled(with_labels=True), brightness, 0.5, IGNORED, "fp32")


def test_the_network_is_asked_in_the_stated_precision():
    network = torch.nn.Conv2d(1, 2, 1).eval()
    seen = []
    network.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    PseudoLabelledBatches(unlabelled(), network, 0.5, IGNORED, "bf16").at(0)
    assert seen == [torch.bfloat16]


def test_a_step_gives_the_same_labels_whenever_it_is_asked_for():
    first, again = (
        PseudoLabelledBatches(unlabelled(scale=(0.5, 2.0)), brightness, 0.6, IGNORED, "fp32") for _ in range(2)
    )
    again.at(0)
    assert torch.equal(first.at(3).labels, again.at(3).labels)


def test_a_loss_can_be_trained_on_the_labels():
    batch = PseudoLabelledBatches(unlabelled(), brightness, 0.6, IGNORED, "fp32").at(0)
    network = torch.nn.Conv2d(1, 2, 1)
    torch.nn.functional.cross_entropy(network(batch.images), batch.labels, ignore_index=IGNORED).backward()
    assert network.weight.grad.abs().sum() > 0
