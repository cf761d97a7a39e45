"""Folders as tools and people leave them, of real images, from `segbench init` to labels, a plan and a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segbench_data
from segbench.config.benchmark import load_benchmark
from segbench.registry import load_registry
from segbench.registry.datasets import open_dataset

NUCLEI = Path(segbench_data.__file__).parent / "nuclei"
SIDE = 64
NUMBER = 10
# Options that keep a run of two steps short.
SHORT = (
    *("--set", "protocol.budget.steps=2", "--set", "protocol.batch_size=2"),
    *("--set", "protocol.timing={iterations: 1, seconds: 0.01, max_seconds: 0.02, sweep: 1}"),
)


@pytest.fixture(scope="module")
def crops():
    """Corners of shipped images with their masks, 0 or 1, each with nuclei and background, by their stems."""
    found = {}
    for file in sorted((NUCLEI / "masks").iterdir()):
        mask = np.asarray(Image.open(file))[:SIDE, :SIDE]
        image = np.asarray(Image.open(NUCLEI / "images" / file.name).convert("RGB"))[:SIDE, :SIDE]
        if set(np.unique(mask)) == {0, 1} and len(found) < NUMBER:
            found[file.stem] = (image, mask.astype(np.uint8))
    return found


def save(file, pixels, palette=None):
    file.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8))
    if palette:
        picture.putpalette(palette)
    picture.save(file)


def cut(names):
    """Three splits of some names, by what split files are called."""
    names = list(names)
    return {"train": names[:6], "val": names[6:8], "test": names[8:]}


def write_parallel_folders(root, crops):
    for stem, (image, mask) in crops.items():
        save(root / "images" / f"{stem}.jpg", image)
        save(root / "masks" / f"{stem}.png", 255 * mask)
    for split, stems in cut(crops).items():
        (root / "splits").mkdir(exist_ok=True)
        (root / "splits" / f"{split}.txt").write_text("\n".join(stems))


def write_masks_beside_images(root, crops):
    for stem, (image, mask) in crops.items():
        save(root / f"{stem}.jpg", image)
        save(root / f"{stem}_mask.png", mask)


def write_voc(root, crops):
    for stem, (image, mask) in crops.items():
        save(root / "JPEGImages" / f"{stem}.jpg", image)
        save(root / "SegmentationClass" / f"{stem}.png", mask, palette=[0, 0, 0, 128, 0, 0])
        save(root / "SegmentationObject" / f"{stem}.png", 3 * mask, palette=[0, 0, 0] * 3 + [0, 0, 128])
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for split, stems in (("train", cut(crops)["train"]), ("val", cut(crops)["val"] + cut(crops)["test"])):
        (lists / f"{split}.txt").write_text("\n".join(stems) + "\n")


def write_cvat(root, crops):
    colours = np.array([[0, 0, 0], [250, 50, 83]])
    for stem, (image, mask) in crops.items():
        save(root / "JPEGImages" / f"{stem}.jpg", image)
        save(root / "SegmentationClass" / f"{stem}.png", colours[mask])
        save(root / "SegmentationObject" / f"{stem}.png", colours[mask] // 2)
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "default.txt").write_text("".join(f"{stem}\n" for stem in crops))
    (root / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nnucleus:250,50,83::\nartefact:1,2,3::\n"
    )


def write_roboflow(root, crops):
    for split, stems in cut(crops).items():
        folder = root / ("valid" if split == "val" else split)
        for stem in stems:
            save(folder / f"{stem}_png.rf.0a1b.jpg", crops[stem][0])
            save(folder / f"{stem}_png.rf.0a1b_mask.png", crops[stem][1])
        (folder / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, nucleus\n")


def write_coco(root, crops):
    pytest.importorskip("pycocotools")
    content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "nucleus"}]}
    for number, (stem, (image, mask)) in enumerate(crops.items(), 1):
        save(root / "images" / "default" / f"{stem}.png", image)
        column = mask.ravel(order="F")  # run lengths go down the columns, and begin with background
        ends = [0, *(np.flatnonzero(np.diff(column)) + 1).tolist(), column.size]
        counts = [0] * int(column[0]) + np.diff(ends).tolist()
        content["images"].append({"id": number, "file_name": f"{stem}.png", "height": SIDE, "width": SIDE})
        segmentation = {"size": [SIDE, SIDE], "counts": counts}
        content["annotations"].append(
            {"id": number, "image_id": number, "category_id": 1, "segmentation": segmentation, "iscrowd": 1}
        )
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_default.json").write_text(json.dumps(content))


def write_label_studio(root, crops):
    tasks = []
    for number, (stem, (image, mask)) in enumerate(crops.items(), 1):
        save(root / "images" / f"{stem}.png", image)
        save(root / "png" / f"task-{number}-annotation-{number}-by-1-tag-nucleus-0.png", 255 * mask)
        value = {"format": "rle", "rle": [], "brushlabels": ["nucleus"]}
        region = {"from_name": "tag", "to_name": "image", "type": "brushlabels", "value": value}
        annotation = {"id": number, "completed_by": 1, "was_cancelled": False, "result": [region]}
        data = {"image": f"/data/upload/1/0a1b2c3d-{stem}.png"}
        tasks.append({"id": number, "data": data, "annotations": [annotation]})
    (root / "project-1.json").write_text(json.dumps(tasks))


def write_splits_in_capitals(root, crops):
    for split, stems in cut(crops).items():
        for stem in stems:
            save(root / split.capitalize() / "images" / f"{stem}.png", crops[stem][0])
            save(root / split.capitalize() / "masks" / f"{stem}.png", crops[stem][1])


LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
ROAD, CAR = 0, 13  # places of 7 and 26 among them


def write_cityscapes(root, crops):
    for number, (stem, (image, mask)) in enumerate(crops.items()):
        split = "train" if stem in cut(crops)["train"] else "val"
        name = f"ulm_{number:06}_000019"
        ids = np.array(LABEL_IDS, dtype=np.uint8)[with_all_classes(mask)]
        save(root / "leftImg8bit" / split / "ulm" / f"{name}_leftImg8bit.png", image)
        for kind in ("labelIds", "instanceIds", "color"):
            save(root / "gtFine" / split / "ulm" / f"{name}_gtFine_{kind}.png", ids)


def with_all_classes(mask):
    """The labels of Cityscapes: cars for nuclei on a road, and a row in which each class has a pixel."""
    labels = np.where(mask == 1, CAR, ROAD)
    labels[0, : len(LABEL_IDS)] = range(len(LABEL_IDS))
    return labels


LAYOUTS = {
    "parallel folders": write_parallel_folders,
    "masks beside images": write_masks_beside_images,
    "VOC": write_voc,
    "CVAT": write_cvat,
    "Roboflow": write_roboflow,
    "COCO": write_coco,
    "Label Studio": write_label_studio,
    "splits in capitals": write_splits_in_capitals,
    "Cityscapes": write_cityscapes,
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_written_file_reads_the_labels_that_the_masks_hold(tmp_path, crops, segbench, name):
    LAYOUTS[name](tmp_path / "data", crops)
    done = segbench(tmp_path, "init", "data")
    assert done.returncode == 0, done.stderr
    registry = load_registry()
    (use,) = load_benchmark(str(tmp_path / "data.yaml"), registry).datasets.values()
    dataset = open_dataset(registry.find("dataset", use.use), use.root, use.options)
    samples = [split[place] for split in dataset.splits.values() for place in range(len(split))]
    masks = (with_all_classes(mask) if name == "Cityscapes" else mask for _, mask in crops.values())
    assert sorted(sample.labels.tolist() for sample in samples) == sorted(mask.tolist() for mask in masks)


def plan_and_run(folder, segbench):
    """Plan the file that init writes as it is, train its baseline for two steps, and return the only record."""
    done = segbench(folder, "init", "data")
    assert done.returncode == 0, done.stderr
    done = segbench(folder, "plan", "data.yaml")
    assert done.returncode == 0, done.stderr
    few = ("--folds", "1") if "folds: 5" in (folder / "data.yaml").read_text() else ()
    chosen = ("--only", "unet", "--seeds", "0", "--device", "cpu")
    done = segbench(folder, "run", "data.yaml", *chosen, *few, *SHORT)
    assert done.returncode == 0, done.stderr
    (record,) = (json.loads(path.read_text()) for path in folder.glob("results/*/*.json"))
    return record


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_the_written_file_is_planned_and_runs_unchanged(tmp_path, crops, segbench, name):
    LAYOUTS[name](tmp_path / "data", crops)
    assert plan_and_run(tmp_path, segbench)["status"] == "ok"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["camvid", "nuclei_dsb2018", "aerial_dubai", "retina_chase_db1"])
def test_real_sets_without_description_and_splits_are_planned_and_run(tmp_path, shared_data, segbench, name):
    for folder in ("images", "masks"):
        shutil.copytree(shared_data / name / folder, tmp_path / "data" / folder)
    assert plan_and_run(tmp_path, segbench)["status"] == "ok"
