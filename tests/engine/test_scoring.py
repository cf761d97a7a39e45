from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import segbench_data.camvid
import segbench_data.cityscapes
import segbench_data.oxford_pets
import segbench_data.voc2012
from segbench.contracts import Dataset, Sample
from segbench.engine.confusion import classify
from segbench.engine.data.cache import pack
from segbench.engine.data.resident import ResidentSplit
from segbench.engine.evaluate import evaluate
from segbench.engine.mapping import Mapping
from segbench.engine.network import Decoded, Refined
from segbench.engine.pairing import FieldForm, palette_colours, palette_image
from segbench.engine.scoring import as_segmenter, evaluate_on, is_scored, validation_miou
from segbench.errors import DataError
from segbench.registry import load_registry
from segbench.registry.datasets import open_dataset
from segbench.stats.scores import scores
from segbench_data.description import default_palette

CPU = torch.device("cpu")
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
        Paints(palette_image(truth, form(palette))), Mapping("image -> image", form(palette), 1), None
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
    assert as_segmenter(network, Mapping(maps, form(((0, 0, 0), (9, 9, 9))), 1), None) is network


def test_a_refiner_is_given_the_image_and_the_probabilities_of_its_base():
    class Refiner(nn.Module):
        def forward(self, images, probabilities):
            self.seen = images, probabilities
            return 2 * probabilities

    base, refiner = nn.Conv2d(3, 2, 1), Refiner()
    refined = as_segmenter(refiner, Mapping("image, labels -> labels", form(((0, 0, 0), (9, 9, 9))), 1), base)
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
    assert is_scored(Mapping(maps, form(((0, 0, 0), (9, 9, 9))), 1)) is scored


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
