"""Each score beside its metric: computed from the words of the formula, image by image and class by class."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from math import hypot
from statistics import mean
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from segbench.config.protocol import Boundaries, Budget, SurfaceDistances, TrainingProtocol
from segbench.contract import Dataset
from segbench.engine.data.cache import PackedIndex, PackedSplit
from segbench.engine.data.resident import ResidentSplit
from segbench.engine.evaluation.evaluate import evaluate
from segbench.stats.definitions import METRIC_DEFINITIONS, definitions
from segbench.stats.scores import scores
from segbench.store.record import Scores

K, IGNORE, TOLERANCE = 5, 255, 1.5
SIZES = [(24, 30), (17, 40), (24, 30)]
WIDTHS = Boundaries(iou_width=0.06, f1_tolerance=0.05)


class Seen(NamedTuple):
    """One image: truth and prediction (H, W), and what the network takes for probable, (H, W, K) float64."""

    truth: np.ndarray
    prediction: np.ndarray
    probabilities: np.ndarray

    @property
    def labelled(self):
        return self.truth != IGNORE

    def both(self, name):
        """Truth and prediction of one class, without what is ignored."""
        return self.truth == name, (self.prediction == name) & self.labelled

    def pixels(self, share):
        """A share of the diagonal in whole pixels."""
        return max(1, round(share * hypot(*self.truth.shape)))


@cache
def case():
    """Blocks of classes with void between some; class 3 is predicted only, class 4 is in neither."""
    generator = torch.Generator().manual_seed(5)
    network = nn.Conv2d(3, K, 3, padding=1)
    with torch.no_grad():
        network.weight.normal_(std=2.0, generator=generator)
        network.bias.copy_(torch.tensor([0.0, 0.5, 0.0, 1.0, -100.0]))
    random = np.random.default_rng(5)
    images = [
        np.kron(random.integers(0, 256, (3, -(-h // 4), -(-w // 5))), np.ones((4, 5)))[:, :h, :w] for h, w in SIZES
    ]
    images = [image.astype(np.uint8) for image in images]
    seen = [looked_at(network, image, random) for image in images]
    index = PackedIndex(
        split="test",
        ids=("a", "b", "c"),
        sizes=tuple(SIZES),
        channels=3,
        image_dtype="uint8",
        label_dtype="uint8",
        num_classes=K,
        ignore_index=IGNORE,
        class_pixels=(0,) * K,
    )
    labels = np.concatenate([one.truth.ravel() for one in seen]).astype(np.uint8)
    packed = PackedSplit(index, np.concatenate([image.ravel() for image in images]), labels)
    counts = evaluate(
        network,
        ResidentSplit(packed, torch.device("cpu")),
        TrainingProtocol(
            budget=Budget(steps=1),
            batch_size=2,
            boundaries=WIDTHS,
            surface_distances=SurfaceDistances(tolerance=TOLERANCE) if find_spec("monai") else None,
        ),
        Dataset([f"class {index}" for index in range(K)], [(0, 0, 0)] * K, {}, IGNORE),
    )
    return seen, scores(counts)


def blocks(random, values, size, block):
    """Blocks of random values, (3, H, W)."""
    coarse = [-(-length // step) for length, step in zip(size, block, strict=True)]
    return np.kron(random.integers(0, values, (3, *coarse)), np.ones((1, *block), dtype=int))[:, : size[0], : size[1]]


def looked_at(network, image, random):
    """What a network sees in an image, beside a truth that is partly what it sees and has no class 3 or 4."""
    with torch.no_grad():
        logits = network(torch.from_numpy(image)[None].float() / 127.5 - 1)[0].double().numpy()
    exponentials = np.exp(logits - logits.max(axis=0))
    probabilities = np.moveaxis(exponentials / exponentials.sum(axis=0), 0, -1)
    prediction = logits.argmax(axis=0)
    foreign = blocks(random, 3, prediction.shape, (6, 8))[0]
    truth = np.where((prediction < 3) & (random.random(prediction.shape) < 0.6), prediction, foreign)
    truth[3:9, 10:14] = IGNORE
    return Seen(truth, prediction, probabilities)


def summed(count):
    """A count of two masks by class, summed over the images."""
    return [sum(count(*one.both(name)) for one in case()[0]) for name in range(K)]


def overlap(true, predicted):
    return int((true & predicted).sum())


def union(true, predicted):
    return int((true | predicted).sum())


def shares(parts, wholes):
    """Ratios where there is something to divide by."""
    return [part / whole for part, whole in zip(parts, wholes, strict=True) if whole]


def iou_of(one):
    pairs = [one.both(name) for name in range(K)]
    return shares([overlap(*pair) for pair in pairs], [union(*pair) for pair in pairs])


def true_pixels():
    return summed(lambda true, _: int(true.sum()))


def miou():
    return mean(shares(summed(overlap), summed(union)))


def pixel_accuracy():
    return sum(summed(overlap)) / sum(true_pixels())


def mean_accuracy():
    return mean(shares(summed(overlap), true_pixels()))


def fwiou():
    weights = true_pixels()
    hits, wholes = summed(overlap), summed(union)
    return sum(w * hit / whole for w, hit, whole in zip(weights, hits, wholes, strict=True) if whole) / sum(weights)


def dice():
    sizes = summed(lambda true, predicted: int(true.sum() + predicted.sum()))
    return mean(shares([2 * hits for hits in summed(overlap)], sizes))


def per_image_miou():
    return mean(mean(iou_of(one)) for one in case()[0])


def band(mask, labelled, depth):
    """What erosions of a class take away; what is ignored takes nothing away."""
    padded = np.pad(mask | ~labelled, 1)
    kept = ndimage.binary_erosion(padded, np.ones((3, 3)), iterations=depth)[1:-1, 1:-1]
    return mask & ~kept


def bands(one, name, depth):
    return [band(mask, one.labelled, depth) for mask in one.both(name)]


def boundary_iou():
    found = [[bands(one, name, one.pixels(WIDTHS.iou_width)) for one in case()[0]] for name in range(K)]
    hits = [sum(overlap(*pair) for pair in pairs) for pairs in found]
    return mean(shares(hits, [sum(union(*pair) for pair in pairs) for pairs in found]))


def near(line, other, reach):
    """The share of a line that lies within reach of another; 0 where one of them is not there."""
    if not line.any() or not other.any():
        return 0.0
    return float((ndimage.distance_transform_edt(~other)[line] <= reach).mean())


def boundary_f1_of(one, name):
    true, predicted = bands(one, name, 1)
    if not true.any() and not predicted.any():
        return None
    reach = one.pixels(WIDTHS.f1_tolerance)
    precision, recall = near(predicted, true, reach), near(true, predicted, reach)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def over_images_then_classes(of_image):
    found = [[value for one in case()[0] if (value := of_image(one, name)) is not None] for name in range(K)]
    return mean(mean(values) for values in found if values)


def boundary_f1():
    return over_images_then_classes(boundary_f1_of)


def labelled_pixels():
    """Probabilities (P, K), truth and prediction (P,) of all labelled pixels of the split."""
    seen = case()[0]
    return [
        np.concatenate([getattr(one, field)[one.labelled] for one in seen])
        for field in ("probabilities", "truth", "prediction")
    ]


def ece():
    probabilities, truth, prediction = labelled_pixels()
    top, right = probabilities.max(axis=1), truth == prediction
    edges = np.linspace(0, 1, 16)
    bins = [(top > low) & (top <= high) for low, high in pairwise(edges)]
    return sum(inside.mean() * abs(right[inside].mean() - top[inside].mean()) for inside in bins if inside.any())


def nll():
    probabilities, truth, _ = labelled_pixels()
    return -np.log(probabilities[range(len(truth)), truth]).mean()


def brier():
    probabilities, truth, _ = labelled_pixels()
    return ((probabilities - np.eye(K)[truth]) ** 2).sum(axis=1).mean()


def surfaces(one, name):
    """The pixels of a class with another class or the outside at one of their four sides."""
    cross = ndimage.generate_binary_structure(2, 1)
    kept = [ndimage.binary_erosion(np.pad(mask | ~one.labelled, 1), cross)[1:-1, 1:-1] for mask in one.both(name)]
    return [mask & ~inside for mask, inside in zip(one.both(name), kept, strict=True)]


def distances(line, other):
    return ndimage.distance_transform_edt(~other)[line]


def hd95_of(one, name):
    true, predicted = surfaces(one, name)
    if not true.any() and not predicted.any():
        return None
    if not true.any() or not predicted.any():
        return hypot(*true.shape)
    return max(np.percentile(distances(true, predicted), 95), np.percentile(distances(predicted, true), 95))


def surface_dice_of(one, name):
    true, predicted = surfaces(one, name)
    if not true.any() and not predicted.any():
        return None
    if not true.any() or not predicted.any():
        return 0.0
    both = np.concatenate([distances(true, predicted), distances(predicted, true)])
    return float((both <= TOLERANCE).mean())


def hd95():
    return over_images_then_classes(hd95_of)


def surface_dice():
    return over_images_then_classes(surface_dice_of)


FROM_WORDS = [
    miou, pixel_accuracy, mean_accuracy, fwiou, dice, per_image_miou, boundary_iou, boundary_f1, ece, nll, brier,
]  # fmt: skip


def test_every_score_has_a_definition():
    assert set(METRIC_DEFINITIONS) == set(Scores.model_fields)


def test_every_definition_is_checked_from_its_words():
    assert {score.__name__ for score in [*FROM_WORDS, hd95, surface_dice]} == set(METRIC_DEFINITIONS)


@pytest.mark.parametrize("score", FROM_WORDS, ids=lambda score: score.__name__)
def test_a_score_is_what_its_definition_says(score):
    assert getattr(case()[1], score.__name__) == pytest.approx(score(), rel=1e-5)


@pytest.mark.parametrize("score", [hd95, surface_dice], ids=lambda score: score.__name__)
def test_a_distance_between_surfaces_is_what_its_definition_says(score):
    pytest.importorskip("monai")
    assert getattr(case()[1], score.__name__) == pytest.approx(score(), rel=1e-5)


def test_the_case_has_all_that_rules_are_about():
    seen = case()[0]
    truth = np.concatenate([one.truth.ravel() for one in seen])
    prediction = np.concatenate([one.prediction[one.labelled] for one in seen])
    assert set(truth) == {0, 1, 2, IGNORE}
    assert set(prediction) == {0, 1, 2, 3}


def test_no_two_scores_have_the_same_definition():
    ids = [metric.id for metric in METRIC_DEFINITIONS.values()]
    assert len(set(ids)) == len(ids)


def test_a_definition_is_id_and_version():
    assert all(metric.definition == f"{metric.id}@{metric.version}" for metric in METRIC_DEFINITIONS.values())
    assert METRIC_DEFINITIONS["miou"].definition == "miou/union@1"


def test_only_scores_that_are_not_none_get_a_definition():
    everything = dict.fromkeys(Scores.model_fields, 0.5)
    assert set(definitions(Scores(**everything))) == set(METRIC_DEFINITIONS)
    assert definitions(Scores(**{**everything, "ece": None})).keys() == METRIC_DEFINITIONS.keys() - {"ece"}


@pytest.mark.parametrize("name", METRIC_DEFINITIONS)
def test_no_field_of_a_definition_is_empty(name):
    metric = METRIC_DEFINITIONS[name]
    texts = (metric.formula, metric.ignored, metric.absent, metric.resolution, metric.unit, metric.source)
    assert all(text and text == " ".join(text.split()) for text in texts)
