from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import grey_erosion
from sklearn.metrics import confusion_matrix
from torch import nn
from torchmetrics.classification import MulticlassJaccardIndex

import segbench_data.camvid
import segbench_data.cityscapes
import segbench_data.oxford_pets
import segbench_data.voc2012
from segbench.config.protocol import Boundaries, Budget, SurfaceDistances, TrainingProtocol, Window
from segbench.contract import Dataset, Sample
from segbench.engine.data.cache import pack
from segbench.engine.data.resident import ResidentSplit
from segbench.engine.evaluation.boundary import small_objects
from segbench.engine.evaluation.confusion import classify
from segbench.engine.evaluation.evaluate import (
    as_segmenter,
    confusion_counts,
    evaluate,
    evaluate_on,
    is_scored,
    pixel_changes,
    refinement_on,
    shares,
    validation_miou,
)
from segbench.engine.model.mapping import FieldForm, GeneratorMapping, palette_colours, palette_image
from segbench.engine.model.network import Decoded, Refined
from segbench.errors import DataError
from segbench.plan.key import fingerprint
from segbench.registry import load_registry
from segbench.registry.datasets import open_dataset
from segbench.stats.scores import miou, scores
from segbench.store.counts import read_counts, write_counts
from segbench_data.description import default_palette

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


def settings_of(dataset, batch_size=2, window=None, layout=torch.contiguous_format):
    return {
        "num_classes": len(dataset.classes),
        "ignore_index": dataset.ignore_index,
        "batch_size": batch_size,
        "precision": "fp32",
        "memory_format": layout,
        "window": window,
    }


def counts_of(dataset, batch_size=2, window=None, network=None, layout=torch.contiguous_format, **others):
    resident = ResidentSplit(pack(dataset, "test", fingerprint(dataset)), torch.device("cpu"))
    network = network or LabelsInTheImage(len(dataset.classes))
    return evaluate(network, resident, split="test", **settings_of(dataset, batch_size, window, layout), **others)


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
    """Windows average the softmax, of which what is counted follows; the scores are 0 and 1, so it is the same."""
    dataset = dataset_of(list(pairs_at_random()), 4)
    found, expected = counts_of(dataset, batch_size, window, layout=layout), counts_of(dataset)
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-6, err_msg=name)
    assert np.array_equal(found.confusion, expected.confusion)


def test_images_in_another_order_have_the_same_counts():
    pairs = list(pairs_at_random())
    forth, back = counts_of(dataset_of(pairs, 4)), counts_of(dataset_of(pairs[::-1], 4))
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(back, name)[::-1], getattr(forth, name), err_msg=name)


def test_counts_of_two_splits_put_together_are_those_of_both():
    pairs = list(pairs_at_random())
    first, second, both = (counts_of(dataset_of(part, 4)) for part in (pairs[:1], pairs[1:], pairs))
    for name in ARRAYS:
        joined = np.concatenate([getattr(first, name), getattr(second, name)])
        np.testing.assert_array_equal(joined, getattr(both, name), err_msg=name)


def test_validation_counts_the_same_confusion_and_nothing_else():
    dataset = dataset_of(list(pairs_at_random()), 4)
    resident = ResidentSplit(pack(dataset, "test", fingerprint(dataset)), torch.device("cpu"))
    network = LabelsInTheImage(4).train()
    confusion = confusion_counts(network, resident, split="test", **settings_of(dataset))
    np.testing.assert_array_equal(confusion, counts_of(dataset).confusion)
    assert not network.training


def test_sizes_void_and_clusters_are_told():
    pairs = list(pairs_at_random())
    counts = counts_of(dataset_of(pairs, 4), clusters=("a", "a", "b", "b"))
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
    assert counts.small[0].sum() == small_objects(truth, 3, 255).sum()


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


CPU = torch.device("cpu")


PROTOCOL = TrainingProtocol(budget=Budget(steps=1), batch_size=4)


