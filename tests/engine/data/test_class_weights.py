from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from segbench.config.protocol import TrainingProtocol
from segbench.config.recipe import WeightedLoss
from segbench.engine.data.class_weights import class_weights, weigh_classes
from segbench.errors import DataError

IGNORED = 255
CLASSES = ("sky", "road", "car", "sign")


def draw_labels(images=7, seed=0):
    """Label maps of several sizes, where rare classes are not in every image."""
    generator = np.random.default_rng(seed)
    found = []
    for index in range(images):
        names = [0, 1, IGNORED, *([2] if index % 2 else []), *([3] if index == 4 else [])]
        found.append(generator.choice(names, size=(5 + index, 9)))
    return found


def count(labels):
    return np.array([[(image == label).sum() for label in range(4)] for image in labels])


def weigh(labels, *names, labelled=None, absent_classes="refuse"):
    losses = [WeightedLoss(use="losses/focal", class_weights=name) for name in names]
    protocol = TrainingProtocol(budget={"steps": 1}, absent_classes=absent_classes)
    packed = SimpleNamespace(image_class_pixels=count(labels))
    places = range(len(labels)) if labelled is None else labelled
    return weigh_classes(SimpleNamespace(losses=losses, protocol=protocol), packed, places, CLASSES)


def test_median_frequency_is_that_of_the_paper():
    labels = draw_labels()
    frequency = []
    for label in range(4):
        inside = [image for image in labels if (image == label).any()]
        frequency.append(
            sum((image == label).sum() for image in inside) / sum((image != IGNORED).sum() for image in inside)
        )
    weights = weigh(labels, "median_frequency")["median_frequency"]
    assert weights == pytest.approx(np.median(frequency) / np.array(frequency))


def test_inverse_square_root_is_the_root_of_balanced_weights_scaled_to_a_mean_of_one():
    labels = draw_labels()
    pixels = np.concatenate([image.ravel() for image in labels])
    pixels = pixels[pixels != IGNORED]
    root = np.sqrt(compute_class_weight("balanced", classes=np.arange(4), y=pixels))
    weights = weigh(labels, "inverse_square_root")["inverse_square_root"]
    assert weights == pytest.approx(root / root.mean())
    assert np.mean(weights) == pytest.approx(1)


@pytest.mark.parametrize("name", ["median_frequency", "inverse_square_root"])
def test_only_labelled_images_count(name):
    labels = draw_labels()
    seen = [1, 4, 6]
    assert weigh(labels, name, labelled=seen)[name] == class_weights(name, count([labels[place] for place in seen]))
    assert weigh(labels, name, labelled=seen) != weigh(labels, name)


@pytest.mark.parametrize("name", ["median_frequency", "inverse_square_root"])
def test_an_absent_class_has_no_weight_where_it_is_allowed(name):
    pixels = count(draw_labels())
    weights = weigh(draw_labels(), name, labelled=[1, 3], absent_classes="allow")[name]
    assert weights == [*class_weights(name, pixels[[1, 3], :3]), 0]


def test_an_absent_class_is_refused_by_default():
    message = (
        "class 'sign' never occurs in the labels of the training images that class_weights are made from (images: 2)"
    )
    with pytest.raises(DataError, match=re.escape(message)):
        weigh(draw_labels(), "median_frequency", labelled=[1, 3])


def test_without_a_labelled_pixel_there_are_no_weights():
    nothing = [np.full((4, 4), IGNORED)]
    with pytest.raises(DataError, match="no pixel is labelled in the training images that class_weights are made from"):
        weigh(nothing, "inverse_square_root", absent_classes="allow")


def test_numbers_and_losses_without_weights_need_no_labels():
    assert weigh([], labelled=[]) == {}


def test_losses_that_name_the_same_weights_share_them():
    names = ["median_frequency", "inverse_square_root", "median_frequency"]
    assert list(weigh(draw_labels(), *names)) == names[:2]
