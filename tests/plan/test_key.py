from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.plan import key
from segbench.plan.cell import Cell
from segbench.plan.key import cache_key, cell_key
from segbench.spec.protocol import Protocol
from segbench.spec.recipe import ComponentUse, DatasetUse, WeightedLoss

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
    "subset": {"subset": "fraction 0.5"},
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
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_key_changes_with_every_ingredient(name):
    assert cell_key(cell(**CHANGES[name])) != cell_key(cell())


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
    "validations": 1,
    "select": "best",
    "absent_classes": "allow",
}


@pytest.mark.parametrize("name", sorted(set(Protocol.model_fields) - key.UNSCORED))
def test_the_key_changes_with_every_protocol_key(name):
    changes = {"validations": 1} if name == "select" else {}
    changed = with_protocol(**{**changes, name: PROTOCOL_CHANGES[name]})
    assert cell_key(changed) != cell_key(with_protocol(**changes))


def test_the_key_changes_with_the_engine(monkeypatch):
    before = cell_key(cell())
    monkeypatch.setattr(key, "ENGINE_VERSION", key.ENGINE_VERSION + 1)
    assert cell_key(cell()) != before


UNCHANGED = {
    "benchmark": {"benchmark": "other"},
    "root": {"dataset": DatasetUse(use="toy/shapes", options={"images": 2}, root="/somewhere")},
    "cache key": {"cache_key": "d" * 16},
    "twin": {"method": method(protocol=Protocol(**PROTOCOL), twin="base", overrides=("batch_size",))},
    "keep": {"method": method(protocol=Protocol(**PROTOCOL, keep={"model": "none"}))},
    "timing": {"method": method(protocol=Protocol(**PROTOCOL, timing={"iterations": 3}))},
}


@pytest.mark.parametrize("name", UNCHANGED)
def test_what_changes_no_score_does_not_change_the_key(name):
    assert cell_key(cell(**UNCHANGED[name])) == cell_key(cell())


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


def test_the_key_survives_storage():
    stored = Cell.model_validate_json(cell().model_dump_json())
    assert cell_key(stored) == cell_key(cell())


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
