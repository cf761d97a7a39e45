from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segbench import DataError
from segbench_data.pairing import pair_all, pair_listed, partition, read_split_files

PLACE = Path("images")
STEMS = st.lists(st.text(min_size=1, max_size=5), min_size=3, max_size=40, unique=True)


def files(*stems):
    return {stem: Path(f"{stem}.png") for stem in stems}


def test_an_image_without_mask_is_refused():
    with pytest.raises(DataError, match=r"image without mask: b\.png, c\.png; add the mask"):
        pair_all(files("a", "b", "c"), files("a"), PLACE)


def test_a_mask_without_image_is_refused():
    with pytest.raises(DataError, match=r"mask without image: b\.png; add the image"):
        pair_all(files("a"), files("a", "b"), PLACE)


def test_an_empty_folder_is_refused():
    with pytest.raises(DataError, match="images: no images"):
        pair_all({}, {}, PLACE)


def test_listed_images_keep_the_order_of_their_file():
    pairs = pair_listed(["b", "a"], files("a", "b", "c"), files("a", "b"), Path("train.txt"))
    assert [pair.id for pair in pairs] == ["b", "a"]


@pytest.mark.parametrize(("images", "masks", "what"), [("b", "ab", "image"), ("ab", "b", "mask")])
def test_a_listed_stem_without_file_is_refused(images, masks, what):
    with pytest.raises(DataError, match=rf"train\.txt names 'a', which has no {what}; add the file or remove the line"):
        pair_listed(["b", "a"], files(*images), files(*masks), Path("train.txt"))


def test_a_stem_listed_twice_is_refused():
    with pytest.raises(DataError, match=r"train\.txt names 'a' twice"):
        pair_listed(["a", "a"], files("a"), files("a"), Path("train.txt"))


def read_lines_of(tmp_path, text):
    (tmp_path / "train.txt").write_text(text, encoding="utf-8")
    images = {stem: tmp_path / "images" / f"{stem}.png" for stem in ("a", "b.01", "two words", "r\u00e9tine")}
    masks = {stem: tmp_path / "masks" / f"{stem}.png" for stem in images}
    return read_split_files(tmp_path, ("train", "val"), images, masks)[tmp_path / "train.txt"]


def test_lines_may_carry_the_extension_and_stems_may_have_dots(tmp_path):
    assert read_lines_of(tmp_path, "a.png\nb.01\nmissing.png\n") == ["a", "b.01", "missing.png"]


@pytest.mark.parametrize(
    "line",
    [
        *("a", "a.jpg", "images/a.png", "./images/a", "/images/a.png", "images\\a.png"),
        *("images/a.png masks/a.png", "images/a.png,masks/a.png", "a.png\ta.png", "/images/a.png /masks/a.png"),
    ],
)
def test_lines_may_be_paths_and_may_name_the_mask_too(tmp_path, line):
    assert read_lines_of(tmp_path, f"two words\n{line}\nimages/b.01.png") == ["two words", "a", "b.01"]


def test_a_line_in_another_unicode_form_names_the_same_file(tmp_path):
    assert read_lines_of(tmp_path, "re\u0301tine\nimages/re\u0301tine.png") == ["r\u00e9tine"] * 2


def test_a_path_through_another_folder_names_nothing(tmp_path):
    assert read_lines_of(tmp_path, "site B/a.png\n") == ["site B/a.png"]


def test_a_line_that_names_the_mask_of_another_image_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"'images/a\.png masks/b\.01\.png' names the mask of another image"):
        read_lines_of(tmp_path, "images/a.png masks/b.01.png")


def test_images_and_masks_are_paired_across_unicode_forms():
    pairs = pair_all(files("r\u00e9tine"), files("re\u0301tine"), PLACE)
    assert [(pair.id, pair.mask) for pair in pairs] == [("r\u00e9tine", files("re\u0301tine")["re\u0301tine"])]


def test_an_empty_split_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"train\.txt: names no image"):
        read_lines_of(tmp_path, "\n")


def test_a_folder_without_split_files_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"none of train\.txt, val\.txt is there"):
        read_split_files(tmp_path, ("train", "val"), {}, {})


def test_fractions_are_met_exactly():
    splits = partition(map(str, range(100)), {"train": 0.7, "val": 0.1, "test": 0.2}, PLACE)
    assert {split: len(stems) for split, stems in splits.items()} == {"train": 70, "val": 10, "test": 20}


def test_names_that_are_not_utf_8_are_cut_into_splits_too():
    stems = ["caf\udce9", "b", "c"]  # as Python reads the bytes caf\xe9 of a folder
    splits = partition(stems, {"train": 0.5, "test": 0.5}, PLACE)
    assert sorted(stem for names in splits.values() for stem in names) == sorted(stems)


def test_a_partition_is_the_same_on_every_machine():
    # `printf d | sha256sum` and so on give 18ac... (d), 2e7d... (c), 3e23... (b), 3f79... (e), ca97... (a).
    splits = partition("abcde", {"train": 0.6, "test": 0.4}, PLACE)
    assert splits == {"train": ["b", "c", "d"], "test": ["a", "e"]}


@settings(deadline=None)
@given(STEMS, st.randoms())
def test_a_partition_holds_every_stem_once_and_does_not_depend_on_their_order(stems, random):
    fractions = {"train": 0.7, "val": 0.1, "test": 0.2}
    splits = partition(stems, fractions, PLACE)
    assert sorted(stem for part in splits.values() for stem in part) == sorted(stems)
    assert all(splits.values())
    shuffled = random.sample(stems, len(stems))
    assert partition(shuffled, fractions, PLACE) == splits


def test_one_image_cannot_be_split():
    with pytest.raises(DataError, match="images: one image cannot be split into train, val, test"):
        partition(["a"], {"train": 0.7, "val": 0.1, "test": 0.2}, PLACE)


def test_a_split_of_fraction_0_is_left_out():
    assert partition(["a"], {"test": 1.0, "train": 0.0}, PLACE) == {"test": ["a"]}


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ({"train": 0.7, "validation": 0.3}, "unknown split 'validation'; allowed are train, val, test"),
        ({"train": 0.7, "val": 0.1}, "add up to 0.8; give shares"),
        ({"train": 1.5, "val": -0.5}, "give shares from 0 to 1"),
        ({}, "add up to 0; give shares"),
    ],
)
def test_wrong_fractions_are_refused(fractions, message):
    with pytest.raises(DataError, match=message):
        partition("abcd", fractions, PLACE)
