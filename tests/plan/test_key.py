from __future__ import annotations

import functools
import hashlib
import io
import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench import DataError, Dataset, Sample
from segbench.config.attribution import Attribution
from segbench.config.protocol import TrainingProtocol
from segbench.config.recipe import (
    Adversarial,
    ComponentUse,
    DatasetUse,
    Origin,
    Penalty,
    Refines,
    TrainsOn,
    Tuning,
    UnlabelledTerm,
    WeightedLoss,
)
from segbench.contract import MAPS, SEGMENTING_MAPS, Component
from segbench.errors import ComponentError, PluginError
from segbench.plan import key
from segbench.plan.cell import Cell
from segbench.plan.key import (
    cache_key,
    cell_key,
    file_hashes,
    fingerprint,
    ingredients,
    required_versions,
    source_hash,
)
from segbench.plan.machine import cache_folder
from segbench.registry import Offer
from segbench.registry.plugin_files import load_file
from segbench.store.json_file import read_json

from .conftest import cell, forget, method

PROTOCOL = {"budget": {"steps": 10}, "threads": 2}


def with_protocol(**changes):
    return cell(method=method(protocol=TrainingProtocol(**{**PROTOCOL, **changes})))


def test_a_key_is_sixteen_hexadecimal_digits():
    assert len(cell_key(cell())) == 16
    int(cell_key(cell()), 16)


def test_without_data_there_is_no_key():
    assert cell_key(cell(fingerprint=None)) is None


def test_without_the_key_of_an_upstream_cell_there_is_no_key():
    assert cell_key(cell(upstream={"start_from": None})) is None


