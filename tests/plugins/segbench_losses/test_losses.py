from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from segmentation_models_pytorch import losses as smp_losses
from torch.nn import functional
from torchmetrics.classification import MulticlassJaccardIndex
from torchmetrics.segmentation import DiceScore
from torchvision.ops import sigmoid_focal_loss

from segbench import SegbenchError
from segbench_losses import segbench_losses

COMPONENTS = {component.name: component for component in segbench_losses()}
CLASSES = 4
IGNORED = 255

VARIANTS = [
    ("cross_entropy", {}),
    ("cross_entropy", {"class_weights": [0.5, 1.0, 2.0, 4.0]}),
    ("cross_entropy", {"label_smoothing": 0.1, "class_weights": [0.5, 1.0, 2.0, 4.0]}),
    ("focal", {}),
    ("focal", {"gamma": 0.5, "class_weights": [0.5, 1.0, 2.0, 4.0]}),
    ("ohem", {}),
    ("ohem", {"threshold": 0.3, "min_fraction": 0.5}),
    ("dice", {}),
    ("dice", {"smooth": 1.0}),
    ("tversky", {}),
    ("lovasz", {}),
    ("lovasz", {"classes": "all"}),
]

every_loss = pytest.mark.parametrize(("name", "options"), VARIANTS)


def build(name, *, classes=CLASSES, ignore_index=IGNORED, **options):
    build = COMPONENTS[name].build
    asked = build.__code__.co_varnames[: build.__code__.co_argcount]
    vocabulary = {"num_classes": classes, "ignore_index": ignore_index}
    return build(**{word: vocabulary[word] for word in asked}, **options)


def logits_of(*probabilities):
    """Logits (1, K, 1, P) of P pixels from their class probabilities."""
    return torch.tensor(probabilities, dtype=torch.float64).log().T[None, :, None]


def labels_of(*labels):
    return torch.tensor(labels)[None, None]


def random_batch(seed=0, ignored=True):
    source = torch.Generator().manual_seed(seed)
    output = torch.randn(2, CLASSES, 4, 5, generator=source, dtype=torch.float64)
    target = torch.randint(CLASSES, (2, 4, 5), generator=source)
    if ignored:
        target[0, 1:3, 2:] = IGNORED
    return output, target


def gradient(loss, output, target):
    output = output.clone().requires_grad_()
    loss(output, target).backward()
    return output.grad


# What holds for all


@every_loss
def test_the_loss_is_a_finite_scalar(name, options):
    loss = build(name, **options)(*random_batch())
    assert loss.shape == ()
    assert loss.isfinite()
    assert loss > 0


@every_loss
def test_the_gradient_is_that_of_the_value(name, options):
    output, target = (whole[..., 1:3, 1:4] for whole in random_batch())
    assert (target == IGNORED).any()
    loss = build(name, **options)
    torch.autograd.gradcheck(lambda logits: loss(logits, target), output.requires_grad_())


@every_loss
def test_ignored_pixels_have_no_gradient_and_no_effect(name, options):
    output, target = random_batch()
    ignored = target == IGNORED
    loss = build(name, **options)
    assert gradient(loss, output, target).movedim(1, -1)[ignored].abs().max() == 0
    changed = output.clone()
    changed.movedim(1, -1)[ignored] = 100 * torch.randn(int(ignored.sum()), CLASSES, dtype=torch.float64)
    torch.testing.assert_close(loss(changed, target), loss(output, target))


@every_loss
def test_the_ignored_label_may_be_a_class(name, options):
    output, target = random_batch(ignored=False)
    as_class, as_void = build(name, ignore_index=0, **options), build(name, **options)
    torch.testing.assert_close(as_class(output, target), as_void(output, target.where(target != 0, IGNORED)))


@every_loss
def test_ignored_pixels_alone_give_0_and_no_gradient(name, options):
    output, target = random_batch()
    loss = build(name, **options)
    target = torch.full_like(target, IGNORED)
    assert loss(output, target) == 0
    assert gradient(loss, output, target).abs().max() == 0


@every_loss
@settings(deadline=None, max_examples=10)
@given(st.randoms(use_true_random=False))
def test_the_order_of_pixels_does_not_matter(name, options, random):
    output, target = random_batch()
    order = list(range(20))
    random.shuffle(order)
    shuffled = output.flatten(2)[..., order].view_as(output), target.flatten(1)[..., order].view_as(target)
    loss = build(name, **options)
    torch.testing.assert_close(loss(*shuffled), loss(output, target))


