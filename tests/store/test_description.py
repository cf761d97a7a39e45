from __future__ import annotations

import pytest

from segbench import Dataset
from segbench.errors import RecordError
from segbench.store.description import description_of, read_description
from segbench.store.json_file import sealed_json


@pytest.fixture
def dataset():
    palette = ((0, 0, 0), (255, 255, 255))
    return Dataset(("dark", "bright"), palette, {}, licence="CC0", redistributable=False)


def test_a_description_comes_back_from_its_file(dataset, tmp_path):
    path = tmp_path / "dataset.json"
    path.write_text(description_of(dataset).model_dump_json())
    found = read_description(path)
    assert found.classes == ("dark", "bright")
    assert found.palette == ((0, 0, 0), (255, 255, 255))
    assert (found.ignore_index, found.channels) == (255, 3)
    assert (found.licence, found.redistributable) == ("CC0", False)


def test_a_description_of_an_older_version_says_nothing_of_passing_images_on(dataset, tmp_path):
    path = tmp_path / "dataset.json"
    path.write_text(description_of(dataset).model_dump_json(exclude={"licence", "redistributable"}))
    assert read_description(path).redistributable is None


def test_a_missing_or_damaged_description_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "dataset.json"
    with pytest.raises(RecordError, match=r"cannot read .*dataset\.json"):
        read_description(path)
    for content in ("{}", "[" * 10**6, '{"channels": ' + "1" * 10**5 + "}", "null", "\xff"):
        path.write_text(content, encoding="latin-1")
        with pytest.raises(RecordError, match=r"dataset\.json does not describe a dataset"):
            read_description(path)


@pytest.mark.parametrize("seed", range(20))
def test_one_flipped_bit_of_a_description_is_found(dataset, tmp_path, flip_bit, seed):
    path = tmp_path / "dataset.json"
    path.write_bytes(sealed_json(description_of(dataset).model_dump()))
    assert read_description(path) == description_of(dataset)
    flip_bit(path, seed)
    with pytest.raises(RecordError, match=r"dataset\.json does not describe a dataset"):
        read_description(path)