def test_pixels_are_counted_by_what_became_of_them():
    truth = torch.tensor([[[0, 0, 1, 1, 2, 255]]])
    before = torch.tensor([[[0, 1, 0, 1, 0, 0]]])
    after = torch.tensor([[[0, 0, 1, 0, 1, 1]]])
    # kept, corrected, corrected, spoilt, changed from wrong to wrong, not labelled
    assert pixel_changes(before, after, truth, 255).tolist() == [5, 4, 2, 1]


def test_shares_of_changed_pixels_are_of_those_changed():
    refinement = shares(torch.tensor([8, 4, 3, 1]))
    assert (refinement.changed, refinement.corrected, refinement.spoilt) == (0.5, 0.75, 0.25)


def test_of_pixels_that_none_changed_there_are_no_shares():
    refinement = shares(torch.tensor([8, 0, 0, 0]))
    assert (refinement.changed, refinement.corrected, refinement.spoilt) == (0, None, None)


def test_without_a_labelled_pixel_nothing_is_changed():
    assert shares(torch.zeros(4, dtype=torch.int64)).changed == 0


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
    split = ResidentSplit(pack(dataset, "test", "two colours"), CPU)
    protocol = PROTOCOL.model_copy(update={"window": window})
    refinement = refinement_on(split, Refined(base, refiner), protocol, 255)
    assert (refinement.changed, refinement.corrected, refinement.spoilt) == expected


def test_ignored_pixels_do_not_count(dataset):
    split = ResidentSplit(pack(dataset, "test", "two colours"), CPU)
    refinement = refinement_on(split, Refined(Dark(), TurnsTheLeft()), PROTOCOL, 255)
    # 16 x 20 pixels, of which the upper left one has no label
    assert refinement.changed == pytest.approx((160 - 1) / (320 - 1))
    assert (refinement.corrected, refinement.spoilt) == (1, 0)


IGNORE = 65535


def palette_of(name: str, **options) -> tuple[tuple[int, int, int], ...]:
    return tuple(open_dataset(load_registry().find("dataset", name), None, options).palette)


def shapes(classes: int) -> tuple[tuple[int, int, int], ...]:
    return palette_of("data/shapes", classes=classes, size=[128, 128], train=1, val=0, test=0)


PALETTES = {
    "data/nuclei": lambda: palette_of("data/nuclei"),
    "data/shapes, 2 classes": lambda: shapes(2),
    "data/shapes, 4 classes": lambda: shapes(4),
    "data/shapes, 40 classes": lambda: shapes(40),
    "data/camvid": lambda: tuple(segbench_data.camvid.CLASSES.values()),
    "data/voc2012": lambda: default_palette(len(segbench_data.voc2012.CLASSES)),
    "data/oxford_pets": lambda: tuple(segbench_data.oxford_pets.CLASSES.values()),
    "data/cityscapes": lambda: tuple(colour for _, colour in segbench_data.cityscapes.CLASSES.values()),
    "data/folder without colours of its own, 256 classes": lambda: default_palette(256),
}


class Paints(nn.Module):
    """A generator that paints one picture, whatever it sees."""

    def __init__(self, picture: torch.Tensor) -> None:
        super().__init__()
        self.picture = nn.Parameter(picture)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.picture.expand(len(images), -1, -1, -1)


def form(palette) -> FieldForm:
    return FieldForm(len(palette), IGNORE, palette)


@pytest.mark.parametrize("name", PALETTES)
def test_ground_truth_in_palette_colours_decodes_to_exactly_itself(name):
    palette = PALETTES[name]()
    truth = torch.arange(3 * len(palette)).view(1, 3, -1) % len(palette)
    decoded = as_segmenter(
        Paints(palette_image(truth, form(palette))), GeneratorMapping("image -> image", form(palette), 1), None
    )
    logits = decoded(torch.zeros(1, 3, *truth.shape[1:]))
    assert torch.equal(classify(logits).long(), truth)
    at_truth = logits.gather(1, truth[:, None])
    assert (at_truth == 0).all()  # no distance at all, and every other class is farther away
    assert ((logits < 0).sum(dim=1) == len(palette) - 1).all()