@every_loss
def test_the_images_of_a_batch_are_one_set_of_pixels(name, options):
    output, target = random_batch()
    joined = torch.cat(list(output), dim=1)[None], torch.cat(list(target))[None]
    loss = build(name, **options)
    torch.testing.assert_close(loss(*joined), loss(output, target))


@every_loss
def test_the_loss_is_least_at_the_truth(name, options):
    output, target = random_batch()
    truth = functional.one_hot(target.where(target != IGNORED, 0), CLASSES).movedim(-1, 1).double()
    loss = build(name, **options)
    smoothed = options.get("label_smoothing", 0)
    right, wrong = loss(truth * (5 if smoothed else 100), target), loss((1 - truth) * 100, target)
    assert right < loss(output, target) < wrong
    assert right == pytest.approx(0, abs=0.5 if smoothed else 1e-12)


@every_loss
def test_a_step_down_the_gradient_lessens_the_loss(name, options):
    output, target = random_batch()
    loss = build(name, **options)
    assert loss(output - 0.1 * gradient(loss, output, target), target) < loss(output, target)


@every_loss
def test_the_truth_itself_gives_no_gradient_that_is_not_a_number(name, options):
    _, target = random_batch()
    truth = functional.one_hot(target.where(target != IGNORED, 0), CLASSES).movedim(-1, 1).float() * 1e4
    assert gradient(build(name, **options), truth, target).isfinite().all()


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_logits_of_lower_precision_are_summed_in_float32(name, options, dtype):
    output, target = random_batch()
    output = output.to(dtype)
    loss = build(name, **options)(output, target)
    assert loss.dtype is torch.float32
    torch.testing.assert_close(loss.double(), build(name, **options)(output.double(), target), rtol=1e-5, atol=1e-6)


@every_loss
def test_autocast_does_not_change_the_loss(name, options):
    output, target = random_batch()
    loss = build(name, **options)
    expected = loss(output.float(), target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(loss(output.float(), target), expected)


@every_loss
def test_a_loss_has_no_weights_to_train_or_store(name, options):
    loss = build(name, **options)
    assert not list(loss.parameters())
    assert not loss.state_dict()


def test_the_six_losses_are_supervised():
    assert set(COMPONENTS) == {"cross_entropy", "dice", "focal", "lovasz", "ohem", "tversky"}
    assert all(component.role == "supervised" for component in COMPONENTS.values())


# Cross-entropy


def test_cross_entropy_by_hand():
    output = logits_of((0.5, 0.5), (0.25, 0.75))
    assert build("cross_entropy", classes=2)(output, labels_of(0, 0)).item() == pytest.approx(1.5 * math.log(2))
    weighted = build("cross_entropy", classes=2, class_weights=[1.0, 3.0])
    expected = (math.log(2) + 3 * math.log(4 / 3)) / 4
    assert weighted(output, labels_of(0, 1)).item() == pytest.approx(expected)


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"class_weights": [0.5, 1.0, 2.0, 4.0]}])
def test_cross_entropy_is_torchs_own_mean(options):
    output, target = random_batch()
    weights = torch.tensor(options["class_weights"], dtype=torch.float64) if "class_weights" in options else None
    smoothing = options.get("label_smoothing", 0.0)
    expected = functional.cross_entropy(output, target, weights, ignore_index=IGNORED, label_smoothing=smoothing)
    torch.testing.assert_close(build("cross_entropy", **options)(output, target), expected)


def test_pixels_of_classes_without_weight_alone_give_0():
    output = logits_of((0.5, 0.5)).requires_grad_()
    loss = build("cross_entropy", classes=2, class_weights=[0.0, 1.0])(output, labels_of(0))
    loss.backward()
    assert loss == 0
    assert output.grad.abs().max() == 0


# Focal


def test_focal_by_hand():
    output = logits_of((0.5, 0.5), (0.25, 0.75))
    expected = (0.5**2 * math.log(2) + 0.75**2 * math.log(4)) / 2
    assert build("focal", classes=2)(output, labels_of(0, 0)).item() == pytest.approx(expected)


@pytest.mark.parametrize("options", [{}, {"class_weights": [0.5, 1.0, 2.0, 4.0]}])
def test_focal_of_gamma_0_is_the_cross_entropy(options):
    batch = random_batch()
    torch.testing.assert_close(build("focal", gamma=0.0, **options)(*batch), build("cross_entropy", **options)(*batch))


