from __future__ import annotations

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import jaccard_score
from torchmetrics.classification import MulticlassJaccardIndex
from torchmetrics.functional.segmentation import mean_iou

from segbench.stats.conventions import CONVENTIONS

from .label_maps import IGNORE, K, count, label_maps

# 4 is in neither truth nor prediction, 5 is predicted only.
OCCURRING = [0, 1, 2, 3, 5]


def count_by_image(truth, prediction):
    return np.stack([count(one, other) for one, other in zip(truth, prediction, strict=True)])


def labelled(truth, prediction):
    return truth[truth != IGNORE], prediction[truth != IGNORE]


@pytest.mark.parametrize("seed", range(3))
def test_the_reference_is_that_of_torchmetrics(seed):
    truth, prediction = label_maps(seed)
    oracle = MulticlassJaccardIndex(K, average="macro", ignore_index=IGNORE)
    expected = oracle(torch.from_numpy(prediction), torch.from_numpy(truth)).item()
    assert CONVENTIONS["reference"](count_by_image(truth, prediction)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_present_in_truth_is_the_jaccard_score_of_sklearn_over_the_true_classes(seed):
    truth, prediction = label_maps(seed)
    expected = jaccard_score(*labelled(truth, prediction), labels=[0, 1, 2, 3], average="macro")
    assert CONVENTIONS["present-in-truth"](count_by_image(truth, prediction)) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_absent_as_one_is_the_macro_iou_score_of_segmentation_models_pytorch(seed):
    truth, prediction = (torch.from_numpy(array) for array in label_maps(seed))
    stats = smp.metrics.get_stats(prediction, truth, mode="multiclass", num_classes=K, ignore_index=IGNORE)
    summed = [part.sum(dim=0, keepdim=True) for part in stats]
    expected = smp.metrics.iou_score(*summed, reduction="macro").item()
    counts = count_by_image(truth.numpy(), prediction.numpy())
    assert CONVENTIONS["absent-as-one"](counts) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_per_image_is_the_mean_over_images_of_the_mean_iou_of_torchmetrics(seed):
    truth, prediction = label_maps(seed)
    truth, prediction = np.delete(truth, [10, 11], axis=1), np.delete(prediction, [10, 11], axis=1)  # it knows no void
    images = mean_iou(torch.from_numpy(prediction), torch.from_numpy(truth), num_classes=K, input_format="index")
    assert CONVENTIONS["per-image"](count_by_image(truth, prediction)) == pytest.approx(images.mean().item(), abs=1e-6)


def test_conventions_on_counts_worked_by_hand():
    # first image: classes 0 (IoU 3/4), 1 (IoU 0: missed); second: 0 (IoU 4/6), 2 (IoU 0: predicted only); 3 nowhere
    confusion = np.zeros((2, 4, 4), dtype=np.int64)
    confusion[0, 0, 0], confusion[0, 1, 0] = 3, 1
    confusion[1, 0, 0], confusion[1, 0, 2] = 4, 2
    together = 7 / 10
    assert {name: score(confusion) for name, score in CONVENTIONS.items()} == {
        "reference": pytest.approx((together + 0 + 0) / 3),
        "present-in-truth": pytest.approx((together + 0) / 2),
        "absent-as-one": pytest.approx((together + 0 + 0 + 1) / 4),
        "per-image": pytest.approx(((3 / 4 + 0) / 2 + (4 / 6 + 0) / 2) / 2),
    }


def test_an_absent_class_alone_moves_a_score_by_as_much_as_it_was_measured_to():
    # five classes with 2186 hits, 907 missed and 907 wrong pixels each, and one in neither truth nor prediction; the
    # figures are those measured with torchmetrics and segmentation_models_pytorch on a toy set of such classes
    confusion = np.zeros((1, 6, 6), dtype=np.int64)
    confusion[0, range(5), range(5)] = 2186
    confusion[0, range(5), [1, 2, 3, 4, 0]] = 907
    assert CONVENTIONS["reference"](confusion) == pytest.approx(0.5465)
    assert CONVENTIONS["absent-as-one"](confusion) == pytest.approx(0.6221, abs=5e-5)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_nothing_is_defined_where_no_pixel_is_labelled(name):
    assert CONVENTIONS[name](np.zeros((2, 3, 3), dtype=np.int64)) is None


def test_an_image_of_void_alone_is_left_out_of_the_mean_over_images():
    confusion = np.array([[[1, 1], [0, 2]], [[0, 0], [0, 0]]])
    assert CONVENTIONS["per-image"](confusion) == CONVENTIONS["per-image"](confusion[:1])


def test_each_convention_names_its_rule_and_the_tools_that_follow_it():
    assert set(CONVENTIONS) == {"reference", "present-in-truth", "absent-as-one", "per-image"}
    assert all(convention.rule and convention.tools for convention in CONVENTIONS.values())


COUNTS = arrays(np.int64, st.tuples(st.integers(1, 4), st.just(4), st.just(4)), elements=st.integers(0, 50))
FULL = arrays(np.int64, st.tuples(st.integers(1, 4), st.just(4), st.just(4)), elements=st.integers(1, 50))


@given(FULL)
def test_conventions_over_the_split_agree_where_every_class_occurs(confusion):
    scores = {name: CONVENTIONS[name](confusion) for name in ("reference", "present-in-truth", "absent-as-one")}
    assert len(set(scores.values())) == 1


@given(FULL.map(lambda counts: counts[:1]))
def test_all_conventions_agree_on_one_image_where_every_class_occurs(confusion):
    assert len({score(confusion) for score in CONVENTIONS.values()}) == 1


@pytest.mark.parametrize("name", CONVENTIONS)
@given(confusion=COUNTS, order=st.permutations(range(4)))
def test_names_of_classes_do_not_matter(name, confusion, order):
    relabelled = confusion[:, order][:, :, order]
    assert CONVENTIONS[name](relabelled) == pytest.approx(CONVENTIONS[name](confusion))


@pytest.mark.parametrize("name", CONVENTIONS)
@given(confusion=COUNTS, seed=st.integers(0, 99))
def test_the_order_of_images_does_not_matter(name, confusion, seed):
    shuffled = np.random.default_rng(seed).permutation(confusion)
    assert CONVENTIONS[name](shuffled) == pytest.approx(CONVENTIONS[name](confusion))


@given(COUNTS)
def test_absent_classes_never_lower_a_score_that_counts_them_as_one(confusion):
    reference, lenient = CONVENTIONS["reference"](confusion), CONVENTIONS["absent-as-one"](confusion)
    assert (reference is None) == (lenient is None)
    assert reference is None or lenient >= reference - 1e-12


@given(COUNTS)
def test_a_class_that_is_predicted_only_never_raises_the_reference(confusion):
    reference, present = CONVENTIONS["reference"](confusion), CONVENTIONS["present-in-truth"](confusion)
    assert reference is None or present >= reference - 1e-12
