from __future__ import annotations

import pytest

from segbench.config.benchmark import load_benchmark
from segbench.registry import load_registry
from segbench.survey.benchmark import has_folds, to_yaml, write_benchmark
from segbench.survey.survey import Survey


def survey(splits, *, is_split=False, size=(64, 96)):
    return Survey("data/folder", {"images": "."}, "anywhere", is_split, splits, (size,) * sum(splits.values()))


@pytest.fixture
def load(tmp_path):
    def read(found, absent=()):
        file = tmp_path / "file.yaml"
        file.write_text(write_benchmark("mine", "mine", found, found.options, absent))
        return load_benchmark(str(file), load_registry())

    return read


def test_few_images_are_cross_validated(load):
    read = load(survey({"train": 20, "val": 2, "test": 8}))
    assert read.datasets["mine"].folds.count == 5
    assert read.seeds == (0, 1, 2)
    protocol = read.methods["unet"].protocol
    assert (protocol.budget.steps, protocol.schedule.warmup_steps, protocol.crop) == (2000, 200, (64, 96))
    assert set(read.methods) == {"unet", "unet+critic", "unet+critic~frozen"}


def test_many_images_and_splits_of_the_folder_keep_a_test_split(load):
    read = load(survey({"train": 400, "val": 20, "test": 80}))
    assert (read.datasets["mine"].folds, read.seeds) == (None, (0, 1, 2, 3, 4))
    assert not has_folds(survey({"train": 20, "test": 8}, is_split=True))


def test_what_has_no_split_test_is_scored_on_val_or_cross_validated(load):
    assert load(survey({"train": 400, "val": 80}, is_split=True)).methods["unet"].protocol.evaluate == "val"
    few = load(survey({"train": 40, "val": 8}, is_split=True))
    assert (few.datasets["mine"].folds.count, few.methods["unet"].protocol.evaluate) == (5, "test")


def test_classes_that_a_training_may_not_see_are_allowed(load):
    assert load(survey({"train": 9, "test": 9}), ["kerb"]).methods["unet"].protocol.absent_classes == "allow"


@pytest.mark.parametrize(
    "text", ["yes", "no", "null", "1e3", "a b", "{x}", "- a", "a: b", "#", "", "ü", "'", '"', "~", "."]
)
def test_texts_are_read_as_they_were_written(tmp_path, text):
    from segbench.config.yaml import Place, read_text

    assert read_text(to_yaml({text: [text]}), Place("", tmp_path)).plain() == {text: [text]}