def test_focal_of_two_classes_is_torchvisions_binary_one():
    output, target = torch.randn(2, 2, 4, 5, dtype=torch.float64), torch.randint(2, (2, 4, 5))
    margin = output[:, 1] - output[:, 0]
    expected = sigmoid_focal_loss(margin, target.double(), alpha=-1, gamma=2.0, reduction="mean")
    torch.testing.assert_close(build("focal", classes=2)(output, target), expected)


# Online hard example mining


def test_hard_pixels_by_hand():
    output = logits_of((0.9, 0.1), (0.6, 0.4), (0.2, 0.8), (0.8, 0.2))
    below_threshold = build("ohem", classes=2, threshold=0.7, min_fraction=0.25)
    expected = -(math.log(0.6) + math.log(0.2)) / 2
    assert below_threshold(output, labels_of(0, 0, 0, 0)).item() == pytest.approx(expected)
    at_least_three = build("ohem", classes=2, threshold=0.7, min_fraction=0.75)
    expected = -(math.log(0.6) + math.log(0.2) + math.log(0.8)) / 3
    assert at_least_three(output, labels_of(0, 0, 0, 0)).item() == pytest.approx(expected)


def test_ignored_pixels_are_never_hard():
    output = logits_of((0.9, 0.1), (0.01, 0.99), (0.8, 0.2))
    loss = build("ohem", classes=2, threshold=0.5, min_fraction=1.0)
    expected = -(math.log(0.9) + math.log(0.8)) / 2
    assert loss(output, labels_of(0, IGNORED, 0)).item() == pytest.approx(expected)


def test_all_pixels_are_the_cross_entropy():
    batch = random_batch()
    torch.testing.assert_close(build("ohem", min_fraction=1.0)(*batch), build("cross_entropy")(*batch))


# Regions


def test_dice_by_hand():
    output = logits_of((0.8, 0.2), (0.6, 0.4), (0.3, 0.7))
    target = labels_of(0, 1, 1)
    first = 2 * 0.8 / ((0.8 + 0.6 + 0.3) + 1)
    second = 2 * (0.4 + 0.7) / ((0.2 + 0.4 + 0.7) + 2)
    assert build("dice", classes=2)(output, target).item() == pytest.approx(1 - (first + second) / 2)
    first = (2 * 0.8 + 1) / ((0.8 + 0.6 + 0.3) + 1 + 1)
    second = (2 * (0.4 + 0.7) + 1) / ((0.2 + 0.4 + 0.7) + 2 + 1)
    assert build("dice", classes=2, smooth=1.0)(output, target).item() == pytest.approx(1 - (first + second) / 2)


def test_tversky_by_hand():
    output = logits_of((0.8, 0.2), (0.6, 0.4), (0.3, 0.7))
    first = 0.8 / (0.8 + 0.3 * (0.6 + 0.3) + 0.7 * 0.2)
    second = 1.1 / (1.1 + 0.3 * 0.2 + 0.7 * (0.6 + 0.3))
    loss = build("tversky", classes=2)(output, labels_of(0, 1, 1))
    assert loss.item() == pytest.approx(1 - (first + second) / 2)


@pytest.mark.parametrize("name", ["dice", "tversky", "lovasz"])
def test_classes_absent_from_the_truth_do_not_count(name):
    output = logits_of((0.7, 0.2, 0.1), (0.1, 0.8, 0.1))
    target = labels_of(0, 1)
    assert build(name, classes=3)(output, target) < 1
    # Classes 3 and 4 get no probability, hence change nothing.
    wider = torch.cat([output, torch.full((1, 2, 1, 2), -1e9, dtype=torch.float64)], dim=1)
    torch.testing.assert_close(build(name, classes=5)(wider, target), build(name, classes=3)(output, target))


def test_dice_and_tversky_are_smps_where_every_class_is_present():
    output, target = random_batch()
    dice = smp_losses.DiceLoss("multiclass", ignore_index=IGNORED)
    torch.testing.assert_close(build("dice")(output, target), dice(output, target))
    tversky = smp_losses.TverskyLoss("multiclass", ignore_index=IGNORED, alpha=0.2, beta=0.9)
    torch.testing.assert_close(build("tversky", alpha=0.2, beta=0.9)(output, target), tversky(output, target))


def test_dice_of_a_hard_prediction_is_one_minus_the_score():
    output, target = random_batch(ignored=False)
    prediction = output.argmax(1)
    score = DiceScore(CLASSES, average="macro", aggregation_level="global", input_format="index")(prediction, target)
    assert build("dice")(output * 1e6, target).item() == pytest.approx(1 - score.item(), abs=1e-6)