@pytest.mark.parametrize("name", PALETTES)
def test_a_palette_written_as_an_8_bit_picture_decodes_exactly_too(name):
    palette = PALETTES[name]()
    picture = torch.from_numpy(np.array(palette, dtype=np.uint8)).t().reshape(1, 3, 1, -1)
    decoded = Decoded(Paints(picture / 127.5 - 1), palette_colours(palette, CPU))
    labels = classify(decoded(torch.zeros(1, 3, 1, len(palette))))
    assert labels.flatten().tolist() == list(range(len(palette)))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["data/nuclei", "data/camvid", "data/cityscapes", "data/voc2012"])
def test_ground_truth_through_the_decoder_scores_exactly_1(name, precision):
    palette = PALETTES[name]()
    generator = np.random.default_rng(0)
    labels = generator.integers(0, len(palette), (12, 16)).astype(np.uint16)
    labels[0, :3] = IGNORE
    sample = Sample(np.zeros((12, 16, 3), np.uint8), labels, "0")
    names = [f"class {index}" for index in range(len(palette))]
    dataset = Dataset(names, palette, {"test": [sample]}, IGNORE)
    painted = palette_image(torch.from_numpy(labels.astype(np.int64))[None], form(palette)).nan_to_num(0.3)
    counts = evaluate(
        Decoded(Paints(painted), palette_colours(palette, CPU)),
        ResidentSplit(pack(dataset, "test", "key"), CPU),
        split="test",
        num_classes=len(palette),
        ignore_index=IGNORE,
        batch_size=1,
        precision=precision,
        memory_format=torch.contiguous_format,
        window=None,
    )
    found = scores(counts)
    assert found.miou == found.pixel_accuracy == found.boundary_iou == found.boundary_f1 == 1
    assert counts.confusion.sum() == 12 * 16 - 3


@pytest.mark.parametrize("name", ["camvid", "nuclei_dsb2018", "aerial_dubai", "retina_chase_db1"])
def test_real_label_maps_come_back_from_their_colours(shared_data, name):
    dataset = open_dataset(load_registry().find("dataset", "data/folder"), str(shared_data / name), {})
    fields = FieldForm(len(dataset.classes), dataset.ignore_index, dataset.palette)
    truth = torch.from_numpy(np.asarray(dataset.splits["test"][0].labels).astype(np.int64))[None]
    painted = palette_image(truth, fields).nan_to_num(0.0)
    decoded = Decoded(Paints(painted), palette_colours(dataset.palette, CPU))
    labels = classify(decoded(torch.zeros(1, 3, *truth.shape[1:]))).long()
    valid = truth != dataset.ignore_index
    assert torch.equal(labels[valid], truth[valid])


def test_a_colour_is_decoded_to_the_nearest_of_the_palette():
    palette = ((0, 0, 0), (255, 255, 255), (255, 0, 0))
    colours = torch.tensor([[20.0, 30, 20], [200, 180, 220], [180, 60, 40], [129, 129, 129]]) / 127.5 - 1
    decoded = Decoded(Paints(colours.t().view(1, 3, 1, 4)), palette_colours(palette, CPU))
    logits = decoded(torch.zeros(1, 3, 1, 4))
    assert classify(logits).flatten().tolist() == [0, 1, 2, 1]
    expected = -torch.cdist(colours.double(), palette_colours(palette, CPU).double()).square()
    torch.testing.assert_close(logits[0, :, 0].t().double(), expected, rtol=1e-5, atol=1e-5)


def test_the_palette_is_no_part_of_a_networks_weights():
    decoded = Decoded(Paints(torch.zeros(1, 3, 2, 2)), palette_colours(((0, 0, 0), (9, 9, 9)), CPU))
    assert set(decoded.state_dict()) == {"generator.picture"}


