from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.contracts import MAPS, SEGMENTING_MAPS
from segbench.plan import key
from segbench.plan.cell import Cell
from segbench.plan.key import cache_key, cell_key
from segbench.spec.protocol import Protocol
from segbench.spec.recipe import (
    Adversarial,
    ComponentUse,
    DatasetUse,
    Penalty,
    Refines,
    TrainsOn,
    Tuning,
    UnlabelledTerm,
    WeightedLoss,
)

from .conftest import cell, method

PROTOCOL = {"budget": {"steps": 10}, "threads": 2}


def with_protocol(**changes):
    return cell(method=method(protocol=Protocol(**{**PROTOCOL, **changes})))


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
    "fingerprint": {"fingerprint": "0" * 32},
    "subset": {"subset": "labels 0.5"},
    "seed": {"seed": 1},
    "method name": {"method": method("other", protocol=Protocol(**PROTOCOL))},
    "generator": {"method": method(protocol=Protocol(**PROTOCOL), generator=ComponentUse(use="toy/other"))},
    "generator option": {
        "method": method(protocol=Protocol(**PROTOCOL), generator=ComponentUse(use="toy/net", options={"width": 17}))
    },
    "loss option": {
        "method": method(
            protocol=Protocol(**PROTOCOL), losses=(WeightedLoss(use="toy/entropy", options={"smooth": 0.1}),)
        )
    },
    "loss weight": {
        "method": method(
            protocol=Protocol(**PROTOCOL), losses=(WeightedLoss(use="toy/entropy", options={"smooth": 0.0}, weight=2),)
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
            protocol=Protocol(**PROTOCOL),
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
        return cell_key(made.model_copy(update={"method": made.method.model_copy(update={"noise_channels": channels})}))

    assert key_with(100) != key_with(64)


def recipe(**changes):
    return cell(method=method(**{"protocol": Protocol(**PROTOCOL), **changes}))


DIFFERING_RECIPES = {
    "maps": [{}, {"maps": "image -> image"}],
    "discriminator": [
        {},
        {"discriminator": ComponentUse(use="toy/critic")},
        {"discriminator": ComponentUse(use="toy/critic", options={"width": 9})},
    ],
    "budget": [{"protocol": Protocol(budget=budget)} for budget in ({"steps": 9}, {"seconds": 9}, {"like": "a"})],
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
    "crop": (8, 8),
    "augment": {"flip": True},
    "optimizer": "sgd",
    "schedule": "cosine",
    "clip_gradient": 1.0,
    "ema": 0.9,
    "precision": "bf16",
    "channels_last": True,
    "compile": True,
    "tf32": True,
    "threads": 3,
    "evaluate": "val",
    "window": {"size": (8, 8), "stride": (4, 4)},
    "boundaries": {"iou_width": 0.02},
    "surface_distances": {"tolerance": 1.0},
    "validations": 1,
    "select": "best",
    "absent_classes": "allow",
}


@pytest.mark.parametrize("name", sorted(set(Protocol.model_fields) - key.UNSCORED - {"features"}))
def test_the_key_changes_with_every_protocol_key(name):
    changes = {"validations": 1} if name == "select" else {}
    changed = with_protocol(**{**changes, name: PROTOCOL_CHANGES[name]})
    assert cell_key(changed) != cell_key(with_protocol(**changes))


RESNET = {"use": "resnet18", "weights": "/here/w.safetensors"}


@pytest.mark.parametrize("maps", MAPS)
def test_the_key_changes_with_the_features_of_images_where_images_are_made(maps):
    keys = {
        cell_key(cell(method=method(maps=maps, protocol=Protocol(**PROTOCOL, **features))))
        for features in ({}, {"features": RESNET})
    }
    assert len(keys) == (1 if maps in SEGMENTING_MAPS else 2)


def test_the_key_changes_with_the_engine(monkeypatch):
    before = cell_key(cell())
    monkeypatch.setattr(key, "ENGINE_VERSION", key.ENGINE_VERSION + 1)
    assert cell_key(cell()) != before


UNCHANGED = {
    "benchmark": {"benchmark": "other"},
    "root": {"dataset": DatasetUse(use="toy/shapes", options={"images": 2}, root="/somewhere")},
    "cache key": {"cache_key": "d" * 16},
    "twin": {"method": method(protocol=Protocol(**PROTOCOL), twin="base", overrides=("batch_size",))},
    "placebo of": {"method": method(protocol=Protocol(**PROTOCOL), placebo_of="base")},
    "against": {"method": method(protocol=Protocol(**PROTOCOL), against=("base", "other"))},
    "trial of": {"method": method(protocol=Protocol(**PROTOCOL), trial_of="base")},
    "settings": {"method": method(protocol=Protocol(**PROTOCOL), tuning=Tuning(seed=9, trials={"a": {"lr": 1}}))},
    "label fractions": {"method": method(protocol=Protocol(**PROTOCOL), labels=(0.5, 1.0))},
    "channels of noise where there is none": {"method": method(protocol=Protocol(**PROTOCOL), noise_channels=3)},
    "keep": {"method": method(protocol=Protocol(**PROTOCOL, keep={"model": "none"}))},
    "timing": {"method": method(protocol=Protocol(**PROTOCOL, timing={"iterations": 3}))},
}


@pytest.mark.parametrize("name", UNCHANGED)
def test_what_changes_no_score_does_not_change_the_key(name):
    assert cell_key(cell(**UNCHANGED[name])) == cell_key(cell())


SAME_RECIPES = {
    "start": [{"start_from": name} for name in ("a", "b")],
    "base": [{"refines": Refines(method=name)} for name in ("a", "b")],
    "synthetic": [{"trains_on": TrainsOn(synthetic=name)} for name in ("a", "b")],
    "pseudo labels": [{"unlabelled": UnlabelledTerm(pseudo_labels_from=name)} for name in ("a", "b")],
    "time": [{"protocol": Protocol(budget={"like": name})} for name in ("a", "b")],
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
    moved = DatasetUse(use="toy/shapes", options={"images": 2}, root="/elsewhere")
    assert cache_key(**{**arguments, "dataset": moved}) == keys[0]


def test_a_file_named_by_an_option_counts_by_its_content_not_its_path():
    def with_weights(path: str, content: str):
        recipe = method(generator=ComponentUse(use="toy/net", options={"weights": path}))
        return cell_key(cell(method=recipe, files={path: content}))

    assert with_weights("/here/w.safetensors", "aa") == with_weights("/there/w.safetensors", "aa")
    assert with_weights("/here/w.safetensors", "aa") != with_weights("/here/w.safetensors", "bb")