def test_tversky_of_two_ones_is_one_minus_the_iou():
    output, target = random_batch()
    iou = MulticlassJaccardIndex(CLASSES, ignore_index=IGNORED)(output.argmax(1), target)
    loss = build("tversky", alpha=1.0, beta=1.0)(output * 1e6, target)
    assert loss.item() == pytest.approx(1 - iou.item(), abs=1e-6)


# Lovász-Softmax


def test_lovasz_by_hand():
    # Errors of class 0: 0.2 (true), 0.6, 0.3; ranked 0.6, 0.3, 0.2. 1 - IoU after each: 1/2, 2/3, 1.
    # Errors of class 1: 0.2, 0.6 (true), 0.3 (true); ranked 0.6, 0.3, 0.2. 1 - IoU after each: 1/2, 1, 1.
    output = logits_of((0.8, 0.2), (0.6, 0.4), (0.3, 0.7))
    first = 0.6 * 1 / 2 + 0.3 * 1 / 6 + 0.2 * 1 / 3
    second = 0.6 * 1 / 2 + 0.3 * 1 / 2
    loss = build("lovasz", classes=2)(output, labels_of(0, 1, 1))
    assert loss.item() == pytest.approx((first + second) / 2)


@pytest.mark.parametrize("seed", range(3))
def test_lovasz_is_its_authors(seed):
    output, target = random_batch(seed)
    target[target == 3] = 0
    output = output.float()
    expected = smp_losses.LovaszLoss("multiclass", ignore_index=IGNORED)(output, target)
    torch.testing.assert_close(build("lovasz")(output, target), expected)


def test_lovasz_of_a_hard_prediction_is_one_minus_the_iou():
    output, target = random_batch()
    iou = MulticlassJaccardIndex(CLASSES, ignore_index=IGNORED)(output.argmax(1), target)
    assert build("lovasz")(output * 1e6, target).item() == pytest.approx(1 - iou.item(), abs=1e-6)


def test_lovasz_over_all_classes_punishes_an_absent_one():
    output = logits_of((0.7, 0.2, 0.1), (0.1, 0.5, 0.4))
    present = build("lovasz", classes=3)(output, labels_of(0, 1))
    # For a class that is absent 1 - IoU is 1 from the first wrong pixel on: the largest error counts, 0.4.
    with_absent = COMPONENTS["lovasz"].build(IGNORED, classes="all")(output, labels_of(0, 1))
    assert with_absent.item() == pytest.approx((2 * present.item() + 0.4) / 3)


def test_lovasz_tells_the_growth_of_one_pixel_among_a_million():
    pixels = 1_000_000
    output = torch.full((1, 2, 1, pixels), -20.0)
    output[:, 0] = 20.0
    target = torch.zeros(1, 1, pixels, dtype=torch.int64)
    target[..., 0] = 1  # one pixel of class 1, predicted as class 0
    # Class 0 has one false positive, class 1 one miss.
    expected = ((1 - (pixels - 1) / pixels) + 1) / 2
    assert build("lovasz", classes=2)(output, target).item() == pytest.approx(expected, rel=1e-6)


# Options


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], "class_weights has 2 numbers; the dataset has 4 classes"),
        ([1.0] * 5, "class_weights has 5 numbers; the dataset has 4 classes"),
        ([1.0, 1.0, 1.0, -1.0], "give numbers >= 0"),
        ([0.0] * 4, "not all 0"),
        ([float("nan")] * 4, "not all 0"),
    ],
)
def test_class_weights_that_do_not_fit_are_an_error(name, weights, message):
    with pytest.raises(SegbenchError, match=f"losses/{name}: .*{message}"):
        build(name, class_weights=weights)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("cross_entropy", "label_smoothing", 1.0),
        ("cross_entropy", "label_smoothing", -0.1),
        ("focal", "gamma", -1.0),
        ("ohem", "threshold", 0.0),
        ("ohem", "min_fraction", 1.5),
        ("dice", "smooth", -1.0),
        ("tversky", "alpha", -0.1),
        ("tversky", "beta", float("nan")),
    ],
)
def test_an_option_out_of_range_is_an_error(name, option, value):
    with pytest.raises(SegbenchError, match=f"losses/{name}: {option} is {value}; give a number"):
        build(name, **{option: value})


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "ohem", "dice", "tversky", "lovasz"])
def test_an_image_is_no_target(name):
    loss = build(name)
    with pytest.raises(SegbenchError, match=r"the target is an image .* for images take gan/l1"):
        loss(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2))
