from __future__ import annotations

import json

import pytest

from segbench.cli import main

SOURCE = """
from segbench import Component, DataError, Dataset, hookimpl

def build_loss(num_classes, *, gamma: float = 2.0, width: int): ...

def build_data(root, *, year: int = 2012, broken: bool = False):
    print("opening")
    if broken:
        raise DataError("a.png is truncated")
    return Dataset(["sky", "road"], [(0, 0, 0), (9, 9, 9)], {"train": [1, 2], "test": [3]}, licence="CC0",
                   citation=f"Someone {year}\\nAnother")

def build_strict(*, classes: int): ...

@hookimpl
def segbench_losses():
    yield Component("focus", build_loss, "Looks at edges", requires=("typer", "no-such-library"))

@hookimpl
def segbench_datasets():
    yield Component("streets", build_data, "Streets seen from above")
    yield Component("strict", build_strict, "Has a required option")
"""


@pytest.fixture(autouse=True)
def mine(install_plugin):
    install_plugin("my-dist", {"mine": "my_plugin"}, {"my_plugin.py": SOURCE}, version="1.5")


def shown(capsys, *arguments: str):
    assert main(["show", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_component_is_shown_with_its_options_and_its_source(capsys):
    assert main(["show", "loss", "focus"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["mine/focus:", "Looks", "at", "edges"]
    assert ["from", "my-dist", "1.5,", "plugin", "'mine'"] in lines
    assert ["role", "supervised"] in lines
    assert ["requires", "no-such-library", "(not", "installed)"] in lines
    assert lines[-2:] == [["gamma", "float", "2.0"], ["width", "int", "(required)"]]


def test_json_has_the_same_facts(capsys):
    found = shown(capsys, "losses", "mine/focus")
    assert found["options"] == [
        {"name": "gamma", "type": "float", "required": False, "default": 2.0},
        {"name": "width", "type": "int", "required": True, "default": None},
    ]
    assert found["requires"]["no-such-library"] is None
    assert found["requires"]["typer"]


def test_a_dataset_at_hand_is_shown_with_its_size_classes_licence_and_citation(capsys, tmp_path):
    found = shown(capsys, "dataset", "streets", "--root", str(tmp_path), "--option", "year=2007")
    assert found["data"] == {
        "images": {"train": 2, "test": 1},
        "channels": 3,
        "classes": ["sky", "road"],
        "ignore_index": 255,
        "licence": "CC0",
        "redistributable": True,
        "citation": "Someone 2007\nAnother",
    }


def test_the_text_of_a_dataset_names_classes_with_their_ids(capsys, tmp_path):
    assert main(["show", "dataset", "streets", "--root", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    lines = [line.split(maxsplit=1) for line in captured.out.splitlines()]
    assert ["images", "2 train, 1 test"] in lines
    assert ["classes", "2: 0 sky, 1 road"] in lines
    assert lines[-6:-4] == [["citation", "Someone 2012"], ["Another"]]
    assert ["licence", "CC0"] in lines
    assert ["redistributable", "yes"] in lines
    assert "opening" not in captured.out


def test_a_dataset_whose_folder_is_missing_still_shows_its_options_and_says_what_was_looked_for(capsys, tmp_path):
    found = shown(capsys, "dataset", "streets", "--root", str(tmp_path / "nowhere"))
    assert [option["name"] for option in found["options"]] == ["year", "broken"]
    assert f"there is no folder {tmp_path}/nowhere" in found["data"]["not_opened"]


def test_broken_data_is_reported_in_place_of_its_size(capsys, tmp_path):
    found = shown(capsys, "dataset", "streets", "--root", str(tmp_path), "--option", "broken=true")
    assert found["data"] == {"not_opened": "a.png is truncated"}


def test_a_required_option_left_out_is_reported_in_place_of_the_size(capsys):
    assert "'classes' of dataset mine/strict is missing" in shown(capsys, "dataset", "strict")["data"]["not_opened"]


def test_a_wrong_option_is_an_error(capsys):
    assert main(["show", "dataset", "strict", "--option", "clases=3"]) == 2
    assert capsys.readouterr().err.startswith("error: dataset mine/strict has no option 'clases'")


def test_an_option_that_is_no_pair_is_an_error(capsys):
    assert main(["show", "dataset", "strict", "--option", "classes"]) == 2
    assert "'classes' is not of the form KEY=VALUE" in capsys.readouterr().err


def test_only_datasets_take_a_root(capsys):
    assert main(["show", "loss", "focus", "--root", "/data"]) == 2
    assert "for datasets only" in capsys.readouterr().err


def test_an_unknown_name_says_what_is_nearest(capsys):
    assert main(["show", "loss", "mine/focis"]) == 2
    assert "Did you mean 'mine/focus'?" in capsys.readouterr().err
