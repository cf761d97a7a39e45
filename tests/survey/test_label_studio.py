from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from segbench.errors import DataError
from segbench.registry import load_registry
from segbench.survey.polygons import draw_masks
from segbench.survey.survey import survey_folder

NOTHING = [[0] * 4] * 2
WHOLE = [[255] * 4] * 2
LEFT = [[255, 128, 127, 0]] * 2  # the opacity of a brush at its edge: more than half of a pixel is painted, or less


def write_image(root, name="images/a.jpg"):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 2)).save(root / name)


def region(label, tag="tag"):
    return {"from_name": tag, "type": "brushlabels", "value": {"format": "rle", "rle": [0], "brushlabels": [label]}}


def task(number, address, *annotations):
    """A task; annotations are (number, regions)."""
    entries = [
        {"id": one, "result": regions, "was_cancelled": False, "created_at": f"2026-01-0{one}T00:00:00Z"}
        for one, regions in annotations
    ]
    return {"id": number, "data": {"text": "a note", "image": address}, "annotations": entries}


def write_export(root, tasks, masks, folder="project-1-png"):
    """Masks by what follows task-, as the names of files have it."""
    (root / "project-1.json").write_text(json.dumps(tasks))
    (root / folder).mkdir()
    for name, pixels in masks.items():
        Image.fromarray(np.array(pixels, dtype=np.uint8)).save(root / folder / f"task-{name}.png")


def mask(root, name="a"):
    return np.asarray(Image.open(root / "masks" / f"{name}.png")).tolist()


def test_masks_of_an_image_become_one_the_smaller_on_top_and_overlaps_are_told(tmp_path):
    write_image(tmp_path)
    regions = [region("car/van"), region("road-side"), region("car/van")]
    masks = {
        "7-annotation-3-by-1-tag-car-van-0": LEFT,
        "7-annotation-3-by-1-tag-road-side-0": WHOLE,
        "7-annotation-3-by-1-tag-car-van-1": [[0, 0, 0, 0], [0, 0, 0, 255]],
    }
    write_export(tmp_path, [task(7, "/data/upload/1/0a1b2c3d-a.jpg", (3, regions))], masks)
    drawn = draw_masks(tmp_path)
    assert mask(tmp_path) == [[1, 1, 2, 2], [1, 1, 2, 1]]
    assert [(one.name, one.value) for one in drawn.named[:-1]] == [("background", 0), ("car/van", 1), ("road-side", 2)]
    assert drawn.remarks[1:] == ["shapes of different classes overlap in 1 images, the smaller on top: a.jpg"]


def test_the_newest_annotation_that_was_not_cancelled_counts(tmp_path):
    write_image(tmp_path)
    cancelled = {"id": 9, "result": [region("car")], "was_cancelled": True, "created_at": "2026-01-09T00:00:00Z"}
    found = task(1, "a.jpg", (4, [region("tree")]), (3, [region("car")]))
    found["annotations"].append(cancelled)
    masks = {f"1-annotation-{number}-by-1-tag-{name}-0": WHOLE for number, name in ((3, "car"), (4, "tree"))}
    write_export(tmp_path, [found], masks)
    assert [one.name for one in draw_masks(tmp_path).named] == ["background", "tree", "void"]


def test_an_image_of_two_tasks_is_refused(tmp_path):
    write_image(tmp_path)
    tasks = [task(number, "a.jpg", (number, [region("car")])) for number in (1, 2)]
    write_export(tmp_path, tasks, {f"{number}-annotation-{number}-by-1-tag-car-0": WHOLE for number in (1, 2)})
    with pytest.raises(DataError, match=r"a\.jpg is the image of several tasks"):
        draw_masks(tmp_path)


def test_where_all_annotations_were_cancelled_this_is_told(tmp_path):
    write_image(tmp_path)
    found = task(1, "a.jpg", (1, [region("car")]))
    found["annotations"][0]["was_cancelled"] = True
    write_export(tmp_path, [found], {"1-annotation-1-by-1-tag-car-0": WHOLE})
    with pytest.raises(DataError, match="no task of Label Studio's JSON has an annotation of these images that counts"):
        draw_masks(tmp_path)


