from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from segbench.config.protocol import Window
from segbench.engine.evaluation.inference import predict_image
from segbench.engine.prediction.arrays import ImageArray, open_zarr
from segbench.engine.prediction.predict import explain_files, label_map_paths, load_cell, predict_files
from segbench.engine.recorded import find_record
from segbench.errors import DataError, OptionError, RecordError, SegbenchError
from segbench.images import Reading


@pytest.fixture
def recorded(recorded_cell):
    """The network of a recorded cell, found by the beginning of its key."""
    return load_cell(find_record(recorded_cell.stem[:8], recorded_cell.parent.parent), "cpu")


def save(path, *shape, dtype=np.uint8):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype)).save(path)
    return path


def test_each_image_gets_a_palette_png_of_its_size_and_an_overlay(recorded, tmp_path):
    save(tmp_path / "in" / "small.png", 9, 11, 3)
    save(tmp_path / "in" / "grey.tif", 50, 40)
    written = list(predict_files(recorded, [tmp_path / "in"], tmp_path / "out" / "deep"))
    assert written == [tmp_path / "out" / "deep" / name for name in ("grey.png", "small.png")]
    with Image.open(written[1]) as labels, Image.open(written[1].with_name("small.overlay.png")) as overlay:
        assert labels.mode == "P"
        assert labels.size == overlay.size == (11, 9)
        assert np.asarray(labels).max() < 3
        assert labels.getpalette()[:9] == [value for colour in recorded.dataset.palette for value in colour]


def test_the_labels_are_the_classes_of_the_largest_logits(recorded, tmp_path):
    path = save(tmp_path / "a.png", 16, 20, 3)
    [written] = predict_files(recorded, [path], tmp_path / "out")
    pixels = torch.from_numpy(np.asarray(Image.open(path)).copy()).permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = recorded.network(pixels / 127.5 - 1).argmax(dim=1)[0]
    np.testing.assert_array_equal(np.asarray(Image.open(written)), expected)


