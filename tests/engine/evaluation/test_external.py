from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import grey_erosion
from sklearn.metrics import confusion_matrix
from torchmetrics.classification import MulticlassJaccardIndex

from segbench.config.protocol import Boundaries
from segbench.config.recipe import DatasetUse
from segbench.engine.evaluation.external import Entry, score_predictions
from segbench.errors import DataError
from segbench.registry import load_registry
from segbench.registry.options import coerce_options
from segbench.store.counts import read_counts
from segbench.store.folder import ResultsFolder

ENTRY = Entry("eyes", "test", "theirs", 0)
NAMES = ("one", "two")
OF_LABEL_MAPS = (
    *("miou", "pixel_accuracy", "mean_accuracy", "fwiou", "dice", "per_image_miou"),
    *("boundary_iou", "boundary_f1"),
)

WIDTHS = (Boundaries(), Boundaries(iou_width=0.2))


@pytest.fixture
def truth(tmp_path):
    """A dataset of two images in the layout of data/folder, its test split also being its training split."""
    root = tmp_path / "data"
    generator = np.random.default_rng(0)
    masks = {}
    for name in NAMES:
        masks[name] = np.where(generator.random((6, 8)) < 0.2, 255, generator.integers(0, 2, (6, 8))).astype(np.uint8)
        save(root / "images" / f"{name}.png", generator.integers(0, 255, (6, 8), dtype=np.uint8))
        save(root / "masks" / f"{name}.png", masks[name])
    (root / "splits").mkdir()
    for split in ("train", "test"):
        (root / "splits" / f"{split}.txt").write_text("\n".join(NAMES))
    (root / "dataset.json").write_text(
        '{"classes": [{"id": 0, "name": "a", "rgb": [0, 0, 0]}, {"id": 1, "name": "b", "rgb": [9, 9, 9]}],'
        ' "ignore_index": 255}'
    )
    return masks


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def predictions_in(folder, masks, change):
    for name, mask in masks.items():
        save(folder / f"{name}.png", change(np.where(mask == 255, 0, mask).astype(np.uint8)))
    return folder


def score(tmp_path, folder, entry=ENTRY, root=None, name="data/folder", boundaries=WIDTHS[0], **options):
    registry = load_registry()
    offer = registry.find("dataset", name)
    use = DatasetUse(use=offer.full_name, options=coerce_options(offer, options), root=str(root or tmp_path / "data"))
    results = ResultsFolder(tmp_path / "results", "tables")
    return score_predictions(folder, use, entry, registry, results, boundaries), results


def test_the_truth_itself_scores_one(truth, tmp_path):
    record, _ = score(tmp_path, predictions_in(tmp_path / "theirs", truth, lambda labels: labels))
    assert record.scores.model_dump(exclude_none=True) == dict.fromkeys(OF_LABEL_MAPS, 1.0)
    assert record.per_class.model_dump() == {name: [1.0, 1.0] for name in ("iou", "boundary_iou", "boundary_f1")}


def test_label_maps_in_the_colours_of_the_dataset_score_as_those_of_ids(truth, tmp_path):
    ids, _ = score(tmp_path, predictions_in(tmp_path / "ids", truth, lambda labels: 1 - labels))
    colours = np.array([[0, 0, 0], [9, 9, 9]], dtype=np.uint8)
    coloured, _ = score(tmp_path, predictions_in(tmp_path / "colours", truth, lambda labels: colours[1 - labels]))
    assert coloured.key == ids.key
    assert coloured.scores == ids.scores


def test_ignore_index_where_the_truth_is_ignored_changes_nothing(truth, tmp_path):
    record, results = score(tmp_path, predictions_in(tmp_path / "theirs", truth, lambda labels: labels))
    for name, mask in truth.items():
        save(tmp_path / "with void" / f"{name}.png", mask)
    other, _ = score(tmp_path, tmp_path / "with void")
    assert other.scores == record.scores
    counts = [read_counts(results.cell_folder(one.key)).confusion for one in (record, other)]
    np.testing.assert_array_equal(*counts)


def test_the_record_says_what_was_scored_and_that_nothing_was_trained(truth, tmp_path):
    record, results = score(tmp_path, predictions_in(tmp_path / "theirs", truth, np.fliplr))
    assert results.read(record.key) == record
    assert results.problems == []
    assert (record.benchmark, record.dataset, record.subset, record.method) == ("tables", "eyes", "all", "theirs")
    assert record.status == "ok"
    assert record.train is None
    assert record.cost is None
    assert record.inference == []
    assert record.evaluated.model_dump() == {
        "split": "test",
        "images": 2,
        "classes": ["a", "b"],
        "also_in_train": 2,
    }
    assert record.definitions.keys() == set(OF_LABEL_MAPS)
    assert record.definitions["miou"].startswith("miou/union@")
    assert record.spec["scored"] is True
    assert record.spec["dataset"]["use"] == "data/folder"
    assert record.spec["dataset"]["fingerprint"]
    assert "root" not in record.spec["dataset"]
    assert len(record.spec["predictions"]) == 64
    assert record.environment["device"] == "cpu"


