from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from segbench.errors import DataError
from segbench.registry import load_registry
from segbench.survey.names import find_names
from segbench.survey.polygons import draw_masks
from segbench.survey.survey import survey_folder

SQUARE = [1, 1, 4, 1, 4, 3, 1, 3]  # columns 1 to 3 of rows 1 and 2, by pycocotools


def write_images(root, *names, size=(6, 4)):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(root / name)


def write_coco(file, annotations, images=("a.png",), names=("car", "road")):
    """Annotations are (image, category, segmentation), categories counted from 1."""
    content = {
        "images": [{"id": place, "file_name": name, "width": 6, "height": 4} for place, name in enumerate(images)],
        "categories": [{"id": place, "name": name} for place, name in enumerate(names, 1)],
        "annotations": [
            {"id": place, "image_id": image, "category_id": category, "segmentation": segmentation, "iscrowd": 0}
            for place, (image, category, segmentation) in enumerate(annotations)
        ],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def mask(root, name="a"):
    return np.asarray(Image.open(root / "masks" / f"{name}.png")).tolist()


@pytest.fixture
def coco():
    pytest.importorskip("pycocotools")


@pytest.mark.usefixtures("coco")
def test_polygons_of_coco_become_masks_the_smaller_on_top(tmp_path):
    write_images(tmp_path, "images/a.png", "images/b.png")
    whole = [0, 0, 6, 0, 6, 4, 0, 4]
    annotations = [(0, 1, [SQUARE]), (0, 2, [whole])]
    write_coco(tmp_path / "annotations" / "instances_default.json", annotations, ["a.png", "images/b.png"])
    drawn = draw_masks(tmp_path)
    assert mask(tmp_path) == [[2, 2, 2, 2, 2, 2], [2, 1, 1, 1, 2, 2], [2, 1, 1, 1, 2, 2], [2, 2, 2, 2, 2, 2]]
    assert mask(tmp_path, "b") == [[0] * 6] * 4
    assert [(one.name, one.value) for one in drawn.named] == [("background", 0), ("car", 1), ("road", 2), ("void", 255)]
    assert drawn.remarks[1:] == [
        "1 images have no shape, so they are background alone: b.png",
        "shapes of different classes overlap in 1 images, the smaller on top: a.png",
    ]


@pytest.mark.usefixtures("coco")
@pytest.mark.parametrize("counts", [[5, 2, 2, 2, 2, 2, 9], "52202020D0"])
def test_run_lengths_go_down_the_columns_as_numbers_or_packed(tmp_path, counts):
    from pycocotools import mask as coco_masks

    expected = np.zeros((4, 6), dtype=np.uint8)
    expected[1:3, 1:4] = 1
    packed = coco_masks.encode(np.asfortranarray(expected))["counts"].decode()
    write_images(tmp_path, "a.png")
    counts = counts if isinstance(counts, list) else packed
    write_coco(tmp_path / "result.json", [(0, 1, {"size": [4, 6], "counts": counts})])
    draw_masks(tmp_path)
    assert mask(tmp_path) == expected.tolist()


@pytest.mark.usefixtures("coco")
def test_masks_of_splits_lie_in_folders_of_theirs(tmp_path):
    write_images(tmp_path, "train/a.png", "valid/a.png")
    for split in ("train", "valid"):
        write_coco(tmp_path / split / "_annotations.coco.json", [(0, 1, [SQUARE])])
    draw_masks(tmp_path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("masks/*/*")) == [
        "masks/train/a.png",
        "masks/valid/a.png",
    ]


@pytest.mark.usefixtures("coco")
@pytest.mark.parametrize(
    ("names", "linked", "splits"),
    [
        (["site/a/0.png", "site/b/0.png", "site/0.png"], ["0", "a_0", "b_0"], None),
        (
            ["train/ulm/0.png", "val/ulm/0.png", "train/bonn/0.png"],
            ["train/bonn_0", "train/ulm_0", "val/ulm_0"],
            {"train": 2, "val": 1},
        ),
        (
            ["train_a/0.png", "train_b/0.png", "val_a/0.png"],
            ["train/a_0", "train/b_0", "val/a_0"],
            {"train": 2, "val": 1},
        ),
    ],
)
def test_images_of_several_folders_are_linked_into_one_or_one_a_split(tmp_path, names, linked, splits):
    write_images(tmp_path, *names)
    write_coco(tmp_path / "all.json", [(place, 1 + place % 2, [SQUARE]) for place in range(3)], names)
    found = survey_folder(tmp_path, load_registry(), iter)
    below = [path.relative_to(tmp_path / "all_images") for path in (tmp_path / "all_images").rglob("*.png")]
    assert sorted(path.with_suffix("").as_posix() for path in below) == linked
    assert found.layout.startswith("images in all_images")
    assert splits is None or found.splits == splits
    assert (
        f"images of several folders are linked in {tmp_path / 'all_images'}/, each by folder and name" in found.remarks
    )
    assert survey_folder(tmp_path, load_registry(), iter).layout == found.layout


@pytest.mark.usefixtures("coco")
def test_an_image_is_that_of_the_path_beside_the_file_before_any_other(tmp_path):
    write_images(tmp_path, "b/x.png", "x.png")
    write_coco(tmp_path / "all.json", [(0, 1, [SQUARE]), (1, 2, [SQUARE])], ["b/x.png", "x.png"])
    draw_masks(tmp_path)
    assert {path.stem for path in (tmp_path / "masks").iterdir()} == {"b_x", "x"}


@pytest.mark.usefixtures("coco")
def test_an_image_of_two_entries_is_refused(tmp_path):
    write_images(tmp_path, "x.png")
    write_coco(tmp_path / "all.json", [(0, 1, [SQUARE])], ["x.png", "old/x.png"])
    with pytest.raises(DataError, match=r"x\.png is the image of 0 and of 1; export it once"):
        draw_masks(tmp_path)


@pytest.mark.usefixtures("coco")
def test_folders_are_not_taken_for_splits_where_an_image_lies_outside(tmp_path):
    write_images(tmp_path, "train/a.png", "val/b.png", "c.png")
    write_coco(tmp_path / "all.json", [(0, 1, [SQUARE])], ["train/a.png", "val/b.png", "c.png"])
    assert draw_masks(tmp_path).remarks[-1] == "folders are not taken for splits, as some images lie in none: c.png"


@pytest.mark.usefixtures("coco")
def test_of_several_folders_the_chosen_one_alone_counts(tmp_path):
    write_images(tmp_path, "a/0.png", "b/1.png", "a/2.png", "a/3.png")
    write_coco(tmp_path / "all.json", [(0, 1, [SQUARE])], ["0.png", "1.png", "2.png", "3.png"])
    found = survey_folder(tmp_path, load_registry(), iter, images="a/")
    assert (found.layout, sum(found.splits.values())) == ("images in a/, masks in masks/", 3)


@pytest.mark.usefixtures("coco")
def test_images_that_cannot_be_linked_are_refused_and_no_masks_are_left(tmp_path):
    write_images(tmp_path, "a/0.png", "b/0.png", "all_images/x.png")
    write_coco(tmp_path / "all.json", [(0, 1, [SQUARE])], ["a/0.png", "b/0.png"])
    with pytest.raises(DataError, match="all_images holds something already"):
        draw_masks(tmp_path)
    assert not list(tmp_path.glob("masks*"))


@pytest.mark.usefixtures("coco")
def test_polygons_outside_the_image_are_cut_off_and_told(tmp_path):
    write_images(tmp_path, "a.png")
    write_coco(tmp_path / "a.json", [(0, 1, [[3, 1, 40, 1, 40, 3, 3, 3]]), (0, 2, [[60, 1, 70, 1, 70, 3, 60, 3]])])
    drawn = draw_masks(tmp_path)
    assert mask(tmp_path) == [[0] * 6, [0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1], [0] * 6]
    assert "shapes of 1 images reach outside them and were cut off there: a.png" in drawn.remarks


def test_a_file_that_is_cut_off_is_named(tmp_path):
    write_images(tmp_path, "a.png")
    write_coco(tmp_path / "a.json", [(0, 1, [SQUARE])])
    (tmp_path / "a.json").write_text((tmp_path / "a.json").read_text()[:-30])
    with pytest.raises(DataError, match=r"a\.json: cut off, or no JSON .*; export it again"):
        draw_masks(tmp_path)


@pytest.mark.usefixtures("coco")
@pytest.mark.parametrize(
    ("annotations", "images", "message"),
    [
        ([(0, 1, [SQUARE])], ["b.png"], "names the image 'b.png', which is not there"),
        ([(7, 1, [SQUARE])], ["a.png"], "not as its tool writes it"),
        ([(0, 1, [])], ["a.png"], "holds boxes alone"),
        ([(0, 1, {"size": [4, 6], "counts": [3, 50]})], ["a.png"], "cannot be drawn|Invalid RLE"),
        ([(0, 1, {"size": [9, 9], "counts": [81]})], ["a.png"], r"a mask of \[9, 9\] for an image of \[4, 6\]"),
    ],
)
def test_what_does_not_fit_together_is_refused_and_nothing_written(tmp_path, annotations, images, message):
    write_images(tmp_path, "a.png")
    write_coco(tmp_path / "a.json", annotations, images)
    with pytest.raises(DataError, match=message):
        draw_masks(tmp_path)
    assert not (tmp_path / "masks").exists()


def write_labelme(file, shapes, image="a.png"):
    entries = [{"label": label, "points": points, "shape_type": form} for label, points, form in shapes]
    file.write_text(json.dumps({"shapes": entries, "imagePath": image, "imageHeight": 4, "imageWidth": 6}))


def test_shapes_of_labelme_become_masks_with_their_edges(tmp_path):
    write_images(tmp_path, "a.png")
    shapes = [("tree", [[0, 0], [2, 0], [2, 1], [0, 1]], "polygon"), ("__ignore__", [[4, 2], [5, 3]], "rectangle")]
    write_labelme(tmp_path / "a.json", [*shapes, ("pole", [[3, 3]], "point")])
    drawn = draw_masks(tmp_path)
    assert mask(tmp_path) == [[1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0], [0] * 4 + [255] * 2, [0] * 4 + [255] * 2]
    assert [one.name for one in drawn.named] == ["background", "tree", "void"]
    assert find_names(tmp_path) == (tmp_path / "classes.txt", drawn.named)


def test_masks_that_are_there_are_not_written_over(tmp_path):
    write_images(tmp_path, "a.png", "masks/other.png")
    write_labelme(tmp_path / "a.json", [("tree", [[0, 0], [2, 0], [2, 1]], "polygon")])
    with pytest.raises(DataError, match="masks holds something already"):
        draw_masks(tmp_path)


def test_a_wrong_folder_of_images_is_told_before_masks_are_drawn(tmp_path):
    write_images(tmp_path, "a.png")
    write_labelme(tmp_path / "a.json", [("tree", [[0, 0], [2, 0], [2, 1]], "polygon")])
    with pytest.raises(DataError, match="no image files in imgs/"):
        survey_folder(tmp_path, load_registry(), iter, images="imgs")
    assert not (tmp_path / "masks").exists()


def test_a_folder_without_polygons_gives_nothing(tmp_path):
    write_images(tmp_path, "a.png")
    (tmp_path / "notes.json").write_text("{}")
    assert draw_masks(tmp_path) is None
