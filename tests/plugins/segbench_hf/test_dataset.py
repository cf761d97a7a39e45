from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segbench_data
from segbench import DataError
from segbench_hf.dataset import build, download

NUCLEI = Path(segbench_data.__file__).parent / "nuclei"
TWO = ["background", "nucleus"]


def stems(split, count):
    return (NUCLEI / "splits" / f"{split}.txt").read_text().split()[:count]


def encoded(part, stem):
    return (NUCLEI / part / f"{stem}.png").read_bytes()


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    """Three training and two validation images of nuclei, as a dataset of the hub keeps them."""
    import datasets

    folder = tmp_path_factory.mktemp("parquet")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.Image(), "name": datasets.Value("string")}
    )
    for split, name, count in (("train", "train", 3), ("val", "validation", 2)):
        rows = {
            "image": [{"bytes": encoded("images", stem), "path": None} for stem in stems(split, count)],
            "label": [{"bytes": encoded("masks", stem), "path": None} for stem in stems(split, count)],
            "name": stems(split, count),
        }
        data = datasets.Dataset.from_dict(rows, features=features)
        with contextlib.redirect_stderr(io.StringIO()):
            data.to_parquet(folder / f"{name}-00000-of-00001.parquet")
    (folder / "README.md").write_text("---\nlicense: cc0-1.0\n---\nNuclei\n")
    return folder


def fetch(root, repo, **options):
    asked = {"config": None, "revision": "main", "splits": None, "image": "image", "labels": "label", **options}
    root.mkdir(exist_ok=True)
    download(root, repo=str(repo), **asked)


@pytest.fixture(scope="module")
def prepared(parquet, tmp_path_factory):
    root = tmp_path_factory.mktemp("prepared")
    fetch(root, parquet)
    return root


def opened(root, repo="./anywhere", **options):
    return build(root, repo=str(repo), **{"classes": TWO, **options})


def test_files_are_kept_as_they_come_in_splits_of_the_usual_names(prepared):
    dataset = opened(prepared)
    assert {name: split.ids for name, split in dataset.splits.items()} == {
        "train": ("train_000000", "train_000001", "train_000002"),
        "val": ("val_000000", "val_000001"),
    }
    for split in dataset.splits:
        for stem, (image, labels) in zip(stems(split, 3), dataset.splits[split].files, strict=False):
            assert image.read_bytes() == encoded("images", stem)
            assert labels.read_bytes() == encoded("masks", stem)


def test_samples_are_the_pictures(prepared):
    sample = opened(prepared).splits["train"][1]
    stem = stems("train", 2)[1]
    with Image.open(NUCLEI / "images" / f"{stem}.png") as image, Image.open(NUCLEI / "masks" / f"{stem}.png") as mask:
        assert np.array_equal(sample.image, np.asarray(image.convert("RGB")))
        assert np.array_equal(sample.labels, np.asarray(mask))
    assert sample.id == "train_000001"
    assert opened(prepared, channels=1).splits["train"][1].image.shape == sample.labels.shape


def test_label_zero_may_stand_for_void(prepared):
    plain, reduced = (opened(prepared, reduce_zero_label=reduce).splits["train"][0].labels for reduce in (False, True))
    assert set(np.unique(plain)) == {0, 1}
    assert np.array_equal(reduced, np.where(plain == 0, 255, 0))


def test_classes_may_be_counted_and_have_colours_that_differ(prepared):
    dataset = opened(prepared, classes=150)
    assert dataset.classes[149] == "class_149"
    assert len(set(dataset.palette)) == 150
    assert opened(prepared, palette=[[0, 0, 0], [255, 0, 0]]).palette == [(0, 0, 0), (255, 0, 0)]


def test_splits_may_be_chosen(parquet, tmp_path):
    fetch(tmp_path / "root", parquet, splits={"train": "validation"})
    dataset = opened(tmp_path / "root", splits={"train": "validation"})
    assert [len(split) for split in dataset.splits.values()] == [2]


