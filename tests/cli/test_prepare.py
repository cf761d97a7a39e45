from __future__ import annotations

import json
import os
import pty
import sys

import numpy as np
import pytest
from PIL import Image

from segbench.checksum import UNSEALED
from segbench.cli import main

CLASSES = '--option=classes=["ground", "thing", "rarity"]'

SOURCE = """
from segbench import Component, DataError, Dataset, hookimpl

def build(root, *, labels: int = 0):
    import numpy as np
    from segbench import Sample

    assert (root / "arrived.txt").exists(), root
    print("noise of a third party")
    sample = Sample(np.zeros((2, 2), dtype=np.uint8), np.full((2, 2), labels, dtype=np.uint8), "only")
    return Dataset(["ground", "thing"], [(0, 0, 0), (9, 9, 9)], {"test": [sample]}, channels=1)

def download(root):
    print("noise of the download")
    if (root / "first.txt").exists():
        (root / "arrived.txt").touch()
    else:
        (root / "first.txt").touch()
        raise DataError("the connection broke")

def refuse(root):
    raise DataError("fetch it by hand")

@hookimpl
def segbench_datasets():
    yield Component("remote", build, "Can be fetched", download=download)
    yield Component("closed", build, "Cannot be fetched", download=refuse)
"""


@pytest.fixture
def remote(install_plugin):
    install_plugin("my-dist", {"mine": "my_plugin"}, {"my_plugin.py": SOURCE})


def write_folder(root, splits):
    """A dataset of the usual layout; `splits` gives for each image a number that makes its pixels, and its labels."""
    for split, images in splits.items():
        for stem, (number, labels) in images.items():
            pixels = np.random.default_rng(number).integers(0, 256, (*np.shape(labels), 3), dtype=np.uint8)
            for folder, array in (("images", pixels), ("masks", np.array(labels, dtype=np.uint8))):
                (root / folder).mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(root / folder / f"{stem}.png")
        (root / "splits").mkdir(exist_ok=True)
        (root / "splits" / f"{split}.txt").write_text("\n".join(images))


