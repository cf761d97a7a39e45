from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import accuracy_score, jaccard_score

from segbench.config.protocol import Budget, TrainingProtocol, Window
from segbench.engine.model.mapping import FieldForm, GeneratorMapping
from segbench.engine.prediction.predict import load_cell
from segbench.engine.prediction.pseudo_labels import find_truth, write_pseudo_labels
from segbench.engine.recorded import RecordedNetwork
from segbench.errors import DataError, OptionError
from segbench.registry import load_registry
from segbench.registry.datasets import open_dataset
from segbench.store.description import DatasetDescription

# Class 1 has the probability of the pixel's grey value, v / 255.
VALUES = np.array([[0, 10, 100, 130], [140, 250, 255, 200]], dtype=np.uint8)
LIKELY = np.maximum(VALUES, 255 - VALUES) / 255


class GreyIsProbability(torch.nn.Module):
    """The probability of class 1 is the brightness of the pixel."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, images):
        probability = ((images + 1) / 2).clamp(1e-7, 1 - 1e-7)
        return torch.cat([torch.zeros_like(probability), torch.logit(probability)], dim=1)


@pytest.fixture
def recorded():
    """A network of two classes whose probabilities are known."""
    dataset = DatasetDescription(
        classes=("dark", "bright"), palette=((0, 0, 0), (9, 8, 7)), ignore_index=255, channels=1
    )
    return RecordedNetwork(
        network=GreyIsProbability(),
        mapping=GeneratorMapping("image -> labels", FieldForm(2, 255, dataset.palette), 1),
        dataset=dataset,
        protocol=TrainingProtocol(budget=Budget(steps=1)),
        warnings=(),
        key="0123456789abcdef",
    )


@pytest.fixture
def images(tmp_path):
    """A folder of two images."""
    folder = tmp_path / "images"
    save(folder / "a.png", VALUES)
    save(folder / "b 2.bmp", VALUES[:1])
    return folder


def save(path, pixels):
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)


def opened(root, **options):
    return open_dataset(load_registry().find("dataset", "data/folder"), str(root), options)


def test_data_folder_reads_what_was_written(recorded, images, tmp_path):
    write_pseudo_labels(recorded, [images], tmp_path / "new" / "out", 0.75)
    dataset = opened(tmp_path / "new" / "out", channels=1)
    assert (dataset.classes, dataset.palette, dataset.ignore_index) == (("dark", "bright"), ((0, 0, 0), (9, 8, 7)), 255)
    assert dataset.splits.keys() == {"train"}
    first, second = dataset.splits["train"]
    assert (first.id, second.id) == ("a", "b 2")
    np.testing.assert_array_equal(first.image[..., 0], VALUES)
    np.testing.assert_array_equal(first.labels, [[0, 0, 255, 255], [255, 1, 1, 1]])
    np.testing.assert_array_equal(second.labels, [[0, 0, 255, 255]])
    assert "0123456789abcdef" in dataset.citation


def test_a_network_is_trained_on_the_folder_of_another(recorded_cell, recorder, tmp_path):
    from segbench.engine.cell import run_cell
    from segbench.engine.job import CellJob
    from segbench.plan.plan import open_plan

    teacher = load_cell(recorded_cell, "cpu")
    for index in range(3):
        save(tmp_path / "in" / f"{index}.png", np.random.default_rng(index).integers(0, 256, (32, 40, 3)))
    write_pseudo_labels(teacher, [tmp_path / "in"], tmp_path / "out", 0.0)
    (tmp_path / "b.yaml").write_text(
        f"name: student\ndatasets: {{made: {{use: data/folder, root: '{tmp_path / 'out'}'}}}}\n"
        "protocol: {budget: {steps: 1}, batch_size: 2, evaluate: train, absent_classes: allow}\n"
        "seeds: [0]\nmethods: {fcn: {generator: basic/fcn, losses: [losses/cross_entropy]}}\n"
    )
    [cell] = open_plan(str(tmp_path / "b.yaml"), threads=1).cells
    (tmp_path / "cell").mkdir()
    assert run_cell(CellJob(cell=cell, folder=str(tmp_path / "cell"), device="cpu"), recorder()).status == "ok"


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.75, 0.9])
def test_coverage_counts_the_pixels_at_or_above_the_threshold(recorded, images, tmp_path, threshold):
    report = write_pseudo_labels(recorded, [images], tmp_path / "out", threshold)
    likely, bright = np.concatenate([LIKELY, LIKELY[:1]]), np.concatenate([VALUES, VALUES[:1]]) > 127
    assert report.pixels == 12
    assert report.coverage == pytest.approx((likely >= threshold).mean())
    for entry, region in zip(report.classes, (~bright, bright), strict=True):
        assert entry.coverage == pytest.approx((likely >= threshold)[region].mean())
        assert entry.share == pytest.approx(region[likely >= threshold].mean())
    assert report.highest_probability == pytest.approx(1, abs=1e-6)
    assert (report.judged, report.pixel_accuracy, report.miou, report.drift) == (0, None, None, None)


def test_a_window_s_probabilities_are_not_put_through_the_softmax_again(recorded, images, tmp_path):
    windowed = replace(
        recorded, protocol=TrainingProtocol(budget=Budget(steps=1), window=Window(size=(2, 2), stride=(1, 1)))
    )
    for name, one in (("whole", recorded), ("windowed", windowed)):
        write_pseudo_labels(one, [images], tmp_path / name, 0.75)
    masks = [(tmp_path / name / "masks" / "a.png").read_bytes() for name in ("whole", "windowed")]
    assert masks[0] == masks[1]


def test_the_report_against_the_truth_is_what_scikit_learn_finds(recorded, images, tmp_path):
    truth = {"a": [[0, 1, 0, 1], [0, 1, 0, 255]], "b 2": [[0, 0, 1, 1]]}
    for name, labels in truth.items():
        save(tmp_path / "truth" / f"{name}.png", labels)
    save(tmp_path / "truth" / "of no image.png", [[0]])
    report = write_pseudo_labels(recorded, [images], tmp_path / "out", 0.75, tmp_path / "truth")
    true = np.concatenate([np.ravel(labels) for labels in truth.values()])
    likely, predicted = np.append(LIKELY, LIKELY[0]), np.append(VALUES, VALUES[0]) > 127
    known, judged = true != 255, (likely >= 0.75) & (true != 255)
    assert report.judged == judged.sum()
    assert report.pixel_accuracy == pytest.approx(accuracy_score(true[judged], predicted[judged]))
    assert report.miou == pytest.approx(jaccard_score(true[judged], predicted[judged], average="macro"))
    for index, entry in enumerate(report.classes):
        kept = judged & (predicted == index)
        assert entry.accuracy == pytest.approx((true[kept] == index).mean())
        assert entry.iou == pytest.approx(jaccard_score(true[judged] == index, predicted[judged] == index))
        assert entry.truth_share == pytest.approx((true[known] == index).mean())
        assert entry.kept_share == pytest.approx(predicted[judged].mean() if index else 1 - predicted[judged].mean())
    assert report.drift == pytest.approx(abs(report.classes[0].truth_share - report.classes[0].kept_share))
    written = json.loads((tmp_path / "out" / "pseudo-labels.json").read_text())
    assert written["miou"] == report.miou
    assert written["cell"] == "0123456789abcdef"
    assert [entry["name"] for entry in written["classes"]] == ["dark", "bright"]


def test_the_masks_of_a_dataset_s_folder_are_truth(recorded, images, tmp_path):
    write_pseudo_labels(recorded, [images], tmp_path / "out", 0.0)
    report = write_pseudo_labels(recorded, [images], tmp_path / "again", 0.75, tmp_path / "out")
    assert (report.pixel_accuracy, report.miou) == (1.0, 1.0)


def test_a_threshold_that_no_pixel_reaches_is_refused_and_leaves_nothing(recorded, tmp_path):
    save(tmp_path / "dim" / "a.png", [[100, 140]])
    with pytest.raises(DataError, match=r"no pixel of 1 images reaches the probability 0\.9; the highest is 0\.6078"):
        write_pseudo_labels(recorded, [tmp_path / "dim"], tmp_path / "new" / "out", 0.9)
    assert [path.name for path in tmp_path.iterdir()] == ["dim"]


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_that_is_no_probability_is_refused(recorded, images, tmp_path, threshold):
    with pytest.raises(OptionError, match="give a probability from 0 to 1"):
        write_pseudo_labels(recorded, [images], tmp_path / "out", threshold)


def test_a_folder_that_holds_something_is_refused_and_stays_as_it_is(recorded, images, tmp_path):
    with pytest.raises(DataError, match=r"images already holds a\.png, b 2\.bmp; choose a new or empty folder"):
        write_pseudo_labels(recorded, [images], images, 0.5)
    assert len(list(images.iterdir())) == 2
    with pytest.raises(DataError, match="is a file"):
        write_pseudo_labels(recorded, [images], images / "a.png", 0.5)


def test_an_empty_folder_is_filled(recorded, images, tmp_path):
    (tmp_path / "out").mkdir()
    write_pseudo_labels(recorded, [images], tmp_path / "out", 0.5)
    assert len(opened(tmp_path / "out", channels=1).splits["train"]) == 2


def test_an_unreadable_image_leaves_nothing(recorded, images, tmp_path):
    (images / "c.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"c\.png: cannot be read as an image"):
        write_pseudo_labels(recorded, [images], tmp_path / "out", 0.5)
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_a_truth_that_is_missing_or_does_not_fit_is_an_error(recorded, images, tmp_path):
    save(tmp_path / "truth" / "a.png", [[0, 1]])
    with pytest.raises(DataError, match=r"1 of 2 images have no true label map in .*truth \(b 2\.bmp\)"):
        write_pseudo_labels(recorded, [images], tmp_path / "out", 0.5, tmp_path / "truth")
    with pytest.raises(DataError, match=r"it is 2 x 1 pixels, its image is 4 x 2"):
        write_pseudo_labels(recorded, [images / "a.png"], tmp_path / "out", 0.5, tmp_path / "truth")
    with pytest.raises(DataError, match="there is no folder"):
        find_truth(tmp_path / "gone", [images / "a.png"])
    assert not (tmp_path / "out").exists()


def test_a_number_that_is_none_is_never_confident(recorded, images, tmp_path):
    class Broken(GreyIsProbability):
        def forward(self, images):
            logits = super().forward(images)
            logits[..., 0] = torch.nan
            return logits

    report = write_pseudo_labels(replace(recorded, network=Broken()), [images], tmp_path / "out", 0.0)
    assert report.coverage == 0.75
    assert report.highest_probability == pytest.approx(1, abs=1e-6)


def test_labels_beyond_8_bits_keep_their_ignore_index(recorded, images, tmp_path):
    wide = replace(recorded, dataset=recorded.dataset.model_copy(update={"ignore_index": 65535}))
    write_pseudo_labels(wide, [images], tmp_path / "out", 0.75)
    sample = opened(tmp_path / "out", channels=1).splits["train"][0]
    np.testing.assert_array_equal(sample.labels, [[0, 0, 65535, 65535], [65535, 1, 1, 1]])