CHANGES = {
    "dataset name": {"dataset_name": "other"},
    "dataset": {"dataset": DatasetUse(use="toy/other", options={"images": 2})},
    "dataset option": {"dataset": DatasetUse(use="toy/shapes", options={"images": 3})},
    "folds": {"dataset": DatasetUse(use="toy/shapes", options={"images": 2}, folds={"count": 5})},
    "fingerprint": {"fingerprint": "0" * 32},
    "subset": {"subset": "labels 0.5"},
    "seed": {"seed": 1},
    "method name": {"method": method("other", protocol=TrainingProtocol(**PROTOCOL))},
    "generator": {"method": method(protocol=TrainingProtocol(**PROTOCOL), generator=ComponentUse(use="toy/other"))},
    "generator option": {
        "method": method(
            protocol=TrainingProtocol(**PROTOCOL), generator=ComponentUse(use="toy/net", options={"width": 17})
        )
    },
    "loss option": {
        "method": method(
            protocol=TrainingProtocol(**PROTOCOL), losses=(WeightedLoss(use="toy/entropy", options={"smooth": 0.1}),)
        )
    },
    "loss weight": {
        "method": method(
            protocol=TrainingProtocol(**PROTOCOL),
            losses=(WeightedLoss(use="toy/entropy", options={"smooth": 0.0}, weight=2),),
        )
    },
    "class weights": {
        "method": method(
            protocol=TrainingProtocol(**PROTOCOL),
            losses=(WeightedLoss(use="toy/entropy", options={"smooth": 0.0}, class_weights="median_frequency"),),
        )
    },
    "source": {"sources": {"generator toy/net": "b" * 16}},
    "version": {"versions": {"pydantic": "2.1"}},
    "upstream": {"upstream": {"start_from": "c" * 16}},
    "trial": {"upstream": {"trial 1/2": "c" * 16}},
    "for tuning": {"for_tuning": True},
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_key_changes_with_every_ingredient(name):
    assert cell_key(cell(**CHANGES[name])) != cell_key(cell())


def adversarial(maps="image -> labels", **changes):
    facts = {"use": "toy/hinge", "options": {"margin": 1.0}, "penalty": Penalty(use="toy/slope")}
    return cell(
        method=method(
            protocol=TrainingProtocol(**PROTOCOL),
            maps=maps,
            discriminator=ComponentUse(use="toy/critic", options={"width": 8}),
            adversarial=Adversarial(**{**facts, **changes}),
        )
    )


ADVERSARIAL_CHANGES = {
    "use": {"use": "toy/lsgan"},
    "options": {"options": {"margin": 2.0}},
    "weight": {"weight": 0.5},
    "penalty": {"penalty": None},
    "clip": {"clip": 0.01},
    "d_steps": {"d_steps": 2},
    "alternate": {"alternate": 500},
    "optimizer": {"optimizer": "sgd"},
    "warmup_steps": {"warmup_steps": 9},
    "encoding": {"encoding": "one_hot"},
    "conditional": {"conditional": False},
    "placebo": {"placebo": "frozen"},
}


@pytest.mark.parametrize("name", Adversarial.model_fields)
def test_the_key_changes_with_everything_about_the_adversarial_loss(name):
    assert cell_key(adversarial(**ADVERSARIAL_CHANGES[name])) != cell_key(adversarial())


@pytest.mark.parametrize(
    "changed",
    [
        Penalty(use="toy/r1"),
        Penalty(use="toy/slope", options={"target": 0.0}),
        Penalty(use="toy/slope", weight=1),
        Penalty(use="toy/slope", every=16),
    ],
)
def test_the_key_changes_with_everything_about_the_penalty(changed):
    assert cell_key(adversarial(penalty=changed)) != cell_key(adversarial())


@pytest.mark.parametrize("maps", ["noise -> image", "labels -> image", "noise -> image, labels"])
def test_channels_of_noise_count_where_there_is_noise(maps):
    def key_with(channels):
        made = adversarial(maps)
        return cell_key(
            made.model_copy(update={"method": made.method.model_copy(update={"latent_channels": channels})})
        )

    assert key_with(100) != key_with(64)


def test_channels_of_noise_keep_their_former_name_in_the_key_so_that_finished_cells_stay_finished():
    recipe = key.ingredients(adversarial("noise -> image"))["method"]
    assert recipe["noise_channels"] == 100
    assert "latent_channels" not in recipe


def recipe(**changes):
    return cell(method=method(**{"protocol": TrainingProtocol(**PROTOCOL), **changes}))


DIFFERING_RECIPES = {
    "maps": [{}, {"maps": "image -> image"}],
    "discriminator": [
        {},
        {"discriminator": ComponentUse(use="toy/critic")},
        {"discriminator": ComponentUse(use="toy/critic", options={"width": 9})},
    ],
    "budget": [
        {"protocol": TrainingProtocol(budget=budget)} for budget in ({"steps": 9}, {"seconds": 9}, {"like": "a"})
    ],
    "weight": [
        {"adversarial": Adversarial(use="toy/hinge", weight=weight)}
        for weight in (0.1, 0.2, {"ratio": 0.1}, {"ratio": 0.2}, {"like": "a"})
    ],
    "share": [{}, *({"trains_on": TrainsOn(synthetic="a", share=share)} for share in (0, 0.5, 1))],
    "folds": [{}, *({"refines": Refines(method="a", folds=folds)} for folds in (2, 5))],
    "unlabelled loss": [
        {},
        *(
            {"unlabelled": UnlabelledTerm(loss=ComponentUse(use="toy/calm", options={"rate": rate}), weight=weight)}
            for rate, weight in [(1, 1), (2, 1), (1, 2)]
        ),
    ],
    "pseudo labels": [
        {},
        *(
            {"unlabelled": UnlabelledTerm(pseudo_labels_from="a", threshold=threshold, weight=weight)}
            for threshold, weight in [(0.5, 1), (0.9, 1), (0.5, 2)]
        ),
    ],
}


@pytest.mark.parametrize("name", DIFFERING_RECIPES)
def test_the_key_changes_with_every_part_of_a_recipe(name):
    keys = [cell_key(recipe(**changes)) for changes in DIFFERING_RECIPES[name]]
    assert len(set(keys)) == len(keys)


def test_the_key_holds_nothing_of_what_a_recipe_has_not():
    assert set(key.ingredients(cell())["method"]) == {"name", "generator", "maps", "losses", "protocol"}


PROTOCOL_CHANGES = {
    "budget": {"epochs": 10},
    "batch_size": 9,
    "accumulate": 2,
    "processes": 2,
    "resize": {"factor": 0.5},
    "score_at": "resized",
    "crop": (8, 8),
    "augment": {"flip": True},
    "optimizer": "sgd",
    "schedule": "cosine",
    "auxiliary_weight": 0.4,
    "clip_gradient": 1.0,
    "ema": 0.9,
    "precision": "bf16",
    "channels_last": True,
    "compile": True,
    "capture": "auto",
    "tf32": True,
    "deterministic": True,
    "threads": 3,
    "evaluate": "val",
    "window": {"size": (8, 8), "stride": (4, 4)},
    "tta": {"flip": True},
    "boundaries": {"iou_width": 0.02},
    "surface_distances": {"tolerance": 1.0},
    "validations": 1,
    "select": "best",
    "absent_classes": "allow",
}


@pytest.mark.parametrize("name", sorted(set(TrainingProtocol.model_fields) - key.UNSCORED - {"features"}))
def test_the_key_changes_with_every_protocol_key(name):
    changes = {"validations": 1} if name == "select" else {}
    changed = with_protocol(**{**changes, name: PROTOCOL_CHANGES[name]})
    assert cell_key(changed) != cell_key(with_protocol(**changes))


RESNET = {"use": "resnet18", "weights": "/here/w.safetensors"}


@pytest.mark.parametrize("maps", MAPS)
def test_the_key_changes_with_the_features_of_images_where_images_are_made(maps):
    keys = {
        cell_key(cell(method=method(maps=maps, protocol=TrainingProtocol(**PROTOCOL, **features))))
        for features in ({}, {"features": RESNET})
    }
    assert len(keys) == (1 if maps in SEGMENTING_MAPS else 2)


def test_the_key_changes_with_the_engine(monkeypatch):
    before = cell_key(cell())
    monkeypatch.setattr(key, "ENGINE_VERSION", key.ENGINE_VERSION + 1)
    assert cell_key(cell()) != before


WEIGHTS = "/here/w.safetensors"
FULL_RECIPE = {
    "maps": "noise -> image, labels",
    "generator": ComponentUse(use="toy/net", options={"width": 16, "weights": WEIGHTS}),
    "discriminator": ComponentUse(use="toy/critic", options={"width": 8}),
    "adversarial": Adversarial(use="toy/hinge", options={"margin": 1.0}, penalty=Penalty(use="toy/slope")),
    "latent_channels": 64,
    "refines": Refines(method="a"),
    "trains_on": TrainsOn(synthetic="a"),
    "unlabelled": UnlabelledTerm(pseudo_labels_from="a"),
    "protocol": TrainingProtocol(**PROTOCOL, window={"size": (8, 8), "stride": (4, 4)}, surface_distances={}),
}
FULL_CELL = {
    "subset": "labels 0.5",
    "for_tuning": True,
    "sources": {"generator toy/net": "a" * 16, "loss toy/hinge": "b" * 16},
    "files": {WEIGHTS: "c" * 64},
    "upstream": {"trains_on": "d" * 16},
}


def test_the_key_of_a_cell_with_a_test_fold_tells_that_a_seed_starts_anew_in_it():
    assert ingredients(cell(subset="test fold 1/5, fold 2/3"))["starts"] == "by test fold"
    assert "starts" not in ingredients(cell(subset="labels 0.5, fold 2/3"))


def test_keys_of_this_engine_version_never_change():
    """Literals, so that a new key of the protocol or of a recipe that gets into old keys is noticed."""
    assert key.ENGINE_VERSION == 3
    assert cell_key(cell()) == "aa0ec113c2d98a83"
    assert cell_key(cell(method=method(**FULL_RECIPE), **FULL_CELL)) == "dc5b5405a26cbc7e"


UNCHANGED = {
    "benchmark": {"benchmark": "other"},
    "root": {"dataset": DatasetUse(use="toy/shapes", options={"images": 2}, root="/somewhere")},
    "images that may not be passed on": {
        "dataset": DatasetUse(use="toy/shapes", options={"images": 2}, redistributable=False)
    },
    "cache key": {"cache_key": "d" * 16},
    "twin": {"method": method(protocol=TrainingProtocol(**PROTOCOL), twin="base", overrides=("batch_size",))},
    "placebo of": {"method": method(protocol=TrainingProtocol(**PROTOCOL), placebo_of="base")},
    "against": {"method": method(protocol=TrainingProtocol(**PROTOCOL), against=("base", "other"))},
    "trial of": {"method": method(protocol=TrainingProtocol(**PROTOCOL), trial_of="base")},
    "settings": {
        "method": method(protocol=TrainingProtocol(**PROTOCOL), tuning=Tuning(seed=9, trials={"a": {"lr": 1}}))
    },
    "label fractions": {"method": method(protocol=TrainingProtocol(**PROTOCOL), labels=(0.5, 1.0))},
    "channels of noise where there is none": {
        "method": method(protocol=TrainingProtocol(**PROTOCOL), latent_channels=3)
    },
    "how the benchmark was called": {"origin": Origin(given="a.yaml", sets=("seeds=[0]",), comment="Does it help?")},
    "whose the benchmark is": {"attribution": Attribution(authors=("Ada",), licence="MIT")},
    "whose the method is": {
        "method": method(protocol=TrainingProtocol(**PROTOCOL), attribution=Attribution(paper="10.1000/182"))
    },
    "keep": {"method": method(protocol=TrainingProtocol(**PROTOCOL, keep={"model": "none"}))},
    "timing": {"method": method(protocol=TrainingProtocol(**PROTOCOL, timing={"iterations": 3}))},
}


@pytest.mark.parametrize("name", UNCHANGED)
def test_what_changes_no_score_does_not_change_the_key(name):
    assert cell_key(cell(**UNCHANGED[name])) == cell_key(cell())


SAME_RECIPES = {
    "start": [{"start_from": name} for name in ("a", "b")],
    "base": [{"refines": Refines(method=name)} for name in ("a", "b")],
    "synthetic": [{"trains_on": TrainsOn(synthetic=name)} for name in ("a", "b")],
    "pseudo labels": [{"unlabelled": UnlabelledTerm(pseudo_labels_from=name)} for name in ("a", "b")],
    "time": [{"protocol": TrainingProtocol(budget={"like": name})} for name in ("a", "b")],
    "weights": [{"adversarial": Adversarial(use="toy/hinge", weight={"like": name})} for name in ("a", "b")],
    "folds of what is not trained": [{"losses": (), "refines": Refines(method="a", folds=folds)} for folds in (2, 5)],
}


@pytest.mark.parametrize("name", SAME_RECIPES)
def test_names_of_upstream_methods_and_folds_that_are_not_used_do_not_change_the_key(name):
    first, second = (cell_key(recipe(**changes)) for changes in SAME_RECIPES[name])
    assert first == second


values = st.booleans() | st.integers(0, 9) | st.floats(0, 1) | st.text("ab", max_size=2) | st.none()
options = st.dictionaries(st.text("abc", min_size=1, max_size=3), values, max_size=5)


def with_options(given):
    return cell(method=method(generator=ComponentUse(use="toy/net", options=given)), versions=dict.fromkeys(given, "1"))


@given(options, st.randoms())
def test_the_key_does_not_depend_on_the_order_of_mappings(given, random):
    shuffled = list(given.items())
    random.shuffle(shuffled)
    assert cell_key(with_options(dict(shuffled))) == cell_key(with_options(given))


@given(options, options)
def test_options_that_differ_have_different_keys(first, second):
    same = [(k, v, type(v)) for k, v in sorted(first.items())] == [(k, v, type(v)) for k, v in sorted(second.items())]
    assert (cell_key(with_options(first)) == cell_key(with_options(second))) == same


@pytest.mark.parametrize("made", [cell(), adversarial(clip=0.5), recipe(refines=Refines(method="a"), labels=(0.5,))])
def test_the_key_survives_storage(made):
    assert cell_key(Cell.model_validate_json(made.model_dump_json())) == cell_key(made)


def test_the_key_is_the_same_in_every_process():
    code = (
        "import sys; from segbench.plan.cell import Cell; from segbench.plan.key import cell_key\n"
        "print(cell_key(Cell.model_validate_json(sys.stdin.read())))"
    )
    keys = {
        subprocess.run(
            [sys.executable, "-c", code],
            input=cell().model_dump_json(),
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert keys == {cell_key(cell())}


def test_the_cache_key_changes_with_whatever_decides_how_data_is_decoded():
    dataset = DatasetUse(use="toy/shapes", options={"images": 2})
    arguments = {"dataset": dataset, "fingerprint": "f", "source": "s", "versions": {"numpy": "2"}}
    changes = [
        {"dataset": DatasetUse(use="toy/other", options={"images": 2})},
        {"dataset": DatasetUse(use="toy/shapes", options={"images": 3})},
        {"fingerprint": "g"},
        {"source": "t"},
        {"versions": {"numpy": "3"}},
    ]
    keys = [cache_key(**{**arguments, **change}) for change in [{}, *changes]]
    assert len(set(keys)) == len(keys)
    moved = DatasetUse(
        use="toy/shapes", options={"images": 2}, root="/elsewhere", redistributable=True, folds={"count": 5}
    )
    assert cache_key(**{**arguments, "dataset": moved}) == keys[0]


def test_a_file_named_by_an_option_counts_by_its_content_not_its_path():
    def with_weights(path: str, content: str):
        recipe = method(generator=ComponentUse(use="toy/net", options={"weights": path}))
        return cell_key(cell(method=recipe, files={path: content}))

    assert with_weights("/here/w.safetensors", "aa") == with_weights("/there/w.safetensors", "aa")
    assert with_weights("/here/w.safetensors", "aa") != with_weights("/here/w.safetensors", "bb")


LONG_AGO = 1_600_000_000


def write_old(path, content):
    """Write a file that was last changed long ago."""
    path.write_bytes(content)
    os.utime(path, (LONG_AGO, LONG_AGO))


def stores():
    return list((cache_folder() / "file_hashes").glob("*"))


def test_hashes_are_sha256_of_the_content(tmp_path):
    path = tmp_path / "a file"
    write_old(path, b"content")
    assert file_hashes([path]) == {path: hashlib.sha256(b"content").hexdigest()}


def test_no_files_have_no_hashes():
    assert file_hashes([]) == {}


@pytest.fixture
def settled(monkeypatch):
    """Files count as unchanged for long; a test cannot set when a file's entry was changed."""
    monkeypatch.setattr(key, "SETTLING_NANOSECONDS", -1_000_000_000)


def refuse_to_read(monkeypatch):
    def refuse(path):
        raise AssertionError(f"{path} is read again")

    monkeypatch.setattr(key, "sha256_of_file", refuse)


@pytest.mark.usefixtures("settled")
def test_an_unchanged_file_is_not_read_again(tmp_path, monkeypatch):
    path = tmp_path / "a"
    write_old(path, b"first")
    before = file_hashes([path])
    refuse_to_read(monkeypatch)
    assert file_hashes([path]) == before


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("replaced", [False, True])
def test_other_content_of_the_same_size_and_modification_time_is_found(tmp_path, replaced):
    path = tmp_path / "a"
    write_old(path, b"first")
    file_hashes([path])
    if replaced:
        path.unlink()
    write_old(path, b"other")
    assert file_hashes([path]) == {path: hashlib.sha256(b"other").hexdigest()}


@pytest.mark.usefixtures("settled")
def test_an_archive_unpacked_over_another_of_equal_sizes_and_times_gives_another_hash(tmp_path):
    hashes = []
    for content in (b"first", b"other"):
        entry = tarfile.TarInfo("a")
        entry.size, entry.mtime = len(content), LONG_AGO
        with tarfile.open(tmp_path / "release.tar", "w") as archive:
            archive.addfile(entry, io.BytesIO(content))
        with tarfile.open(tmp_path / "release.tar") as archive:
            archive.extractall(tmp_path, filter="data")
        hashes.append(file_hashes([tmp_path / "a"])[tmp_path / "a"])
    assert hashes == [hashlib.sha256(content).hexdigest() for content in (b"first", b"other")]


@pytest.mark.parametrize("seconds", [LONG_AGO + 1, LONG_AGO - 1])
def test_a_file_of_another_time_is_read_again(tmp_path, seconds):
    path = tmp_path / "a"
    write_old(path, b"first")
    file_hashes([path])
    path.write_bytes(b"other")
    os.utime(path, (seconds, seconds))
    assert file_hashes([path])[path] == hashlib.sha256(b"other").hexdigest()


def test_a_file_of_another_size_is_read_again(tmp_path):
    path = tmp_path / "a"
    write_old(path, b"first")
    file_hashes([path])
    write_old(path, b"longer than before")
    assert file_hashes([path])[path] == hashlib.sha256(b"longer than before").hexdigest()


def test_a_file_changed_just_now_is_not_remembered(tmp_path):
    path = tmp_path / "a"
    write_old(path, b"first")  # its times are old, but not that of its entry
    file_hashes([path])
    (store,) = stores()
    assert read_json(store) == {}


@pytest.mark.usefixtures("settled")
def test_further_files_of_a_folder_leave_the_others_remembered(tmp_path, monkeypatch):
    first, second = tmp_path / "a", tmp_path / "b"
    write_old(first, b"first")
    write_old(second, b"second")
    before = file_hashes([first])
    file_hashes([second])
    refuse_to_read(monkeypatch)
    assert file_hashes([first]) == before


def flipped(content):
    return content[:-30] + bytes([content[-30] ^ 1]) + content[-29:]


@pytest.mark.parametrize(
    "damage",
    [
        *(b"", b"{", b"[]", b"null", b'{"a": 3}', b'{"a": ["x", "y"]}', b"\xff\xfe\x00", b"[" * 10**6),
        *(b'{"a": [[1e999, 1, 1, 1], "ab"]}', b'{"a": ' + b"1" * 10**5 + b"}", flipped),
    ],
)
@pytest.mark.usefixtures("settled")
def test_a_corrupt_cache_is_ignored_and_written_anew(tmp_path, damage):
    path = tmp_path / "a"
    write_old(path, b"first")
    before = file_hashes([path])
    (store,) = stores()
    whole = store.read_bytes()
    store.write_bytes(damage(whole) if callable(damage) else damage)
    assert file_hashes([path]) == before
    assert store.read_bytes() == whole


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.usefixtures("settled")
def test_a_file_whose_name_is_not_utf8_is_remembered_too(tmp_path, monkeypatch):
    path = tmp_path / os.fsdecode(b"caf\xe9")
    write_old(path, b"first")
    before = file_hashes([path])
    refuse_to_read(monkeypatch)
    assert file_hashes([path]) == before


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "file" / "cache"))
    path = tmp_path / "a"
    write_old(path, b"first")
    assert file_hashes([path]) == {path: hashlib.sha256(b"first").hexdigest()}


def test_a_missing_file_is_an_os_error_with_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        file_hashes([tmp_path / "gone"])
    assert error.value.filename == str(tmp_path / "gone")


def test_two_processes_at_once_agree_and_leave_one_whole_cache(tmp_path):
    for number in range(50):
        write_old(tmp_path / f"{number}", bytes([number]) * 1000)
    program = (
        "import sys, pathlib\n"
        "from segbench.plan.key import file_hashes\n"
        "for _ in range(20):\n"
        "    hashes = file_hashes(sorted(pathlib.Path(sys.argv[1]).iterdir()))\n"
        "print(sorted(hashes.values()))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate()[0] for process in processes]
    expected = sorted(hashlib.sha256(bytes([number]) * 1000).hexdigest() for number in range(50))
    assert answers == [f"{expected}\n"] * 2
    assert [store.suffix for store in stores()] == [".json"]


CLASSES = ["sky", "road"]
PALETTE = [(0, 0, 0), (255, 255, 255)]


class FileSplit:
    """A split of files that nobody may decode."""

    def __init__(self, files):
        self.files = files
        self.ids = [paths[0].stem for paths in files]

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        raise AssertionError("decoded")


def dataset_of_files(root):
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
        for name in ("a", "b"):
            (root / folder / f"{name}.png").write_bytes(f"{folder} {name}".encode())
    return reopened(root)


def reopened(root):
    names = sorted(path.stem for path in (root / "images").iterdir())
    files = [(root / "images" / f"{name}.png", root / "masks" / f"{name}.png") for name in names]
    return Dataset(CLASSES, PALETTE, {"train": FileSplit(files[:1]), "test": FileSplit(files[1:])})


def dataset_in_memory(image=7, label=1, sample="a", dtype=np.uint8):
    arrays = np.full((2, 3, 3), image, dtype), np.full((2, 3), label, np.uint8)
    return Dataset(CLASSES, PALETTE, {"train": [Sample(*arrays, sample)]})


def test_renaming_the_folder_changes_nothing(tmp_path):
    before = fingerprint(dataset_of_files(tmp_path / "first"))
    (tmp_path / "first").rename(tmp_path / "second")
    assert fingerprint(reopened(tmp_path / "second")) == before


def test_touching_a_file_changes_nothing(tmp_path):
    dataset = dataset_of_files(tmp_path)
    before = fingerprint(dataset)
    os.utime(tmp_path / "images" / "a.png", (1, 1))
    assert fingerprint(dataset) == before


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_another_content_of_the_same_size_changes_it(tmp_path, folder):
    dataset = dataset_of_files(tmp_path)
    before = fingerprint(dataset)
    path = tmp_path / folder / "b.png"
    path.write_bytes(path.read_bytes()[::-1])
    assert fingerprint(dataset) != before


def test_another_id_changes_it(tmp_path):
    dataset = dataset_of_files(tmp_path)
    before = fingerprint(dataset)
    dataset.splits["train"].ids = ["c"]
    assert fingerprint(dataset) != before


def test_another_order_changes_it(tmp_path):
    files = [paths for split in dataset_of_files(tmp_path).splits.values() for paths in split.files]
    forward = Dataset(CLASSES, PALETTE, {"train": FileSplit(files)})
    backward = Dataset(CLASSES, PALETTE, {"train": FileSplit(files[::-1])})
    assert fingerprint(forward) != fingerprint(backward)


def test_an_image_that_moves_to_another_split_changes_it(tmp_path):
    dataset = dataset_of_files(tmp_path)
    moved = replace(dataset, splits={"train": dataset.splits["test"], "test": dataset.splits["train"]})
    assert fingerprint(moved) != fingerprint(dataset)


@pytest.mark.parametrize(
    "change",
    [
        {"classes": ["sky", "street"]},
        {"classes": ["road", "sky"]},
        {"palette": [(0, 0, 0), (255, 255, 254)]},
        {"ignore_index": 254},
        {"channels": 1},
    ],
)
def test_another_definition_changes_it(tmp_path, change):
    dataset = dataset_of_files(tmp_path)
    assert fingerprint(replace(dataset, **change)) != fingerprint(dataset)


@pytest.mark.parametrize("change", [{"licence": "MIT"}, {"citation": "Somebody"}])
def test_licence_and_citation_do_not_count(tmp_path, change):
    dataset = dataset_of_files(tmp_path)
    assert fingerprint(replace(dataset, **change)) == fingerprint(dataset)


def test_a_missing_file_is_a_data_error_with_its_name(tmp_path):
    dataset = dataset_of_files(tmp_path)
    (tmp_path / "masks" / "b.png").unlink()
    with pytest.raises(DataError, match=r"split 'test' needs .*masks/b\.png.*No such file"):
        fingerprint(dataset)


def test_samples_without_files_count_by_content():
    assert fingerprint(dataset_in_memory()) == fingerprint(dataset_in_memory())


@pytest.mark.parametrize("change", [{"image": 8}, {"label": 0}, {"sample": "b"}, {"dtype": np.uint16}])
def test_another_sample_without_files_changes_it(change):
    assert fingerprint(dataset_in_memory(**change)) != fingerprint(dataset_in_memory())


def test_an_array_in_another_memory_layout_changes_nothing():
    image = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    labels = np.zeros((2, 3), np.uint8)
    plain, strided = (
        Dataset(CLASSES, PALETTE, {"train": [Sample(array, labels, "a")]})
        for array in (image, np.asfortranarray(image))
    )
    assert fingerprint(plain) == fingerprint(strided)


def test_files_need_neither_numpy_nor_torch(tmp_path):
    (tmp_path / "a.png").write_bytes(b"image")
    program = """
import sys, pathlib
from segbench import Dataset
from segbench.plan.key import fingerprint

class Split(list):
    ids = ["a"]
    files = [(pathlib.Path(sys.argv[1]),)]

fingerprint(Dataset(["sky"], [(0, 0, 0)], {"train": Split("a")}))
print({"numpy", "torch"} & set(sys.modules))
"""
    command = [sys.executable, "-c", program, str(tmp_path / "a.png")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "set()\n"


def offer_of(build):
    return Offer("generator", "toy", "toy-plugin", "1.0", Component("x", build, "a toy"))


def test_the_hash_is_that_of_the_whole_top_level_package(toy):
    hashes = {source_hash(toy.offer("generator", "net")), source_hash(toy.offer("loss", "entropy"))}
    assert len(hashes) == 1
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in hashes)


@pytest.mark.parametrize(
    ("name", "text"),
    [("deep/inside.py", "def net(in_channels):\n    pass\n"), ("new.py", ""), ("deep/__init__.py", "# a comment\n")],
)
def test_the_hash_changes_with_every_source_file(toy, name, text):
    offer = toy.offer("generator", "net")
    before = source_hash(offer)
    toy.write(name, text)
    assert source_hash(offer) != before


def test_the_hash_changes_when_a_file_is_renamed(toy):
    offer = toy.offer("generator", "net")
    toy.write("one.py", "x = 1\n")
    before = source_hash(offer)
    (toy.folder / "one.py").rename(toy.folder / "two.py")
    assert source_hash(offer) != before


def test_text_that_moves_between_files_changes_the_hash(toy):
    offer = toy.offer("generator", "net")
    toy.write("one.py", "x = 1\ny = 2\n")
    toy.write("two.py", "")
    before = source_hash(offer)
    toy.write("one.py", "x = 1\n")
    toy.write("two.py", "y = 2\n")
    assert source_hash(offer) != before


def test_other_files_and_line_endings_do_not_count(toy):
    offer = toy.offer("generator", "net")
    toy.write("one.py", "x = 1\ny = 2\n")
    before = source_hash(offer)
    (toy.folder / "one.py").write_bytes(b"x = 1\r\ny = 2\r\n")
    toy.write("data.txt", "text")
    assert source_hash(offer) == before


def test_the_folder_a_package_lies_in_does_not_count(toy, tmp_path, monkeypatch):
    before = source_hash(toy.offer("generator", "net"))
    (tmp_path / "elsewhere").mkdir()
    toy.folder = toy.folder.rename(tmp_path / "elsewhere" / toy.folder.name)
    forget(toy.folder.name)
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    assert source_hash(toy.offer("generator", "net")) == before


@pytest.fixture
def importable(tmp_path, monkeypatch):
    """Write modules and import the last of them."""
    monkeypatch.syspath_prepend(tmp_path)
    written = []

    def write(name, text):
        path = tmp_path / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        written.append(name)
        return import_module(name)

    yield write
    for name in written:
        forget(name.partition(".")[0])


def test_a_single_module_is_its_one_file(importable, tmp_path):
    offer = offer_of(importable("toy_single_module", "def build(): pass\n").build)
    before = source_hash(offer)
    (tmp_path / "beside.py").write_text("x = 1\n")
    assert source_hash(offer) == before
    (tmp_path / "toy_single_module.py").write_text("def build(): return 1\n")
    assert source_hash(offer) != before


def test_in_a_namespace_package_the_first_regular_package_counts(importable, tmp_path):
    (tmp_path / "toy_space" / "mine").mkdir(parents=True)
    (tmp_path / "toy_space" / "mine" / "__init__.py").touch()
    offer = offer_of(importable("toy_space.mine.parts", "def build(): pass\n").build)
    before = source_hash(offer)
    (tmp_path / "toy_space" / "theirs.py").write_text("x = 1\n")
    assert source_hash(offer) == before
    (tmp_path / "toy_space" / "mine" / "more.py").write_text("x = 1\n")
    assert source_hash(offer) != before


def test_a_namespace_package_of_modules_is_one_module(importable):
    assert source_hash(offer_of(importable("toy_other_space.parts", "def build(): pass\n").build))


def test_wrapped_functions_classes_and_objects_lead_to_their_module(importable):
    module = importable(
        "toy_wrapped",
        "import functools\n"
        "def plain(*, width: int = 1): pass\n"
        "@functools.wraps(plain)\ndef wrapped(*args): pass\n"
        "class Build:\n    def __call__(self): pass\n"
        "instance = Build()\n",
    )
    builds = [module.plain, module.wrapped, functools.partial(module.plain, width=3), module.Build, module.instance]
    assert len({source_hash(offer_of(build)) for build in builds}) == 1


def file_offer(path, build):
    return Offer("generator", path.stem, path.name, "0" * 12, Component("x", build, "a toy"), path)


def test_a_plugin_file_counts_as_it_was_loaded_wherever_it_lies(tmp_path):
    def hash_of(folder, text):
        path = tmp_path / folder / "toy_file.py"
        path.parent.mkdir()
        path.write_text(text)
        offer = file_offer(path, load_file(path).build)
        before = source_hash(offer)
        path.write_text("# edited\n")  # this process goes on with what it has loaded
        assert source_hash(offer) == before
        return before

    source = "def build(): pass\n"
    one, other = hash_of("one", source), hash_of("other", source)
    assert one == other != hash_of("third", f"{source}# a comment\n")


def test_a_plugin_file_counts_along_with_the_package_that_it_takes_the_build_from(importable, tmp_path):
    path = tmp_path / "toy_borrowing.py"
    path.write_text("")
    offer = file_offer(path, importable("toy_lender", "def build(): pass\n").build)
    before = source_hash(offer)
    (tmp_path / "toy_lender.py").write_text("def build(): return 1\n")
    assert source_hash(offer) != before


def test_code_without_source_is_refused(monkeypatch):
    module = type(sys)("toy_without_source")
    exec("def build(): pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "toy_without_source", module)
    with pytest.raises(PluginError, match="toy/x is defined in toy_without_source, which has no source files"):
        source_hash(offer_of(module.build))


def test_versions_are_those_of_the_required_distributions(toy):
    offer = toy.offer("generator", "net", requires=("pydantic", "ruamel.yaml"))
    assert required_versions(offer) == {"pydantic": version("pydantic"), "ruamel.yaml": version("ruamel.yaml")}


def test_a_required_distribution_that_is_missing_is_an_error(toy):
    with pytest.raises(ComponentError, match=r"needs no-such-library.*pip install"):
        required_versions(toy.offer("generator", "net", requires=("no-such-library",)))
