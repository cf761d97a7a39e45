from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from segbench import SegbenchError
from segbench.engine.data.probabilities import ProbabilityFields, normalise_probabilities, write_probabilities
from segbench.errors import RecordError

SIZES = [(4, 5), (6, 3), (1, 7)]
IDS = ["street/1", "straße 2", '"3"']
CURE = "delete the records of the cells that left these files and run them again"


def fields_of(sizes=SIZES, classes=3):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn((classes, *size), generator=generator).softmax(dim=0) for size in sizes]


def bytes_of(field):
    return np.rint(field.numpy() * np.float32(255)).astype(np.uint8)


@pytest.fixture
def folds(tmp_path):
    """Two files that hold the first and last image, and the second."""
    fields = fields_of()
    paths = [tmp_path / "fold-1", tmp_path / "fold-2"]
    for path, places in zip(paths, [(0, 2), (1,)], strict=True):
        write_probabilities(
            path,
            [IDS[place] for place in places],
            [SIZES[place] for place in places],
            (fields[place] for place in places),
        )
    return paths


def test_safetensors_reads_what_was_written(tmp_path):
    fields = fields_of()
    write_probabilities(tmp_path / "new" / "probabilities", IDS, SIZES, iter(fields))
    stored = load_file(tmp_path / "new" / "probabilities")
    assert sorted(stored) == sorted(IDS)
    for sample_id, field in zip(IDS, fields, strict=True):
        np.testing.assert_array_equal(stored[sample_id], bytes_of(field))
        assert np.abs(stored[sample_id] / 255 - field.numpy()).max() <= 1 / 510 + 1e-7


def test_fields_of_any_layout_and_float_type_are_written_alike(tmp_path):
    field = torch.tensor([[[0.0, 0.25], [0.5, 1.0]], [[1.0, 0.75], [0.5, 0.0]]], dtype=torch.float64)
    strided = field.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    write_probabilities(tmp_path / "file", ["a"], [(2, 2)], [strided])
    assert load_file(tmp_path / "file")["a"].tolist() == [[[0, 64], [128, 255]], [[255, 191], [128, 0]]]


def test_nothing_is_left_where_a_network_fails_on_the_way(tmp_path):
    def failing():
        yield fields_of()[0]
        raise ValueError("out of order")

    with pytest.raises(ValueError, match="out of order"):
        write_probabilities(tmp_path / "file", IDS, SIZES, failing())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="cannot write to the results folder"):
        write_probabilities(tmp_path / "file" / "probabilities", IDS, SIZES, fields_of())


def test_files_of_folds_are_joined_in_the_order_of_the_split(folds):
    fields = ProbabilityFields.open(folds, IDS)
    for place, (height, width) in enumerate(SIZES):
        (whole,) = fields.windows([place], [(0, height)], [(0, width)])
        np.testing.assert_array_equal(whole.numpy(), bytes_of(fields_of()[place]))


def test_windows_lie_in_the_upper_left_corner(folds):
    windows = ProbabilityFields.open(folds, IDS).windows([1, 0], [(2, 6), (0, 1)], [(0, 3), (3, 5)])
    assert windows.shape == (2, 3, 4, 3)
    np.testing.assert_array_equal(windows[0].numpy(), bytes_of(fields_of()[1])[:, 2:6, 0:3])
    np.testing.assert_array_equal(windows[1, :, :1, :2].numpy(), bytes_of(fields_of()[0])[:, 0:1, 3:5])
    assert windows[1, :, 1:].eq(0).all()
    assert windows[1, :, :, 2:].eq(0).all()


def test_an_image_without_probabilities_is_an_error_with_the_cure(folds):
    with pytest.raises(SegbenchError) as error:
        ProbabilityFields.open(folds[:1], IDS)
    assert str(error.value) == f"image 'straße 2' has no probabilities in {folds[0]}; {CURE}"


def test_only_the_images_that_are_trained_on_need_probabilities(folds):
    fields = ProbabilityFields.open(folds[1:], IDS, places=[1])
    assert fields.windows([1], [(0, 6)], [(0, 3)]).shape == (1, 3, 6, 3)


def test_an_image_in_two_files_is_an_error(folds):
    with pytest.raises(RecordError) as error:
        ProbabilityFields.open([*folds, folds[1]], IDS)
    assert str(error.value) == f"{folds[1]} holds probabilities of 'straße 2', that another file holds too; {CURE}"


def test_an_image_of_another_dataset_is_an_error(folds):
    with pytest.raises(RecordError, match="holds probabilities of '\"3\"', of no image of the split"):
        ProbabilityFields.open(folds, IDS[:2])


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: b"", lambda content: content[3:]])
def test_a_damaged_file_is_an_error(folds, damage):
    folds[0].write_bytes(damage(folds[0].read_bytes()))
    with pytest.raises(RecordError, match=r"the probabilities in .*fold-1 cannot be read"):
        ProbabilityFields.open(folds, IDS)


@pytest.mark.parametrize("seed", range(10))
def test_one_flipped_bit_anywhere_is_found(folds, flip_bit, seed):
    flip_bit(folds[0], seed)
    with pytest.raises(RecordError, match=r"the probabilities in .*fold-1 cannot be read"):
        ProbabilityFields.open(folds, IDS)


def test_a_missing_file_is_an_error(folds):
    folds[1].unlink()
    with pytest.raises(RecordError, match=r"the probabilities in .*fold-2 cannot be read"):
        ProbabilityFields.open(folds, IDS)


@pytest.mark.parametrize("array", [np.zeros((2, 2, 2), np.float32), np.zeros((2, 2), np.uint8)])
def test_a_file_of_something_else_is_an_error(tmp_path, array):
    save_file({"a": array}, tmp_path / "weights")
    with pytest.raises(RecordError, match="holds something else than probabilities"):
        ProbabilityFields.open([tmp_path / "weights"], ["a"])


def test_normalise_probabilities_fields_sum_to_one_and_are_uniform_where_they_are_zero():
    fields = torch.tensor([[3.0, 0.0], [1.0, 0.0]]).view(1, 2, 1, 2)
    assert normalise_probabilities(fields).flatten().tolist() == [0.75, 0.5, 0.25, 0.5]


@pytest.mark.gpu
def test_windows_come_to_the_device(folds):
    host, device = (ProbabilityFields.open(folds, IDS, device=torch.device(name)) for name in ("cpu", "cuda"))
    windows = [1, 0], [(2, 6), (0, 1)], [(0, 3), (3, 5)]
    assert device.windows(*windows).device.type == "cuda"
    assert torch.equal(device.windows(*windows).cpu(), host.windows(*windows))
