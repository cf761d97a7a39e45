from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score, recall_score

from segbench.errors import StatisticsError
from segbench.stats.bootstrap import crossed_draws
from segbench.stats.evidence import boundary_evidence, iou_evidence, recall_evidence
from segbench.stats.scores import miou
from segbench.store.counts import Counts

IMAGES, CLASSES = ("b", "a", "c"), 3


def counted(seed=0, **changes):
    generator = np.random.default_rng(seed)
    confusion = generator.integers(1, 50, (3, CLASSES, CLASSES))
    parts = {"band": confusion // 2, "small": confusion // 3, "boundary": generator.integers(1, 9, (3, CLASSES, 7))}
    return replace(Counts(IMAGES, "test", confusion, **parts), **changes)


def labels(confusion):
    """Return truth and prediction of pixels that are counted so."""
    truth, prediction = np.indices(confusion.shape)
    return truth.repeat(confusion.ravel()), prediction.repeat(confusion.ravel())


def observed(evidence):
    return crossed_draws(evidence, resamples=2).observed


def test_scores_of_iou_evidence_are_the_miou_of_the_counts():
    cells = {method: {seed: counted(10 * place + seed) for seed in (3, 1)} for place, method in enumerate("xy")}
    evidence = iou_evidence(cells)
    assert (evidence.methods, evidence.seeds, evidence.images) == (("x", "y"), (1, 3), ("a", "b", "c"))
    expected = [[miou(cells[method][seed].confusion.sum(axis=0)) for seed in (1, 3)] for method in "xy"]
    assert observed(evidence) == pytest.approx(np.array(expected))


@pytest.mark.parametrize("part", ["all", "band", "interior"])
def test_iou_of_a_part_is_that_of_its_pixels(part):
    cell = counted()
    pixels = {"all": cell.confusion, "band": cell.band, "interior": cell.confusion - cell.band}[part]
    expected = jaccard_score(*labels(pixels.sum(axis=0)), average="macro")
    assert observed(iou_evidence({"x": {0: cell}}, part)) == pytest.approx(expected)


@pytest.mark.parametrize("part", ["small", "large"])
def test_recall_is_that_of_the_pixels_of_small_or_of_large_objects(part):
    cell = counted()
    pixels = cell.small if part == "small" else cell.confusion - cell.small
    expected = recall_score(*labels(pixels.sum(axis=0)), average="macro")
    assert observed(recall_evidence({"x": {0: cell}}, part)) == pytest.approx(expected)


def test_boundary_iou_is_what_both_bands_share_of_what_either_holds():
    cell = counted()
    both, truth, prediction = cell.boundary.sum(axis=0)[:, :3].T
    expected = (both / (truth + prediction - both)).mean()
    assert observed(boundary_evidence({"x": {0: cell}})) == pytest.approx(expected)


def test_chosen_classes_alone_are_scored():
    cell = counted()
    whole = jaccard_score(*labels(cell.confusion.sum(axis=0)), average=None)
    assert observed(iou_evidence({"x": {0: cell}}, classes=[2, 0])) == pytest.approx(whole[[2, 0]].mean())


@given(st.permutations(range(3)))
def test_the_order_of_the_images_in_a_file_changes_nothing(order):
    cell = counted(clusters=("s", "t", "s"))
    moved = Counts(
        tuple(cell.ids[i] for i in order),
        "test",
        cell.confusion[order],
        clusters=tuple(cell.clusters[i] for i in order),
    )
    one, other = iou_evidence({"x": {0: cell}}), iou_evidence({"x": {0: moved}})
    assert (one.images, one.clusters) == (other.images, other.clusters) == (("a", "b", "c"), ("t", "s", "s"))
    assert np.array_equal(one.hits, other.hits)
    assert np.array_equal(one.whole, other.whole)


def test_only_the_seeds_that_all_methods_have_are_taken():
    cells = {"x": {seed: counted(seed) for seed in (0, 1, 2)}, "y": {seed: counted(seed) for seed in (2, 1, 5)}}
    assert iou_evidence(cells).seeds == (1, 2)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({1: counted()}, r"no seed in common \(x: 0; y: 1\); run all methods with the same seeds"),
        ({}, r"no seed in common \(x: 0; y: none\)"),
        (
            {0: counted(ids=("a", "b", "d"))},
            r"x with seed 0 and y with seed 0 differ in images .* 'c' is in",
        ),
        ({0: Counts(("a",), "test", counted().confusion[:1])}, r"differ in images \(3 and 1, for example 'b'"),
        ({0: counted(split="val")}, r"differ in splits \(test and val\)"),
        ({0: counted(confusion=np.ones((3, 2, 2), dtype=np.int64))}, r"differ in classes \(3 and 2\)"),
        ({0: counted(clusters=("s", "s", "t"))}, "group the images differently into clusters"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_what_differs(other, message):
    with pytest.raises(StatisticsError, match=message):
        iou_evidence({"x": {0: counted()}, "y": other})


@pytest.mark.parametrize(
    ("evidence", "field", "message"),
    [
        (lambda cells: iou_evidence(cells, "band"), "band", "part 'band' was not counted of y with seed 0; run that"),
        (lambda cells: iou_evidence(cells, "interior"), "band", "part 'interior' was not counted"),
        (lambda cells: recall_evidence(cells, "small"), "small", "part 'small' was not counted"),
        (boundary_evidence, "boundary", "Boundary IoU was not counted of y with seed 0"),
    ],
)
def test_a_part_that_was_not_counted_is_refused(evidence, field, message):
    with pytest.raises(StatisticsError, match=message):
        evidence({"x": {0: counted()}, "y": {0: counted(**{field: None})}})


def test_a_method_that_is_not_there_is_named_with_those_that_are():
    evidence = iou_evidence({"unet": {0: counted()}, "segan": {0: counted()}})
    with pytest.raises(
        StatisticsError, match=r"nothing was counted of 'unett'\. Did you mean 'unet'\? Available: unet, segan"
    ):
        evidence.of("unett")
