from __future__ import annotations

import pytest

from segbench.config.folds import Folds

START = """\
name: test
datasets:
  shapes: {use: toy/shapes, folds: %s}
protocol:
  budget: {steps: 100}
  validations: %s
seeds: [0, 1]
"""
METHODS = "net: {generator: toy/net, losses: [toy/entropy]}\n"


def folds_of(workshop, folds, validations=0, methods=METHODS):
    return workshop.methods(methods, START % (folds, validations)).datasets["shapes"].folds


def refusal(workshop, folds, validations=0, methods=METHODS):
    return workshop.methods_refusal(methods, start=START % (folds, validations))


def test_folds_are_a_number_or_a_mapping(workshop):
    assert folds_of(workshop, "5") == Folds(count=5)
    assert folds_of(workshop, "{count: 5, pool: [train, val]}") == Folds(count=5, pool=("train", "val"))
    assert folds_of(workshop, "null") is None


def test_equal_pools_are_one_pool_however_they_are_written():
    assert Folds(count=5, pool=("test", "train")) == Folds(count=5, pool=("train", "test"))
    assert Folds(count=5, pool=("train", "val", "test")) == Folds(count=5)


@pytest.mark.parametrize(
    ("folds", "expected"),
    [
        ("3", True),
        ("{count: 3, pool: [train, val]}", True),
        ("{count: 3, pool: [train, test]}", False),
        ("{count: 3, val: true}", True),
    ],
)
def test_a_fold_is_val_where_the_benchmark_validates_on_images_of_the_pool(workshop, folds, expected):
    assert folds_of(workshop, folds, validations=2).val is expected


def test_a_fold_is_val_where_methods_are_tuned_whichever_of_them_are_chosen(workshop):
    tuned = "tune: {trials: 2, seed: 9}\n" + START % (5, 0)
    methods = METHODS + "other:\n  extends: net\n  tune: {protocol.optimizer.lr: [1e-3, 1e-4]}\n"
    for only in ((), ("net",)):
        made = workshop.methods(methods, tuned, only=only)
        assert made.datasets["shapes"].folds.val
    trials = [method for method in workshop.methods(methods, tuned).methods.values() if method.trial_of]
    assert {method.protocol.evaluate for method in trials} == {"val"}


@pytest.mark.parametrize(
    ("folds", "validations", "methods", "message"),
    [
        ("1", 0, METHODS, "bench.yaml:3: datasets.shapes.folds.count: must be greater than or equal to 2"),
        ("many", 0, METHODS, "bench.yaml:3: datasets.shapes.folds.count: must be a valid integer"),
        ("{count: 5, pool: [train, dev]}", 0, METHODS, "bench.yaml:3: datasets.shapes.folds.pool.1: "),
        (
            "{count: 5, pool: [val, val]}",
            0,
            METHODS,
            "bench.yaml:3: datasets.shapes.folds.pool: must name one split or",
        ),
        (
            "{count: 2, val: true}",
            0,
            METHODS,
            "bench.yaml:3: datasets.shapes.folds: with one of 2 folds tested and the",
        ),
        ("{count: 5, pool: [train], val: true}", 0, METHODS, "bench.yaml:3: datasets.shapes.folds: val: true takes a "),
        ("2", 1, METHODS, "bench.yaml:3: datasets.shapes.folds: a fold takes the place of val, for validations or "),
        (
            *("5", 0, "net: {generator: toy/net, losses: [toy/entropy], protocol: {evaluate: val}}"),
            "bench.yaml:3: datasets.shapes.folds: net is scored on val; under cross-validation test is the fold that",
        ),
        (
            *("5", 0, "net: {generator: toy/net, losses: [toy/entropy], protocol: {validations: 2}}"),
            "bench.yaml:3: datasets.shapes.folds: net alone looks at val, whose images are in the pool; set",
        ),
    ],
)
def test_what_cannot_be_cross_validated_is_refused_with_its_place(workshop, folds, validations, methods, message):
    assert refusal(workshop, folds, validations, methods).startswith(message)
