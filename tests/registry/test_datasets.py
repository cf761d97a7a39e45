from __future__ import annotations

from pathlib import Path

import pytest

from segbench import Dataset
from segbench.errors import DataError, OptionError, PluginError
from segbench.registry import load_registry
from segbench.registry.datasets import NOT_REDISTRIBUTABLE, dataset_root, open_dataset


class Counted:
    """A split of three samples that is never read."""

    ids = ("a", "b", "c")

    def __len__(self):
        return 3

    def __getitem__(self, index):
        raise AssertionError("opening a dataset must not decode it")


class Miscounted(Counted):
    files = ((Path("a.png"),),)


def dataset(**changes):
    fields = {"classes": ["sky", "road"], "palette": [(0, 0, 0), (255, 255, 255)], "splits": {"test": Counted()}}
    return Dataset(**{**fields, **changes})


def build_rooted(root, *, year: int = 2012):
    return dataset(citation=f"{root.name} {year}")


def download(root):
    root.mkdir()


def build_optional(root=None):
    return dataset(citation=str(root))


@pytest.fixture
def rooted(offer):
    return offer("dataset", build_rooted, "streets", download=download)


def test_the_given_root_comes_before_the_shared_folder(rooted, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGBENCH_DATA", str(tmp_path / "shared"))
    assert dataset_root(rooted, str(tmp_path / "own")) == tmp_path / "own"
    assert dataset_root(rooted, None) == tmp_path / "shared" / "streets"


def test_a_root_in_the_home_folder_is_found(rooted, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert dataset_root(rooted, "~/data") == tmp_path / "data"


def test_without_any_root_the_error_says_how_to_give_one(rooted):
    with pytest.raises(DataError) as caught:
        dataset_root(rooted, None)
    for text in ("mine/streets", "root:", "$SEGBENCH_DATA (not set now)", "segbench prepare mine/streets"):
        assert text in str(caught.value)


def test_a_download_is_spoken_of_where_there_is_one_alone(offer):
    with pytest.raises(DataError, match=r"to the folder that holds streets/\.$"):
        dataset_root(offer("dataset", build_rooted, "streets"), None)


def test_a_dataset_that_reads_no_folder_has_no_root(offer):
    made = offer("dataset", lambda: dataset())
    assert dataset_root(made, None) is None
    with pytest.raises(OptionError, match="takes no root"):
        dataset_root(made, "/data")


def test_a_root_with_a_default_is_looked_for_but_not_missed(offer, tmp_path, monkeypatch):
    made = offer("dataset", build_optional, "streets")
    assert open_dataset(made, None, {}).citation == "None"
    monkeypatch.setenv("SEGBENCH_DATA", str(tmp_path))
    assert dataset_root(made, None) is None
    (tmp_path / "streets").mkdir()
    assert open_dataset(made, None, {}).citation == str(tmp_path / "streets")


def test_a_dataset_is_opened_with_its_root_and_options(rooted, tmp_path):
    assert open_dataset(rooted, str(tmp_path), {"year": "2007"}).citation == f"{tmp_path.name} 2007"


def test_a_missing_folder_says_what_was_looked_for_and_how_to_get_it(rooted, tmp_path):
    with pytest.raises(DataError) as caught:
        open_dataset(rooted, str(tmp_path / "nowhere"), {})
    for text in (f"there is no folder {tmp_path}/nowhere", "root:", "SEGBENCH_DATA", "segbench prepare mine/streets"):
        assert text in str(caught.value)


def test_a_file_in_place_of_the_folder_is_reported(rooted, tmp_path):
    (tmp_path / "data").touch()
    with pytest.raises(DataError, match=f"not a folder: {tmp_path}/data"):
        open_dataset(rooted, str(tmp_path / "data"), {})


def test_wrong_options_are_reported_before_the_folder_is_looked_for(rooted):
    with pytest.raises(OptionError, match="has no option 'yeer'"):
        open_dataset(rooted, "/nowhere", {"yeer": 3})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"classes": [], "palette": []}, "classes is"),
        ({"classes": "ab"}, "classes is 'ab'"),
        ({"classes": ["sky", ""]}, "named ''"),
        ({"classes": ["sky", "sky"]}, "more than one class is named 'sky'"),
        ({"palette": [(0, 0, 0)]}, "1 colours in palette for 2 classes"),
        ({"palette": [(0, 0, 0), (0, 0, 256)]}, "class 'road' has the colour"),
        ({"palette": [(0, 0, 0), (0, 0)]}, "class 'road' has the colour"),
        ({"palette": [(0, 0, 0), (0.5, 0, 0)]}, "class 'road' has the colour"),
        ({"ignore_index": 1}, "ignore_index is 1; it must be a label that is no class"),
        ({"ignore_index": -100}, "ignore_index is -100"),
        ({"ignore_index": 65536}, "ignore_index is 65536"),
        ({"channels": 0}, "channels is 0"),
        ({"cluster": "city"}, "cluster is 'city'; it must be a function from a sample's id to its group, or None"),
        ({"splits": {}}, "splits is {}"),
        ({"splits": [Counted()]}, "must map one or more of train, val, test"),
        ({"splits": {"training": Counted()}}, "named 'training'; allowed are train, val, test"),
        ({"splits": {"train": []}}, "split 'train' is empty"),
    ],
)
def test_a_dataset_whose_parts_do_not_fit_is_refused(offer, changes, expected):
    with pytest.raises(DataError) as caught:
        open_dataset(offer("dataset", lambda: dataset(**changes)), None, {})
    assert str(caught.value).startswith("dataset mine/thing: ")
    assert expected in str(caught.value)


def test_a_split_that_miscounts_its_files_breaks_the_contract(offer):
    with pytest.raises(PluginError, match="split 'test' has 3 samples, but 1 files"):
        open_dataset(offer("dataset", lambda: dataset(splits={"test": Miscounted()})), None, {})


def test_a_build_that_returns_no_dataset_breaks_the_contract(offer):
    with pytest.raises(PluginError, match=r"build returned dict, not a segbench\.Dataset"):
        open_dataset(offer("dataset", lambda: {}), None, {})


def test_images_may_be_passed_on_unless_the_dataset_says_otherwise(offer):
    assert open_dataset(offer("dataset", lambda: dataset()), None, {}).redistributable is True
    mine = offer("dataset", lambda: dataset(redistributable=False))
    assert open_dataset(mine, None, {}).redistributable is False
    with pytest.raises(DataError, match="redistributable is 'no'; it must be True or False"):
        open_dataset(offer("dataset", lambda: dataset(redistributable="no")), None, {})


def test_datasets_whose_licence_lets_nobody_pass_images_on_are_known(shared_data):
    registry = load_registry()
    offered = {offer.full_name for offer in registry.offers("dataset")}
    assert offered >= NOT_REDISTRIBUTABLE
    camvid = open_dataset(registry.find("dataset", "data/camvid"), str(shared_data / "camvid"), {})
    nuclei = open_dataset(registry.find("dataset", "data/nuclei"), None, {})
    assert (camvid.redistributable, nuclei.redistributable) == (False, True)
