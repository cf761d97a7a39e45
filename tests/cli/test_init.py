from __future__ import annotations

import json
import os

import numpy as np
import pytest
from PIL import Image

from segbench.cli import main
from segbench.config.benchmark import load_benchmark
from segbench.registry import load_registry
from segbench.registry.datasets import open_dataset


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Writes images and masks, arrays by the path of the mask without ending, into a folder of this name."""
    monkeypatch.chdir(tmp_path)

    def write(masks, images="images"):
        for place, mask in masks.items():
            labels = np.array(mask, dtype=np.uint8)
            file = tmp_path / "my data" / place
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(labels).save(file.with_suffix(".png"))
            image = tmp_path / "my data" / images / f"{file.name.removesuffix('_mask')}.jpg"
            image.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros((*labels.shape[:2], 3), dtype=np.uint8)).save(image)
        return tmp_path / "my data"

    return write


def opened(file="my-data.yaml"):
    """The dataset of the benchmark that was written."""
    registry = load_registry()
    (use,) = load_benchmark(str(file), registry).datasets.values()
    return open_dataset(registry.find("dataset", use.use), use.root, use.options)


def labels(dataset):
    splits = dataset.splits.values()
    return {
        sample.id: sample.labels.tolist() for split in splits for sample in map(split.__getitem__, range(len(split)))
    }


def test_a_folder_becomes_a_description_and_a_benchmark_that_reads_it(folder, capsys):
    root = folder({f"masks/{stem}": [[0, 1], [2, 255]] for stem in "abcde"})
    assert main(["init", "my data"]) == 0
    shown = capsys.readouterr().out
    assert "images in images/, masks in masks/" in shown
    assert "5 images of 2x2 pixels: few, so 5 folds test each of them once" in shown
    assert "guessed: 255 is void" in shown
    assert "guessed: the names class_0, class_1, class_2; write better ones into dataset.json" in shown
    assert [one["name"] for one in json.loads((root / "dataset.json").read_text())["classes"]] == [
        "class_0",
        "class_1",
        "class_2",
    ]
    assert labels(opened())["a"] == [[0, 1], [2, 255]]
    assert main(["plan", "my-data.yaml"]) == 0


def test_masks_beside_images_and_values_become_options(folder):
    folder({f"{stem}_mask": [[0, 255]] for stem in "abcde"}, images=".")
    assert main(["init", "my data", "-o", "mine.yaml"]) == 0
    assert labels(opened("mine.yaml"))["b"] == [[0, 1]]


def test_flags_take_the_place_of_guesses(folder):
    folder({f"classes/{stem}": [[0, 1, 254, 255]] for stem in "abcde"}, images="photos")
    given = ["--images", "photos", "--masks", "classes", "--ignore", "[254, 255]", "--classes", "[road, car]"]
    assert main(["init", "my data", *given]) == 0
    dataset = opened()
    assert (dataset.classes, labels(dataset)["a"]) == (("road", "car"), [[0, 1, 255, 255]])


def test_two_candidates_for_void_are_refused_without_a_terminal(folder, capsys):
    root = folder({f"masks/{stem}": [[0, 1, 254, 255]] for stem in "abcde"})
    assert main(["init", "my data", "--yes"]) == 2
    assert (
        "masks hold 254 (in 5) and 255 (in 5), and each may be void; say which: --ignore 255" in capsys.readouterr().err
    )
    assert not (root / "dataset.json").exists()


def test_on_a_terminal_void_and_names_are_asked_for(folder, monkeypatch, capsys):
    folder({f"masks/{stem}": [[0, 1, 254, 255]] for stem in "abcde"})
    monkeypatch.setattr("segbench.cli.init.is_terminal", lambda: True)
    answers = iter(["[254, 255]", "road, car"])
    monkeypatch.setattr("typer.prompt", lambda *_, **__: next(answers))
    assert main(["init", "my data"]) == 0
    assert opened().classes == ("road", "car")


def test_a_description_that_is_there_is_kept(folder, capsys):
    root = folder({f"masks/{stem}": [[0, 1]] for stem in "abcde"})
    (root / "dataset.json").write_text('{"classes": ["gap", "cell"]}')
    assert main(["init", "my data"]) == 0
    assert "wrote" not in capsys.readouterr().out
    assert opened().classes == ("gap", "cell")


def test_what_init_wrote_is_read_again_when_names_were_changed_in_it(folder):
    root = folder({f"masks/{stem}": [[0, 255]] for stem in "abcde"})
    assert main(["init", "my data"]) == 0
    text = (root / "dataset.json").read_text()
    (root / "dataset.json").write_text(text.replace("foreground", "cell"))
    assert main(["init", "my data", "-o", "again.yaml"]) == 0
    dataset = opened("again.yaml")
    assert (dataset.classes, labels(dataset)["a"]) == (("background", "cell"), [[0, 1]])


def test_names_for_classes_that_are_named_already_are_refused_with_where_they_stand(folder, capsys):
    root = folder({f"masks/{stem}": [[0, 255]] for stem in "abcde"})
    (root / "dataset.json").write_text('{"classes": ["gap", "cell"]}')
    assert main(["init", "my data", "--classes", "[a, b]"]) == 2
    told = capsys.readouterr().err
    assert "my data/dataset.json names the classes already" in told.replace("\\", "/")
    assert "change the names there, or remove that file" in told


def test_what_is_given_as_void_is_no_guess_and_is_looked_for(folder, capsys):
    folder({f"masks/{stem}": [[0, 1, 255]] for stem in "abcde"})
    assert main(["init", "my data", "--ignore", "[254, 255]"]) == 0
    assert "\n254 and 255 are void, but no mask holds 254\n" in capsys.readouterr().out


def test_masks_of_one_class_are_warned_of(folder, capsys):
    folder({f"masks/{stem}": [[7]] for stem in "abcde"})
    assert main(["init", "my data"]) == 0
    told = capsys.readouterr()
    assert "  1 class, by what masks hold:\n    class_7  7\n" in told.out
    assert "warning: with one class alone every label map is right" in told.err


def test_a_name_for_two_classes_is_refused(folder, capsys):
    folder({f"masks/{stem}": [[0, 1]] for stem in "abcde"})
    assert main(["init", "my data", "--classes", "[cell, cell]"]) == 2
    assert "the name cell is given twice; give each class a name of its own" in capsys.readouterr().err
    assert main(["init", "my data", "--classes", "[cell]"]) == 2
    assert "2 classes were found, background (0), foreground (1): give a name for each" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_told_before_anything_is(folder, capsys):
    root = folder({f"masks/{stem}": [[0, 1]] for stem in "abcde"})
    assert main(["init", "my data", "-o", "nowhere/mine.yaml"]) == 2
    assert capsys.readouterr() == ("", "error: -o nowhere/mine.yaml: there is no folder nowhere\n")
    assert not (root / "dataset.json").exists()


def test_a_folder_that_takes_no_description_is_told_with_a_way_out(folder, capsys):
    root = folder({f"masks/{stem}": [[0, 1]] for stem in "abcde"})
    (root / "dataset.json").mkdir()
    assert main(["init", "my data"]) == 2
    assert "dataset.json: Is a directory; give a folder that you may write to" in capsys.readouterr().err
    assert not (root.parent / "my-data.yaml").exists()


def test_a_file_that_is_there_is_kept(folder, capsys):
    folder({"masks/a": [[0, 1]]})
    open("my-data.yaml", "w").close()
    assert main(["init", "my data"]) == 2
    assert "my-data.yaml exists already: remove it, or name another file with -o" in capsys.readouterr().err


def test_splits_in_folders_and_their_classes_are_those_of_a_roboflow_export(folder, capsys):
    masks = {
        f"{split}/{split}{number}_mask": [[0, 1, 3]] for split in ("train", "valid", "test") for number in range(2)
    }
    for split in ("train", "valid", "test"):
        root = folder({place: mask for place, mask in masks.items() if place.startswith(split)}, images=split)
        (root / split / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, crack\n2, hole\n3, spall\n")
    assert main(["init", "my data"]) == 0
    assert "2 train, 2 val, 2 test" in capsys.readouterr().out
    dataset = opened()
    assert dataset.classes == ("background", "crack", "spall")
    assert labels(dataset)["valid0"] == [[0, 1, 2]]


def test_a_class_that_train_lacks_is_allowed_for(folder):
    root = folder({f"masks/{stem}": [[0, 1 if stem == "e" else 0, 2]] for stem in "abcde"})
    (root / "splits").mkdir()
    (root / "splits" / "train.txt").write_text("a\nb\nc")
    (root / "splits" / "test.txt").write_text("d\ne")
    assert main(["init", "my data"]) == 0
    read = load_benchmark("my-data.yaml", load_registry())
    assert read.methods["unet"].protocol.absent_classes == "allow"


def test_cityscapes_is_known_by_its_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for split in ("train", "val"):
        for kind, ending in (("leftImg8bit", "leftImg8bit"), ("gtFine", "gtFine_labelIds")):
            path = tmp_path / "cs" / kind / split / "town" / f"town_000000_000001_{ending}.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(np.full((4, 8), 7, dtype=np.uint8)).save(path)
    assert main(["init", "cs"]) == 0
    read = load_benchmark("cs.yaml", load_registry())
    assert read.datasets["cs"].use == "data/cityscapes"
    assert not os.path.exists("cs/dataset.json")


def test_an_image_of_another_size_than_its_mask_is_named(folder, capsys):
    root = folder({f"masks/{stem}": [[0, 1]] for stem in "abcde"})
    Image.new("RGB", (5, 5)).save(root / "images" / "c.jpg")
    assert main(["init", "my data"]) == 2
    assert "c.jpg is 5x5 pixels, its mask" in capsys.readouterr().err


def test_photos_that_are_turned_are_read_as_their_masks_fit(folder):
    root = folder({f"masks/{stem}": [[0, 1]] for stem in "abcde"})
    tags = Image.Exif()
    tags[274] = 6
    Image.new("RGB", (1, 2)).save(root / "images" / "c.jpg", exif=tags)
    assert main(["init", "my data"]) == 0
    (use,) = load_benchmark("my-data.yaml", load_registry()).datasets.values()
    assert use.options["orientation"] == "apply"


@pytest.mark.parametrize(("kept", "message"), [("images", "but no masks"), ("masks", "all seem to be masks")])
def test_images_or_masks_alone_are_refused(folder, capsys, kept, message):
    root = folder({"masks/a": [[0, 1]]})
    (root / {"images": "masks", "masks": "images"}[kept]).rename(root.parent / "elsewhere")
    assert main(["init", "my data"]) == 2
    assert message in capsys.readouterr().err


def test_a_cvat_export_of_masks_is_named_by_its_label_map(folder, capsys):
    root = folder({f"SegmentationClass/{stem}": [[[0, 0, 0], [250, 50, 83]]] for stem in "abcde"}, images="JPEGImages")
    (root / "SegmentationObject").mkdir()
    for stem in "abcde":
        Image.new("RGB", (2, 1)).save(root / "SegmentationObject" / f"{stem}.png")
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    (root / "ImageSets" / "Segmentation" / "default.txt").write_text("a\nb\nc\nd\ne\n")
    (root / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncar:250,50,83::\nbus:1,2,3::\n"
    )
    assert main(["init", "my data"]) == 0
    assert "images in JPEGImages/, masks in SegmentationClass/" in capsys.readouterr().out
    dataset = opened()
    assert (dataset.classes, dataset.palette) == (("background", "car"), ((0, 0, 0), (250, 50, 83)))
    assert labels(dataset)["a"] == [[0, 1]]


def test_polygons_become_masks_and_the_rest_is_as_with_masks(folder, capsys):
    root = folder({f"masks/{stem}": [[0, 0], [0, 0]] for stem in "abcde"})
    for stem in "abcde":
        (root / "masks" / f"{stem}.png").unlink()
        shape = {"label": "tree", "points": [[1, 0], [1, 1]], "shape_type": "rectangle"}
        content = {"shapes": [shape], "imagePath": f"{stem}.jpg", "imageHeight": 2, "imageWidth": 2}
        (root / "images" / f"{stem}.json").write_text(json.dumps(content))
    assert main(["init", "my data"]) == 0
    assert "drew 5 masks of shapes into" in capsys.readouterr().out
    dataset = opened()
    assert (dataset.classes, labels(dataset)["a"]) == (("background", "tree"), [[0, 1], [0, 1]])