def test_an_image_of_16_bits_is_predicted_like_its_8_bit_version(recorded, tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (8, 9), dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "eight.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "sixteen.png")
    one, other = predict_files(recorded, [tmp_path / "eight.png", tmp_path / "sixteen.png"], tmp_path / "out")
    np.testing.assert_array_equal(np.asarray(Image.open(one)), np.asarray(Image.open(other)))


def test_images_that_cannot_be_read_are_named_when_all_others_are_written(recorded, tmp_path):
    for name in ("a.png", "c.png", "e.png"):
        save(tmp_path / "in" / name, 8, 8, 3)
    for name in ("b.png", "d.png"):
        (tmp_path / "in" / name).write_bytes(b"no image")
    written = predict_files(recorded, [tmp_path / "in"], tmp_path / "out")
    assert [next(written).name for _ in range(3)] == ["a.png", "c.png", "e.png"]
    broken = r"b\.png: cannot be read as an image.*\n  .*d\.png: cannot be read"
    with pytest.raises(DataError, match=rf"^2 of 5 images were not predicted:\n  .*{broken}"):
        next(written)


def test_each_label_map_is_written_before_the_next_image_is_read(recorded, tmp_path):
    paths = [save(tmp_path / f"{name}.png", 8, 8, 3) for name in "ab"]
    written = predict_files(recorded, paths, tmp_path / "out")
    assert next(written).is_file()
    save(paths[1], 5, 6, 3)
    with Image.open(next(written)) as labels:
        assert labels.size == (6, 5)


def test_a_picture_that_cannot_be_written_ends_it(recorded, tmp_path):
    paths = [save(tmp_path / f"{name}.png", 8, 8, 3) for name in "ab"]
    (tmp_path / "out").write_text("a file")
    with pytest.raises(RecordError, match=r"cannot write .*out.a\.png: .* is a file, not a folder; choose another"):
        list(predict_files(recorded, paths, tmp_path / "out"))


def test_two_images_of_one_stem_are_an_error_before_anything_is_written(recorded, tmp_path):
    images = [save(tmp_path / "x" / "a.png", 8, 8), save(tmp_path / "y" / "a.bmp", 8, 8)]
    with pytest.raises(DataError, match=r"x.a\.png and .*y.a\.bmp would both be written to"):
        list(predict_files(recorded, images, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("victim", ["a.png", "a.overlay.png", "a.explain.png"])
def test_an_image_is_never_overwritten(tmp_path, victim):
    images = [save(tmp_path / name, 8, 8) for name in {"a.png", victim}]
    with pytest.raises(DataError, match=r"would be overwritten; choose another folder with -o"):
        label_map_paths(images, tmp_path)


def test_the_same_image_given_twice_is_predicted_once(tmp_path):
    path = tmp_path / "a.png"
    assert label_map_paths([path, path], tmp_path / "out") == {path: tmp_path / "out" / "a.png"}


def test_an_unknown_device_is_an_error(recorded_cell):
    with pytest.raises(SegbenchError, match="unknown device 'tpu'"):
        load_cell(recorded_cell, "tpu")


def test_an_explanation_is_written_beside_the_same_label_map(recorded, tmp_path):
    path = save(tmp_path / "a.png", 30, 40, 3)
    [explained] = explain_files(recorded, [path], tmp_path / "explained")
    [plain] = predict_files(recorded, [path], tmp_path / "plain")
    assert explained.read_bytes() == plain.read_bytes()
    names = {file.name for file in (tmp_path / "explained").iterdir()}
    assert names == {"a.png", "a.overlay.png", "a.explain.png"}


def test_an_explanation_holds_the_discriminators_scores_where_a_discriminator_was_kept(recorded, tmp_path):
    path = save(tmp_path / "a.png", 30, 40, 3)
    critical = replace(recorded, score_map=lambda images, logits: logits[:, :1], score_boundary=0.0)
    heights = []
    for name, one in (("without", recorded), ("with", critical)):
        list(explain_files(one, [path], tmp_path / name, "network.layers.0"))
        with Image.open(tmp_path / name / "a.explain.png") as picture:
            heights.append(picture.height)
    assert heights[1] > heights[0] + 100


def test_an_unknown_layer_is_an_error_and_writes_nothing(recorded, tmp_path):
    path = save(tmp_path / "a.png", 8, 8, 3)
    with pytest.raises(OptionError, match=r"no layer 'layers\.2'; the nearest names are network\.layers\.2"):
        list(explain_files(recorded, [path], tmp_path / "out", "layers.2"))
    assert not (tmp_path / "out").exists()


def test_a_network_without_a_layer_to_look_at_is_an_error(recorded, tmp_path):
    class Shallow(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, images):
            return images * self.weight

    path = save(tmp_path / "a.png", 8, 8, 3)
    with pytest.raises(OptionError, match=r"no layer to explain it by; name a layer .* with --layer"):
        list(explain_files(replace(recorded, network=Shallow()), [path], tmp_path / "out"))


def test_a_cell_that_makes_images_is_refused(recorded_cell, monkeypatch):
    recorded = load_cell(recorded_cell, "cpu")
    maker = replace(recorded, mapping=replace(recorded.mapping, maps="noise -> image"))
    monkeypatch.setattr("segbench.engine.recorded.load_network", lambda path, device: maker)
    with pytest.raises(RecordError, match="its network maps noise -> image, so it predicts no label maps"):
        load_cell(recorded_cell, "cpu")


def by_window(recorded, monkeypatch):
    """Let a cell be evaluated with a window of 16 pixels, all images be large, and list the sizes that are read."""
    monkeypatch.setattr("segbench.images.pixels.LARGE_PIXELS", 10)
    read, sizes = ImageArray.read, []

    def note(image, rows, columns):
        part = read(image, rows, columns)
        sizes.append(part.shape[1:])
        return part

    monkeypatch.setattr(ImageArray, "read", note)
    window = Window(size=(16, 16), stride=(10, 10))
    return replace(recorded, protocol=recorded.protocol.model_copy(update={"window": window})), sizes


def whole_labels(recorded, path):
    """The labels of the class probabilities of a whole image."""
    pixels = torch.from_numpy(np.asarray(Image.open(path)).transpose(2, 0, 1).copy())
    return predict_image(recorded.network, pixels, 255, recorded.protocol).labels


def test_a_large_image_is_read_by_window_and_has_the_labels_of_the_whole(recorded, tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", 50, 60, 3)
    recorded, sizes = by_window(recorded, monkeypatch)
    [written] = predict_files(recorded, [path], tmp_path / "out")
    assert set(sizes) == {(16, 16)}
    np.testing.assert_array_equal(np.asarray(Image.open(written)), whole_labels(recorded, path))
    assert (tmp_path / "out" / "a.overlay.png").is_file()


def save_zarr(path, pixels):
    zarr = pytest.importorskip("zarr", reason="needs the extra large")
    zarr.create_array(path, shape=pixels.shape, chunks=(16, 16, 3), dtype="uint8")[:] = pixels
    return path


@pytest.mark.parametrize("large", [True, False])
def test_a_zarr_array_has_the_label_map_of_its_image_as_zarr(recorded, tmp_path, monkeypatch, large):
    path = save(tmp_path / "a.png", 50, 60, 3)
    save_zarr(tmp_path / "in" / "a.zarr", np.asarray(Image.open(path)))
    sizes = None
    if large:
        recorded, sizes = by_window(recorded, monkeypatch)
    for _ in range(2):  # the second time it replaces its own
        [written] = predict_files(recorded, [tmp_path / "in"], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == [written]
    assert written.name == "a.zarr"
    labels = open_zarr(written, 1, Reading())
    assert labels.array.attrs["segbench"]["classes"] == list(recorded.dataset.classes)
    assert sizes is None or set(sizes) == {(16, 16)}
    np.testing.assert_array_equal(labels.array[:], whole_labels(recorded, path))


def test_a_zarr_label_map_replaces_nothing_else_and_a_broken_array_leaves_none(recorded, tmp_path):
    path = save_zarr(tmp_path / "a.zarr", np.ones((50, 60, 3), np.uint8))
    (tmp_path / "out" / "a.zarr").mkdir(parents=True)
    (tmp_path / "out" / "a.zarr" / "mine").write_text("not yours")
    before = save(tmp_path / "0.png", 8, 8, 3)
    with pytest.raises(RecordError, match=r"a\.zarr: this folder holds something else"):
        list(predict_files(recorded, [before, path], tmp_path / "out"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.zarr"]  # told before anything is predicted
    (path / "c" / "0" / "0" / "0").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"a\.zarr: it cannot be decoded"):
        list(predict_files(recorded, [path], tmp_path / "new"))
    assert list((tmp_path / "new").iterdir()) == []


def test_a_zarr_array_is_not_explained(recorded, tmp_path):
    path = save_zarr(tmp_path / "a.zarr", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DataError, match=r"a\.zarr: of a zarr array label maps alone are written"):
        list(explain_files(recorded, [path], tmp_path / "out"))