@pytest.mark.parametrize("maps", ["image -> labels", "labels -> image", "noise -> image", "noise -> image, labels"])
def test_what_takes_its_input_alone_stays_as_it_is(maps):
    network = nn.Conv2d(3, 2, 1)
    assert as_segmenter(network, GeneratorMapping(maps, form(((0, 0, 0), (9, 9, 9))), 1), None) is network


def test_a_refiner_is_given_the_image_and_the_probabilities_of_its_base():
    class Refiner(nn.Module):
        def forward(self, images, probabilities):
            self.seen = images, probabilities
            return 2 * probabilities

    base, refiner = nn.Conv2d(3, 2, 1), Refiner()
    refined = as_segmenter(refiner, GeneratorMapping("image, labels -> labels", form(((0, 0, 0), (9, 9, 9))), 1), base)
    assert isinstance(refined, Refined)
    images = torch.rand(1, 3, 4, 4)
    logits = refined(images)
    assert refiner.seen[0] is images
    torch.testing.assert_close(refiner.seen[1], base(images).softmax(1))
    torch.testing.assert_close(logits, 2 * base(images).softmax(1))
    assert not any(parameter.requires_grad for parameter in base.parameters())


@pytest.mark.parametrize(
    ("maps", "scored"),
    [
        ("image -> labels", True),
        ("image, labels -> labels", True),
        ("image -> image", True),
        ("labels -> image", False),
        ("noise -> image", False),
        ("noise -> image, labels", False),
    ],
)
def test_what_makes_label_maps_of_images_is_scored(maps, scored):
    assert is_scored(GeneratorMapping(maps, form(((0, 0, 0), (9, 9, 9))), 1)) is scored


BENCHMARK = """
name: test
datasets: {shapes: {use: data/shapes, size: [24, 32], classes: 3, train: 6, val: 2, test: 3}}
protocol: {budget: {steps: 1}, batch_size: 2, crop: [16, 16]}
seeds: [0]
methods: {base: {generator: {use: basic/fcn, width: 4}, losses: [losses/cross_entropy]}}
"""


class Background(nn.Module):
    """A network that sees class 0 everywhere."""

    def forward(self, images):
        return torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(len(images), -1, *images.shape[2:])


def test_scores_on_val_are_those_of_the_validation_split(planned):
    benchmark = planned(BENCHMARK)
    cell, data = benchmark.cells["base"], benchmark.data("base")
    truth = np.stack([sample.labels for sample in data.dataset.splits["val"]])
    share = (truth == 0).mean()
    assert validation_miou(Background(), cell, data) == pytest.approx(share / 3)
    counts = evaluate_on("val", Background(), cell, data)
    assert counts.split == "val"
    assert counts.confusion[:, :, 0].sum(axis=0).tolist() == [(truth == index).sum() for index in range(3)]


def test_images_are_grouped_as_the_dataset_says(planned):
    benchmark = planned(BENCHMARK)
    cell, data = benchmark.cells["base"], benchmark.data("base")
    assert evaluate_on("test", Background(), cell, data).clusters is None
    ids = data.resident("test").ids
    data.dataset = replace(data.dataset, cluster=lambda name: f"of {name}")
    assert evaluate_on("test", Background(), cell, data).clusters == tuple(f"of {name}" for name in ids)
    data.dataset = replace(data.dataset, cluster=ids.index)
    with pytest.raises(DataError, match=r"dataset 'shapes': its cluster function returned 0"):
        evaluate_on("test", Background(), cell, data)


def test_boundaries_are_as_wide_as_the_protocol_says(planned):
    counts = []
    for change in ("protocol.boundaries.iou_width=0.03", "protocol.boundaries.iou_width=0.2"):
        benchmark = planned(BENCHMARK, change)
        counts.append(evaluate_on("test", Background(), benchmark.cells["base"], benchmark.data("base")))
    narrow, wide = (one.band.sum() for one in counts)
    assert narrow < wide
    assert np.array_equal(counts[0].confusion, counts[1].confusion)