def test_the_counts_beside_the_record_are_those_of_sklearn(truth, tmp_path):
    record, results = score(tmp_path, predictions_in(tmp_path / "theirs", truth, np.fliplr))
    counts = read_counts(results.cell_folder(record.key))
    assert counts.ids == NAMES
    assert counts.split == "test"
    assert counts.sizes.tolist() == [[6, 8], [6, 8]]
    assert counts.void.tolist() == [(mask == 255).sum() for mask in truth.values()]
    assert counts.boundary.any()
    assert counts.band.any()
    assert counts.clusters is None
    assert counts.calibration is None
    for matrix, mask in zip(counts.confusion, truth.values(), strict=True):
        kept = mask != 255
        predicted = np.fliplr(np.where(mask == 255, 0, mask))
        np.testing.assert_array_equal(matrix, confusion_matrix(mask[kept], predicted[kept], labels=[0, 1]))


def test_the_same_label_maps_in_other_files_leave_the_same_record(truth, tmp_path):
    one, _ = score(tmp_path, predictions_in(tmp_path / "theirs", truth, np.fliplr))
    wider = predictions_in(tmp_path / "copy", truth, lambda labels: np.fliplr(labels).astype(np.uint16))
    other, results = score(tmp_path, wider)
    assert other.key == one.key
    assert len(results.records()) == 1


@pytest.mark.parametrize("change", [{"method": "ours"}, {"seed": 1}, {"dataset": "ears"}, {"split": "train"}])
def test_another_entry_is_another_record(truth, tmp_path, change):
    folder = predictions_in(tmp_path / "theirs", truth, np.fliplr)
    one, _ = score(tmp_path, folder)
    other, results = score(tmp_path, folder, ENTRY._replace(**change))
    assert other.key != one.key
    assert len(results.records()) == 2


def test_other_label_maps_are_another_record(truth, tmp_path):
    one, _ = score(tmp_path, predictions_in(tmp_path / "theirs", truth, np.fliplr))
    other, _ = score(tmp_path, predictions_in(tmp_path / "other", truth, np.flipud))
    assert other.key != one.key


def test_other_widths_of_boundaries_are_another_record(truth, tmp_path):
    folder = predictions_in(tmp_path / "theirs", truth, np.fliplr)
    one, other = (score(tmp_path, folder, boundaries=boundaries)[0] for boundaries in WIDTHS)
    assert one.key != other.key
    assert one.spec["boundaries"] != other.spec["boundaries"]
    assert one.scores.boundary_iou != other.scores.boundary_iou
    assert one.scores.miou == other.scores.miou


def test_other_data_is_another_record(truth, tmp_path):
    folder = predictions_in(tmp_path / "theirs", truth, np.fliplr)
    one, _ = score(tmp_path, folder)
    save(tmp_path / "data" / "images" / "one.png", np.zeros((6, 8), dtype=np.uint8))
    other, _ = score(tmp_path, folder)
    assert other.key != one.key


def test_label_maps_that_do_not_match_the_split_leave_no_record(truth, tmp_path):
    folder = predictions_in(tmp_path / "theirs", truth, np.fliplr)
    (folder / "two.png").unlink()
    with pytest.raises(DataError, match=r"1 of 2 images have none \(two\)"):
        score(tmp_path, folder)
    assert not (tmp_path / "results").exists()


def test_an_unknown_split_is_an_error_that_names_the_known_ones(truth, tmp_path):
    folder = predictions_in(tmp_path / "theirs", truth, np.fliplr)
    with pytest.raises(DataError, match=r"no split 'val'. Available: train, test"):
        score(tmp_path, folder, ENTRY._replace(split="val"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["camvid", "nuclei_dsb2018", "aerial_dubai", "retina_chase_db1"])
def test_whole_test_splits_of_real_datasets_score_as_torchmetrics_says(shared_data, tmp_path, name):
    root, folder = shared_data / name, tmp_path / "theirs"
    classes = len(json.loads((root / "dataset.json").read_text())["classes"])
    oracle = MulticlassJaccardIndex(num_classes=classes, ignore_index=255, average="macro")
    ids = (root / "splits" / "test.txt").read_text().split()
    for index, one in enumerate(ids):
        mask = np.asarray(Image.open(root / "masks" / f"{one}.png"))
        predicted = grey_erosion(np.roll(np.where(mask == 255, 0, mask), index % 5, axis=1), size=3)
        save(folder / f"{one}.png", predicted)
        oracle.update(torch.from_numpy(predicted.astype(np.int64)), torch.from_numpy(mask.astype(np.int64)))
    record, _ = score(tmp_path, folder, root=root)
    assert record.evaluated.images == len(ids)
    assert record.scores.miou == pytest.approx(oracle.compute().item(), abs=1e-6)