def test_a_folder_of_images_is_read_too(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    lines = []
    for stem in stems("train", 2):
        for part in ("images", "masks"):
            (source / f"{part}_{stem}.png").write_bytes(encoded(part, stem))
        lines.append(json.dumps({"file_name": f"images_{stem}.png", "label_file_name": f"masks_{stem}.png"}))
    (source / "metadata.jsonl").write_text("\n".join(lines))
    fetch(tmp_path / "root", source)
    assert opened(tmp_path / "root").splits["train"].files[1][1].read_bytes() == encoded("masks", stems("train", 2)[1])


def test_the_command_prepares_it(parquet, tmp_path, capsys):
    from segbench.cli import main

    root = tmp_path / "nuclei"
    asked = (f"repo={parquet}", f"classes={json.dumps(TWO)}")
    assert (
        main(["prepare", "hf/dataset", "--root", str(root), *(part for one in asked for part in ("--option", one))])
        == 0
    )
    out, _ = capsys.readouterr()
    assert "5 images, 3 channels, 2 classes" in out
    assert "self-test passed" in out


def test_it_keeps_to_the_contract(prepared, tmp_path, monkeypatch):
    from segbench.testing import check_component

    monkeypatch.setenv("SEGBENCH_DATA", str(tmp_path))
    (tmp_path / "dataset").symlink_to(prepared)
    results = check_component("dataset", "hf/dataset")
    assert [(one.check, one.message) for one in results if one.outcome != "passed"] == [
        ("licence_and_citation_are_stated", "not stated: citation")
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": "photo"}, "was prepared with image: image, not photo; run `segbench prepare hf/dataset`"),
        ({"revision": "v2"}, "was prepared with revision: main, not v2"),
        ({"repo": "someone/else"}, "was prepared with repo: .*, not someone/else"),
        ({"splits": {"train": "validation"}}, "was prepared with splits: "),
        ({"palette": [[0, 0, 0]]}, "palette: 1 colours for 2 classes"),
    ],
)
def test_something_else_than_was_prepared_is_an_error(prepared, options, message):
    with pytest.raises(DataError, match=message):
        opened(prepared, **options)


def test_a_folder_that_is_not_complete_is_an_error(prepared, tmp_path):
    with pytest.raises(DataError, match=r"there is no hf_dataset\.json, so no dataset was streamed to it completely"):
        opened(tmp_path)
    for content in ("{}", "[" * 10**6):
        (tmp_path / "hf_dataset.json").write_text(content)
        with pytest.raises(DataError, match="cannot be read"):
            opened(tmp_path)
    (tmp_path / "hf_dataset.json").write_text((prepared / "hf_dataset.json").read_text())
    with pytest.raises(DataError, match="0 images and 0 label maps, not 3 of each"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": "name"}, r"labels: there is no column 'name' of images; the dataset has image, label"),
        ({"splits": {"train": "all"}}, "there is no split all; the dataset has train, validation"),
        ({"splits": {"training": "train"}}, "'training' is none of train, val, test"),
    ],
)
def test_what_the_dataset_does_not_have_is_an_error(parquet, tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        fetch(tmp_path / "root", parquet, **options)


def test_labels_that_were_stored_with_losses_are_an_error(tmp_path):
    import datasets

    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "JPEG")
    cells = [{"bytes": buffer.getvalue(), "path": None}]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Image()})
    with contextlib.redirect_stderr(io.StringIO()):
        data = datasets.Dataset.from_dict({"image": cells, "label": cells}, features=features)
        (tmp_path / "source").mkdir()
        data.to_parquet(tmp_path / "source" / "train.parquet")
    with pytest.raises(DataError, match="train sample 0: labels stored as JPEG have lost their class ids"):
        fetch(tmp_path / "root", tmp_path / "source")


def test_a_hub_out_of_reach_is_an_error_that_offers_a_folder(hub_cache, tmp_path):
    with pytest.raises(DataError, match=r"someone/scenes at revision 'main' of .* could not be streamed .*folder"):
        fetch(tmp_path / "root", "someone/scenes")


@pytest.fixture
def copied(prepared, tmp_path):
    """A prepared folder whose files may be changed."""
    shutil.copytree(prepared, tmp_path / "copied")
    return tmp_path / "copied"


def test_labels_in_colour_are_an_error(copied):
    colour = Image.linear_gradient("L").convert("HSV").convert("RGB")
    colour.putpixel((0, 0), (1, 2, 3))
    colour.save(copied / "train" / "labels" / "000000.png")
    with pytest.raises(DataError, match="labels in colour"):
        opened(copied).splits["train"][0]


def test_files_are_read_as_data_folder_reads_them(copied):
    image, labels = (copied / "train" / part / "000000.png" for part in ("images", "labels"))
    deep = np.arange(6, dtype=np.uint16).reshape(2, 3) * 9000
    ids = np.array([[0, 1, 0], [1, 1, 0]], np.uint8)
    Image.fromarray(deep).save(image)
    Image.fromarray(ids).save(labels, bits=4)
    sample = opened(copied).splits["train"][0]
    np.testing.assert_array_equal(sample.image, np.stack([deep] * 3, axis=2))
    np.testing.assert_array_equal(sample.labels, ids)
    exif = Image.Exif()
    exif[274] = 3
    Image.fromarray(deep).save(image, exif=exif)
    Image.fromarray(ids).save(labels, bits=4, exif=exif)
    with pytest.raises(DataError, match="set orientation: apply"):
        opened(copied).splits["train"][0]
    turned = opened(copied, orientation="apply").splits["train"][0]
    np.testing.assert_array_equal(turned.labels, np.rot90(ids, 2))
