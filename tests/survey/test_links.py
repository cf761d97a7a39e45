from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segbench.errors import DataError
from segbench.registry import load_registry
from segbench.survey.layout import Layout
from segbench.survey.links import link, link_splits
from segbench.survey.survey import survey_folder


def write(root, *places):
    for place in places:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.array([[0, 1]], dtype=np.uint8)).save(root / place)


@pytest.mark.parametrize(
    ("images", "masks"),
    [("{}/images", "{}/masks"), ("images/{}", "masks/{}"), ("{}", "{}_Labels"), ("raw/Data_{}/x", "raw/Data_{}/masks")],
)
def test_folders_of_splits_in_capitals_are_read(tmp_path, images, masks):
    for split, stems in {"Train": "abc", "VAL": "de", "Test": "fg"}.items():
        write(tmp_path, *(f"{place.format(split)}/{stem}.png" for place in (images, masks) for stem in stems))
    found = survey_folder(tmp_path, load_registry(), iter)
    assert found.splits == {"train": 3, "val": 2, "test": 2}
    assert found.is_split
    assert "since splits are read in small letters" in found.remarks[0]
    again = survey_folder(tmp_path, load_registry(), iter)
    assert (again.splits, again.remarks) == (found.splits, ())


def test_folders_in_small_letters_get_no_links(tmp_path):
    write(tmp_path, "train/images/a.png", "train/masks/a.png", "Notes/a.png")
    assert link_splits(tmp_path, Layout("{split}/images", "{split}/masks")) == []
    assert link_splits(tmp_path, Layout("images", "masks")) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Notes", "train"]


def test_links_lead_to_their_targets_also_where_both_are_moved(tmp_path):
    write(tmp_path, "one/deep/a.png")
    (tmp_path / "one" / "links").mkdir()
    link(tmp_path / "one" / "links" / "b.png", tmp_path / "one" / "deep" / "a.png")
    (tmp_path / "one").rename(tmp_path / "two")
    assert (tmp_path / "two" / "links" / "b.png").is_file()


def test_a_link_that_cannot_be_made_is_told_with_what_to_do(tmp_path):
    write(tmp_path, "Train/a.png")
    (tmp_path / "train").symlink_to("nowhere")
    with pytest.raises(
        DataError, match=r"train: a link to .*Train cannot be made \(File exists\); move or rename Train"
    ):
        link(tmp_path / "train", tmp_path / "Train")
