from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import segbench_data.camvid
import segbench_data.cityscapes
import segbench_data.oxford_pets
import segbench_data.voc2012
from segbench.config.protocol import Budget, TrainingProtocol
from segbench.contract import Dataset, Sample
from segbench.engine.data.cache import pack
from segbench.engine.data.resident import ResidentSplit
from segbench.engine.evaluation.confusion import classify
from segbench.engine.evaluation.evaluate import evaluate
from segbench.engine.model.mapping import FieldForm, palette_colours, palette_image
from segbench.engine.model.network import Decoded, Segmenter, Synthesizer, auxiliary_target
from segbench.errors import PluginError, SpecError
from segbench.registry import load_registry
from segbench.registry.datasets import open_dataset
from segbench.stats.scores import scores
from segbench_data.description import default_palette

CPU = torch.device("cpu")


class Seen(nn.Module):
    """Returns its input, of one channel a class, reduced by `stride`; remembers what it saw."""

    def __init__(self, size_multiple=1, minimum_size=1, stride=1):
        super().__init__()
        self.size_multiple = size_multiple
        self.minimum_size = minimum_size
        self.stride = stride

    def forward(self, images):
        self.images = images
        return functional.avg_pool2d(images, self.stride)


class Returns(nn.Module):
    """Returns what it was made with."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, images):
        return self.output


class WithAuxiliary(Seen):
    def forward(self, images):
        logits = super().forward(images)
        return (logits, logits * 2) if self.training else logits

    def auxiliary_loss(self, auxiliary, target):
        self.target = target
        return functional.cross_entropy(*auxiliary, target)


def test_images_are_padded_with_mid_grey_below_and_on_the_right():
    network = Seen(size_multiple=4)
    images = torch.rand(1, 2, 5, 6) + 1
    Segmenter(network, 2)(images)
    assert network.images.shape == (1, 2, 8, 8)
    torch.testing.assert_close(network.images[..., :5, :6], images)
    assert network.images[..., 5:, :].abs().sum() == 0
    assert network.images[..., 6:].abs().sum() == 0


def test_padding_is_cut_off_the_logits():
    images = torch.rand(2, 3, 5, 6)
    torch.testing.assert_close(Segmenter(Seen(size_multiple=4), 3)(images), images)


def test_images_that_fit_reach_the_network_as_they_are():
    network = Seen(size_multiple=4)
    images = torch.rand(1, 2, 8, 4)
    Segmenter(network, 2)(images)
    assert network.images is images


def test_small_images_are_padded_to_the_minimum_size():
    network = Seen(size_multiple=4, minimum_size=10)
    logits = Segmenter(network, 2)(torch.rand(1, 2, 3, 17))
    assert network.images.shape == (1, 2, 12, 20)
    assert logits.shape == (1, 2, 3, 17)


def test_logits_of_another_size_are_resized_to_the_images():
    images = torch.rand(2, 3, 8, 12)
    expected = functional.interpolate(
        functional.avg_pool2d(images, 4), size=(8, 12), mode="bilinear", align_corners=False
    )
    torch.testing.assert_close(Segmenter(Seen(stride=4), 3)(images), expected)


def test_logits_of_another_size_stay_in_place_when_the_images_were_padded():
    images = torch.rand(1, 2, 6, 7)
    padded = functional.pad(images, (0, 1, 0, 2))
    expected = Segmenter(Seen(stride=4), 2)(padded)[..., :6, :7]
    torch.testing.assert_close(Segmenter(Seen(size_multiple=8, stride=4), 2)(images), expected)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(1, 30))
def test_logits_have_the_size_of_the_images_whatever_it_is(height, width, multiple, minimum):
    network = Seen(multiple, minimum)
    assert Segmenter(network, 1)(torch.zeros(1, 1, height, width)).shape == (1, 1, height, width)
    assert all(length % multiple == 0 and length >= minimum for length in network.images.shape[-2:])


def test_padding_keeps_the_memory_format():
    network = Seen(size_multiple=4)
    Segmenter(network, 3)(torch.rand(2, 3, 5, 6).to(memory_format=torch.channels_last))
    assert network.images.is_contiguous(memory_format=torch.channels_last)


def test_half_precision_passes_through():
    network = nn.Conv2d(3, 2, kernel_size=2, stride=2)
    network.size_multiple = 2
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = Segmenter(network, 2)(torch.rand(1, 3, 5, 5))
    assert logits.dtype is torch.bfloat16
    assert logits.shape == (1, 2, 5, 5)


def test_forward_is_one_graph_for_the_compiler():
    segmenter = Segmenter(WithAuxiliary(size_multiple=4, stride=2), 2).train()
    images = torch.rand(1, 2, 5, 6)
    compiled = torch.compile(segmenter, backend="eager", fullgraph=True)
    for given_, expected in zip(compiled(images), segmenter(images), strict=True):
        torch.testing.assert_close(given_, expected)


def test_auxiliary_outputs_pass_through_in_training_only():
    segmenter = Segmenter(WithAuxiliary(size_multiple=4), 2)
    images = torch.rand(1, 2, 5, 6)
    logits, auxiliary = segmenter.train()(images)
    assert logits.shape == (1, 2, 5, 6)
    assert auxiliary.shape == (1, 2, 8, 8)
    assert segmenter.eval()(images).shape == (1, 2, 5, 6)


def test_a_plain_output_has_no_auxiliary_loss():
    segmenter = Segmenter(Seen(), 2).train()
    logits, loss = segmenter.split(segmenter(torch.rand(1, 2, 3, 3)), torch.zeros(1, 3, 3, dtype=torch.int64), 255)
    assert logits.shape == (1, 2, 3, 3)
    assert loss is None


def test_a_network_may_return_auxiliary_outputs_without_a_loss():
    logits = torch.rand(1, 2, 3, 3)
    segmenter = Segmenter(Returns((logits, logits)), 2).train()
    assert segmenter.split(segmenter(logits), torch.zeros(1, 3, 3, dtype=torch.int64), 255)[1] is None


def test_the_auxiliary_loss_sees_labels_padded_as_the_images_were_and_with_torchs_ignored_label():
    network = WithAuxiliary(size_multiple=4)
    segmenter = Segmenter(network, 2).train()
    labels = torch.tensor([[[0, 1, 7], [1, 7, 0]]])
    _, loss = segmenter.split(segmenter(torch.rand(1, 2, 2, 3)), labels, ignore_index=7)
    expected = torch.full((1, 4, 4), -100)
    expected[0, :2, :3] = torch.tensor([[0, 1, -100], [1, -100, 0]])
    assert network.target.equal(expected)
    assert loss.ndim == 0


@pytest.mark.parametrize("stride", [1, 2])
def test_auxiliary_outputs_can_have_the_size_of_the_images(stride):
    segmenter, images = Segmenter(WithAuxiliary(size_multiple=4, stride=stride), 2).train(), torch.rand(1, 2, 5, 6)
    returned = segmenter(images)
    logits, auxiliary = segmenter.outputs_of_one_size(returned, images)
    assert logits is returned[0]
    resized = functional.interpolate(returned[1], (8, 8), mode="bilinear", align_corners=False)
    assert auxiliary.equal(resized[..., :5, :6])
    assert segmenter.outputs_of_one_size(logits, images) == (logits,)


@pytest.mark.parametrize("output", [torch.zeros(1, 1, 3, 3), torch.zeros(1, 2, 3), None])
def test_an_auxiliary_output_that_is_no_form_of_the_output_is_left_to_the_network(output):
    logits = torch.rand(1, 2, 3, 3)
    segmenter = Segmenter(Returns((logits, logits, output)), 2, "toy/edges").train()
    message = r"an auxiliary output of generator toy/edges .* take \(1, 2, height, width\). Set protocol: "
    with pytest.raises(SpecError, match=message):
        segmenter.outputs_of_one_size(segmenter(logits), logits)


def test_the_auxiliary_target_leaves_other_labels_and_its_argument_alone():
    labels = torch.tensor([[[0, 255, 3]]])
    assert auxiliary_target(labels, 255).tolist() == [[[0, -100, 3]]]
    assert auxiliary_target(labels, 0).tolist() == [[[-100, 255, 3]]]
    assert labels.tolist() == [[[0, 255, 3]]]


def test_an_auxiliary_loss_that_is_no_scalar_is_the_plugins_fault():
    network = WithAuxiliary()
    network.auxiliary_loss = lambda auxiliary, target: torch.zeros(2)
    segmenter = Segmenter(network, 2).train()
    with pytest.raises(PluginError, match=r"auxiliary_loss returned a tensor \(2,\); expected a scalar"):
        segmenter.split(segmenter(torch.rand(1, 2, 2, 2)), torch.zeros(1, 2, 2, dtype=torch.int64), 255)


@pytest.mark.parametrize(
    ("output", "described"),
    [
        ({"out": torch.zeros(2, 3, 4, 4)}, "a dict"),
        (None, "a NoneType"),
        (torch.zeros(2, 4, 4), r"a tensor \(2, 4, 4\)"),
        (torch.zeros(2, 5, 4, 4), r"a tensor \(2, 5, 4, 4\)"),
        (torch.zeros(1, 3, 4, 4), r"a tensor \(1, 3, 4, 4\)"),
        ((), "a tuple of 0"),
    ],
)
@pytest.mark.parametrize("mode", [True, False])
def test_a_wrong_output_is_an_error_that_says_what_was_expected(output, described, mode):
    segmenter = Segmenter(Returns(output), 3).train(mode)
    expected = rf"Returns returned {described} in .* expected a tensor \(2, 3, height, width\)"
    with pytest.raises(PluginError, match=expected):
        segmenter(torch.zeros(2, 1, 4, 4))


def test_auxiliary_outputs_in_evaluation_are_an_error():
    logits = torch.zeros(1, 2, 4, 4)
    with pytest.raises(PluginError, match="returned a tuple of 2 in evaluation"):
        Segmenter(Returns((logits, logits)), 2).eval()(torch.zeros(1, 1, 4, 4))


@pytest.mark.parametrize("size", [0, -1, "32", None])
@pytest.mark.parametrize("attribute", ["size_multiple", "minimum_size"])
def test_a_size_that_is_no_number_of_pixels_is_an_error(attribute, size):
    network = Seen()
    setattr(network, attribute, size)
    with pytest.raises(PluginError, match=attribute):
        Segmenter(network, 2)


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
    decoded = Decoded(Paints(palette_image(truth, form(palette))), palette_colours(palette, CPU))
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
        TrainingProtocol(budget=Budget(steps=1), batch_size=1, precision=precision),
        dataset,
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


def stating(**stated):
    made = nn.Conv2d(3, 2, 1)
    for name, value in stated.items():
        setattr(made, name, value)
    return made


def test_what_a_generator_states_of_its_weights_is_kept():
    stated = {"weights": "timm/resnet18.a1_in1k", "sha256": "ab"}
    assert Segmenter(stating(provenance=stated), 2).provenance == stated
    assert Synthesizer(stating(provenance=stated), 3, (8, 8)).provenance == stated


def test_a_generator_may_state_nothing():
    assert Segmenter(stating(), 2).provenance == {}


@pytest.mark.parametrize("stated", [{"epoch": 3}, ["imagenet"], torch.zeros(1), None])
def test_anything_else_than_texts_is_the_plugins_fault(stated):
    with pytest.raises(PluginError, match=r"Conv2d\.provenance is .*; expected texts by name"):
        Segmenter(stating(provenance=stated), 2)