def test_tasks_without_regions_are_background_and_regions_without_a_label_void(tmp_path):
    for name in ("a", "b", "c"):
        write_image(tmp_path, f"images/{name}.jpg")
    bare = {"from_name": "tag", "type": "brushlabels", "value": {"format": "rle", "rle": [0]}}
    box = {"from_name": "box", "type": "rectanglelabels", "value": {"rectanglelabels": ["car"]}}
    tasks = [task(1, "a.jpg", (1, [box])), task(2, "b.jpg", (2, [bare])), task(3, "c.jpg")]
    write_export(tmp_path, tasks, {"2-annotation-2-by-me@here.org-tag-no_label-0": WHOLE})
    draw_masks(tmp_path)
    assert (mask(tmp_path, "a"), mask(tmp_path, "b")) == (NOTHING, WHOLE)
    assert not (tmp_path / "masks" / "c.png").exists()


@pytest.mark.parametrize(
    "address",
    [
        "/data/upload/1/0a1b2c3d-my%20photo.JPG",
        "/data/local-files/?d=my%20photo.JPG",
        "/data/local-files/?d=C%3A%5Cphotos%5Cmy%20photo.JPG",
        "s3://bucket/photos/my photo.JPG",
        "https://here.org/my%20photo.JPG?token=x.y",
    ],
)
def test_images_are_found_by_the_addresses_of_tasks(tmp_path, address):
    write_image(tmp_path, "images/my photo.JPG")
    write_export(tmp_path, [task(1, address, (1, []))], {"9-annotation-9-by-1-tag-car-0": WHOLE})
    draw_masks(tmp_path)
    assert mask(tmp_path, "my photo") == NOTHING


@pytest.mark.parametrize(
    ("regions", "masks", "message"),
    [
        ([region("car")], {"2-annotation-2-by-1-tag-car-0": WHOLE}, r"of a\.jpg has a region 'tag-car', and no PNG"),
        (
            [],
            {"1-annotation-1-by-1-tag-car-0": WHOLE},
            r"does not know task-1-.*-car-0\.png; export JSON and PNGs anew",
        ),
        (
            [region("car"), {"from_name": "p", "type": "polygonlabels", "value": {}}],
            {"1-annotation-1-by-1-tag-car-0": WHOLE},
            "a region of the form polygon, which PNGs leave out; export as COCO instead",
        ),
        (
            [region("car"), region("car")],
            {"1-annotation-1-by-1-tag-car-0": WHOLE, "1-annotation-1-by-1-tag-car-1": [[255]]},
            r"tag-car-1.png is \(1, 1\), the image \(2, 4\)",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_and_nothing_written(tmp_path, regions, masks, message):
    write_image(tmp_path)
    write_export(tmp_path, [task(1, "a.jpg", (1, regions))], masks)
    with pytest.raises(DataError, match=message):
        draw_masks(tmp_path)
    assert not list(tmp_path.glob("masks*"))


def test_masks_among_the_images_are_refused(tmp_path):
    write_image(tmp_path, "export/a.jpg")
    write_image(tmp_path, "other/b.jpg")
    masks = {"1-annotation-1-by-1-tag-car-0": WHOLE}
    write_export(tmp_path, [task(1, "a.jpg", (1, [region("car")]))], masks, folder="png")
    (tmp_path / "png" / "task-1-annotation-1-by-1-tag-car-0.png").rename(
        tmp_path / "export" / "task-1-annotation-1-by-1-tag-car-0.png"
    )
    with pytest.raises(DataError, match="lies among the images; move Label Studio's masks into a folder of their own"):
        draw_masks(tmp_path)


def test_masks_without_their_json_are_told_what_is_missing(tmp_path):
    write_image(tmp_path)
    write_export(tmp_path, [], {"1-annotation-1-by-1-tag-car-0": WHOLE})
    with pytest.raises(
        DataError, match="names a task, not an image; export the project as JSON too, and put it beside"
    ):
        survey_folder(tmp_path, load_registry(), iter)


def test_masks_of_a_class_called_mask_are_not_taken_for_those_of_images(tmp_path):
    for name in "abcd":
        write_image(tmp_path, f"images/{name}.jpg")
    regions = [region("cell"), region("mask")]
    tasks = [task(number, f"{name}.jpg", (number, regions)) for number, name in enumerate("abcd", 1)]
    masks = {f"{n}-annotation-{n}-by-1-tag-{name}-0": WHOLE for n in range(1, 5) for name in ("cell", "mask")}
    write_export(tmp_path, tasks, masks)
    found = survey_folder(tmp_path, load_registry(), iter)
    assert (found.layout, sum(found.splits.values())) == ("images in images/, masks in masks/", 4)
    assert survey_folder(tmp_path, load_registry(), iter).named[1:3] == found.named[1:3]