def prepared(capsys, *arguments):
    assert main(["prepare", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_images_sizes_and_class_frequencies_are_shown_by_split(tmp_path, capsys):
    train = {"a": (1, [[0, 1], [2, 255]]), "b": (2, [[0, 0, 0, 0]])}
    write_folder(tmp_path, {"train": train, "test": {"c": (3, [[1, 1, 1, 0]])}})
    found = prepared(capsys, "data/folder", "--root", str(tmp_path), CLASSES)
    assert found["splits"]["train"] == {
        "images": 2,
        "dtype": "uint8",
        "smallest": [2, 2],
        "largest": [2, 2],
        "values": found["splits"]["train"]["values"],
        "files": [
            {"kind": "image", "format": "PNG", "depth": "8-bit RGB", "count": 2},
            {"kind": "mask", "format": "PNG", "depth": "8-bit grey", "count": 2},
        ],
        "class_percent": pytest.approx([500 / 7, 100 / 7, 100 / 7]),
        "ignored_percent": 12.5,
    }
    assert found["splits"]["test"]["class_percent"] == [25, 75, 0]
    assert found["root"] == str(tmp_path)
    assert found["warnings"] == []


def test_the_text_has_the_same_facts(tmp_path, capsys):
    write_folder(tmp_path, {"train": {"a": (1, [[0, 1], [2, 255]]), "b": (2, np.zeros((3, 5)))}})
    assert main(["prepare", "folder", "--root", str(tmp_path), CLASSES]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["data/folder:", "2", "images,", "3", "channels,", "3", "classes"]
    assert ["train", "2", "2x2", "to", "5x3", "uint8"] in [line[:6] for line in lines]
    assert ["train", "masks", "PNG", "8-bit", "grey", "2"] in lines
    assert ["ground", "88.89"] in lines
    assert ["(ignored)", "5.26"] in lines


def test_a_folder_in_place_of_a_dataset_is_answered_with_how_to_give_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    assert main(["prepare", "photos"]) == 2
    assert "it is a folder here: segbench prepare data/folder --root photos\n" in capsys.readouterr().err


def test_the_datasets_of_a_benchmark_are_prepared(tmp_path, capsys):
    write_folder(tmp_path / "mine", {"train": {"a": (1, [[5, 9]])}})
    file = tmp_path / "file.yaml"
    file.write_text(
        "name: mine\ndatasets: {mine: {use: data/folder, root: mine, values: {ground: 5, thing: 9}}}\n"
        "protocol: {budget: {steps: 1}}\nseeds: [0]\n"
        "methods: {plain: {generator: basic/fcn, losses: [losses/cross_entropy]}}\n"
    )
    found = prepared(capsys, str(file))["datasets"]
    assert list(found) == ["mine"]
    assert (found["mine"]["root"], found["mine"]["classes"]) == (str(tmp_path / "mine"), ["ground", "thing"])
    assert main(["prepare", str(file)]) == 0
    assert capsys.readouterr().out.startswith("data/folder: 1 images")
    assert main(["prepare", str(file), "--root", "elsewhere"]) == 2
    assert "leave out --root and --option" in capsys.readouterr().err


def test_a_text_among_the_images_is_a_warning(tmp_path, capsys):
    write_folder(tmp_path, {"train": {"a": (1, [[0, 1, 2]])}})
    (tmp_path / "images" / "notes.txt").write_text("taken in May")
    (warning,) = prepared(capsys, "data/folder", "--root", str(tmp_path), CLASSES)["warnings"]
    assert warning == f"{tmp_path}/images/notes.txt beside the images: neither image nor mask, and not read"


def test_the_cache_is_filled_where_it_says(tmp_path, capsys):
    write_folder(tmp_path, {"train": {"a": (1, [[0, 1], [2, 255]])}})
    found = prepared(capsys, "data/folder", "--root", str(tmp_path), CLASSES)
    assert found["cache"].startswith(os.environ["SEGBENCH_CACHE"])
    files = [os.path.join(found["cache"], "train", name) for name in ("images.bin", "labels.bin")]
    assert found["cache_bytes"] == 2 * 2 * 3 + 2 * 2
    assert sum(map(os.path.getsize, files)) == found["cache_bytes"] + 2 * len(UNSEALED)


def test_the_range_of_values_is_shown_and_12_bits_in_16_are_warned_of(tmp_path, capsys):
    write_folder(tmp_path, {"train": {"a": (1, [[0, 1, 2]])}})
    Image.fromarray(np.array([[16, 4000, 17]], dtype=np.uint16)).save(tmp_path / "images" / "a.png")
    found = prepared(capsys, "data/folder", "--root", str(tmp_path), CLASSES)
    assert found["splits"]["train"]["values"] == [16, 4000]
    assert [warning for warning in found["warnings"] if "set bits: 12" in warning]
    stretched = prepared(capsys, "data/folder", "--root", str(tmp_path), CLASSES, "--option=bits=12")
    assert stretched["splits"]["train"]["values"] == [round(16 * 65535 / 4095), round(4000 * 65535 / 4095)]
    assert stretched["warnings"] == []


def test_what_is_skipped_is_shown(tmp_path, capsys):
    write_folder(tmp_path, {"train": {"a": (1, [[0, 1, 2]]), "b": (2, [[0, 1, 2]])}})
    (tmp_path / "splits" / "train.txt").write_text("a")
    for name in ("._a.png", "Thumbs.db", "a.png:Zone.Identifier"):
        (tmp_path / "images" / name).touch()
    found = prepared(capsys, "data/folder", "--root", str(tmp_path), CLASSES)
    assert found["skipped"] == {
        "left by other systems": ["._a.png", "Thumbs.db", "a.png:Zone.Identifier"],
        "image files of no split": ["b.png", "b.png"],
    }
    assert main(["prepare", "data/folder", "--root", str(tmp_path), CLASSES]) == 0
    assert "3 left by other systems (._a.png, Thumbs.db, a.png:Zone.Identifier)" in capsys.readouterr().out


def test_classes_in_the_alpha_channel_are_warned_of(tmp_path, capsys):
    write_folder(tmp_path, {"train": {"a": (1, [[0, 0, 0]])}})
    Image.fromarray(np.array([[[0, 0], [0, 1], [0, 2]]], dtype=np.uint8), "LA").save(tmp_path / "masks" / "a.png")
    found = prepared(capsys, "data/folder", "--root", str(tmp_path), CLASSES)
    assert "train: in 1 mask (such as a) the alpha channel differs and the colours do not" in found["warnings"][0]


def test_what_lies_deeper_is_counted_and_one_class_is_warned_of(tmp_path, capsys):
    write_folder(tmp_path, {"train": {"a": (1, [[0, 0, 0]])}})
    write_folder(tmp_path / "elsewhere", {"train": {"b": (1, [[0, 0, 0]])}})
    (tmp_path / "elsewhere" / "images").rename(tmp_path / "images" / "site B")
    found = prepared(capsys, "data/folder", "--root", str(tmp_path), "--option=classes=[all]")
    assert "there is only the class 'all', so every label map scores 100" in found["warnings"][0]
    assert (
        f"1 image files lie in deeper folders and are not read: 1 below {tmp_path / 'images'}" in found["warnings"][1]
    )


def test_a_class_that_never_occurs_in_train_is_warned_of(tmp_path, capsys):
    write_folder(tmp_path, {"train": {"a": (1, [[0, 1]])}, "test": {"b": (2, [[0, 2]])}})
    found = prepared(capsys, "data/folder", "--root", str(tmp_path), CLASSES)
    assert found["warnings"] == ["class 'rarity' never occurs in train, so it cannot be learnt"]


def test_images_that_are_identical_across_splits_are_warned_of(tmp_path, capsys):
    labels = [[0, 1, 2]]
    train = {"a": (1, labels), "b": (2, labels), "a again": (1, labels)}
    write_folder(tmp_path, {"train": train, "val": {"c": (3, labels)}, "test": {"d": (2, labels), "e": (3, labels)}})
    found = prepared(capsys, "data/folder", "--root", str(tmp_path), CLASSES)
    assert found["warnings"] == [
        "1 image is identical in train and test, so scores look too good: b = d",
        "1 image is identical in val and test, so scores look too good: c = e",
    ]


def test_images_with_the_same_bytes_in_another_shape_are_not_identical(tmp_path, capsys):
    labels = np.tile([0, 1, 2], (4, 2))
    write_folder(tmp_path, {"train": {"a": (1, labels)}, "test": {"b": (1, labels.reshape(6, 4))}})
    assert prepared(capsys, "data/folder", "--root", str(tmp_path), CLASSES)["warnings"] == []


def test_the_embedded_dataset_has_nothing_to_warn_of(capsys):
    found = prepared(capsys, "nuclei")
    assert found["name"] == "data/nuclei"
    assert {split: numbers["images"] for split, numbers in found["splits"].items()} == {
        "train": 36,
        "val": 8,
        "test": 16,
    }
    assert found["warnings"] == []


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda root: (root / "masks" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n"), r"masks/a.png: cannot be read"),
        (lambda root: (root / "masks" / "a.png").unlink(), "names 'a', which has no mask"),
        (lambda root: Image.new("L", (2, 1), 7).save(root / "masks" / "a.png"), "a.png: the mask holds the value 7"),
        (lambda root: Image.new("L", (5, 5)).save(root / "masks" / "a.png"), "a.png 5x5"),
        (lambda root: (root / "images").rename(root / "pictures"), "has the folders masks, pictures, splits"),
    ],
)
def test_a_damaged_dataset_is_a_clear_error(tmp_path, capsys, harm, message):
    write_folder(tmp_path, {"train": {"a": (1, [[0, 1]])}})
    harm(tmp_path)
    assert main(["prepare", "data/folder", "--root", str(tmp_path), CLASSES]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert message in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["folder"], "set $SEGBENCH_DATA (not set now)"),
        (["foldr"], "folder"),
        (["nuclei", "--option", "size=3"], "has no option 'size'"),
        (["nuclei", "--root", "/tmp"], "takes no root"),
        (["shapes", "--option", "size"], "not of the form KEY=VALUE"),
    ],
)
def test_wrong_arguments_are_clear_errors(capsys, arguments, message):
    assert main(["prepare", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.usefixtures("remote")
def test_a_missing_dataset_is_downloaded_and_a_broken_download_is_taken_up_again(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SEGBENCH_DATA", str(tmp_path / "data"))
    assert main(["prepare", "remote"]) == 2
    assert "error: the connection broke" in capsys.readouterr().err
    assert not (tmp_path / "data" / "remote").exists()
    found = prepared(capsys, "remote")
    assert found["root"] == str(tmp_path / "data" / "remote")
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["remote"]
    assert found["warnings"] == ["there is no split train, so nothing can be trained on this dataset"]


@pytest.mark.usefixtures("remote")
def test_an_empty_folder_is_filled_and_a_filled_one_left_alone(tmp_path, capsys):
    (tmp_path / "remote.part").mkdir()
    (tmp_path / "remote.part" / "first.txt").touch()
    (tmp_path / "remote").mkdir()
    prepared(capsys, "remote", "--root", str(tmp_path / "remote"))
    (tmp_path / "remote" / "first.txt").unlink()
    prepared(capsys, "remote", "--root", str(tmp_path / "remote"))
    assert [path.name for path in (tmp_path / "remote").iterdir()] == ["arrived.txt"]


@pytest.mark.usefixtures("remote")
def test_what_cannot_be_downloaded_leaves_nothing_behind(tmp_path, capsys):
    assert main(["prepare", "closed", "--root", str(tmp_path / "closed")]) == 2
    assert "error: fetch it by hand" in capsys.readouterr().err
    assert list(tmp_path.glob("closed*")) == []


@pytest.mark.usefixtures("remote")
def test_labels_outside_the_classes_of_a_third_party_are_found(tmp_path, capsys):
    (tmp_path / "arrived.txt").touch()
    assert main(["prepare", "remote", "--root", str(tmp_path), "--option", "labels=5"]) == 2
    assert "test sample 'only': its labels contain 5" in capsys.readouterr().err


def test_larger_splits_tell_their_progress_in_lines(capsys):
    assert main(["prepare", "shapes", "--option", "train=100", "--option", "size=[18, 18]"]) == 0
    assert capsys.readouterr().err.splitlines() == ["train: checking 100 images"]


def test_larger_splits_show_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    parent, child = pty.openpty()
    with os.fdopen(child, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        assert main(["prepare", "shapes", "--option", "train=100", "--option", "size=[18, 18]", "--json"]) == 0
        terminal.flush()
        shown = os.read(parent, 1 << 16).decode()
    os.close(parent)
    assert "train" in shown
    assert "/100" in shown
    assert json.loads(capsys.readouterr().out)["name"] == "data/shapes"


def test_truth_must_score_1_and_what_class_0_everywhere_scores_is_told(tmp_path, capsys):
    # 4 of 6 labelled pixels are ground; thing is in the truth, rarity in one image: IoU 4/6, 0 and 0
    write_folder(tmp_path, {"test": {"a": (1, [[0, 0, 0, 1]]), "b": (2, [[0, 2, 255]])}})
    arguments = ["data/folder", "--root", str(tmp_path), CLASSES]
    assert prepared(capsys, *arguments)["self_test"] == {"class_0_miou": {"test": pytest.approx(4 / 6 / 3)}}
    assert main(["prepare", *arguments]) == 0
    line = "self-test passed: truth against itself scores 1, 'ground' everywhere an mIoU of 22.22 % (test)\n"
    assert line in capsys.readouterr().out


def test_splits_without_labels_have_nothing_to_test(tmp_path, capsys):
    write_folder(tmp_path, {"test": {"a": (1, [[255, 255]])}})
    assert main(["prepare", "data/folder", "--root", str(tmp_path), CLASSES]) == 0
    assert "self-test: no pixel is labelled, so nothing can be scored\n" in capsys.readouterr().out


def test_equal_colours_are_warned_of(install_plugin, tmp_path, capsys):
    install_plugin("my-dist", {"mine": "my_plugin"}, {"my_plugin.py": SOURCE.replace("(9, 9, 9)", "(0, 0, 0)")})
    (tmp_path / "arrived.txt").touch()
    assert prepared(capsys, "remote", "--root", str(tmp_path))["warnings"] == [
        "there is no split train, so nothing can be trained on this dataset",
        "the colour of class 'thing' decodes to 'ground', so generators of palette colours cannot tell them apart",
    ]
