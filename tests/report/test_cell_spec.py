from __future__ import annotations

from datetime import UTC, datetime

import pytest

from segbench.report import cell_spec
from segbench.store.record import PluginFile


@pytest.mark.parametrize(
    ("subset", "labels", "is_auxiliary"),
    [
        ("all", (1.0,), False),
        ("labels 0.125", (0.125, 1.0), False),
        ("labels 0.125", (1.0,), True),
        ("all", (0.125,), True),
        ("fold 1/5", (1.0,), True),
        ("labels 0.125, fold 1/5", (0.125,), True),
        ("test fold 2/5", (1.0,), False),
        ("test fold 2/5, labels 0.125", (1.0,), True),
        ("test fold 2/5, fold 1/5", (1.0,), True),
        ("an unknown subset", (1.0,), False),
    ],
)
def test_a_cell_that_only_serves_others_is_auxiliary(trained, subset, labels, is_auxiliary):
    record = trained("base", subset=subset, recipe={"labels": labels})
    assert cell_spec.is_auxiliary(record) == is_auxiliary


def test_a_trial_of_tuning_and_what_it_needs_are_auxiliary(trained):
    assert cell_spec.is_auxiliary(trained("unet~1", recipe={"trial_of": "unet"}))
    needed = trained("unet")
    assert not cell_spec.is_auxiliary(needed)
    needed.spec["for_tuning"] = True
    assert cell_spec.is_auxiliary(needed)


def test_what_is_missing_reads_as_none_or_as_empty(trained):
    bare = trained(fields={"spec": {}, "environment": {}, "evaluated": None})
    assert (cell_spec.fingerprint(bare), cell_spec.split(bare), cell_spec.twin(bare)) == (None, None, None)
    assert (cell_spec.overrides(bare), cell_spec.against(bare), cell_spec.protocol(bare)) == ((), (), {})
    assert cell_spec.start_time(bare) == 0


def test_a_cell_is_run_again_as_it_was_called(trained, tmp_path):
    origin = {"given": "my file.yaml", "sets": ["protocol.batch_size=2"], "comment": "Does it help?"}
    record = trained(
        "unet~frozen", 3, fields={"plugin_files": [PluginFile(plugin="p", sha256="0", copy_path="c/p.py")]}
    )
    record.spec["origin"] = origin
    record.spec["method"]["protocol"]["threads"] = 2
    assert cell_spec.repeat_command(record, tmp_path) == [
        *("segbench", "--plugin", f"{tmp_path}/c/p.py", "run", "my file.yaml", "--set", "protocol.batch_size=2"),
        *("--set", "protocol.threads=2", "--only", "unet~frozen", "--seeds", "3", "--results", "again"),
    ]
    assert cell_spec.comment(record) == "Does it help?"


def test_an_old_record_is_run_again_by_the_name_of_its_benchmark(trained):
    words = ["segbench", "run", "camvid", "--only", "unet", "--seeds", "0", "--results", "again"]
    assert cell_spec.repeat_command(trained()) == words
    assert cell_spec.comment(trained()) == ""


def test_of_a_cross_validated_dataset_only_the_fold_of_the_cell_is_run_again(trained):
    assert cell_spec.repeat_command(trained(subset="test fold 2/5"))[-4:] == ["--folds", "2", "--results", "again"]


def test_the_fingerprint_is_that_of_the_cell_or_of_scored_label_maps(trained, scored):
    assert cell_spec.fingerprint(trained(fingerprint="abcd")) == "abcd"
    assert cell_spec.fingerprint(scored(fingerprint="abcd")) == "abcd"
    assert cell_spec.is_scored_only(scored())
    assert not cell_spec.is_scored_only(trained())


def test_the_shared_protocol_is_without_what_the_method_overrides(trained):
    whole = cell_spec.shared_protocol(trained())
    assert (whole["budget.epochs"], whole["batch_size"]) == (200, 8)
    assert not any(key.startswith(("timing", "threads")) for key in whole)
    own = trained(
        protocol={"budget": {"epochs": 9}, "optimizer": {"lr": 0.1}}, overrides=("budget.epochs", "optimizer.lr")
    )
    kept = cell_spec.shared_protocol(own)
    assert {key for key in whole if key not in kept} == {
        *(key for key in whole if key.startswith("budget.")),
        "optimizer.lr",
    }


def test_an_old_record_has_the_first_version_of_each_definition(trained):
    assert cell_spec.definitions(trained())["miou"] == "miou/union@1"
    named = trained(fields={"definitions": {"miou": "miou/union@2"}})
    assert cell_spec.definitions(named) == {"miou": "miou/union@2"}


def test_the_start_is_read_in_its_time_zone(trained):
    record = trained(environment={"started": "2026-11-21T10:00:00+02:00"})
    assert cell_spec.start_time(record) == datetime(2026, 11, 21, 8, tzinfo=UTC).timestamp()


def test_only_keys_that_differ_are_named():
    values = [{"lr": 0.1, "crop": [64, 64]}, {"lr": 0.01, "crop": [64, 64]}, {"crop": [64, 64]}]
    assert cell_spec.differences(values) == ["lr=0.1", "lr=0.01", ""]


def test_the_components_of_a_recipe_are_named_by_its_keys(trained, adversarial):
    assert cell_spec.uses(trained()) == {"generator": "smp/unet"}
    term = {"unlabelled": {"loss": {"use": "gan/semi_adversarial"}}}
    assert cell_spec.uses(adversarial(recipe=term)) == {
        "generator": "smp/unet",
        "discriminator": "gan/patchgan",
        "adversarial": "gan/hinge",
        "unlabelled": "gan/semi_adversarial",
    }


def test_a_network_sees_images_at_the_size_that_the_protocol_gives_them(trained, scored):
    assert cell_spec.network_size(trained()) == (360, 480)
    assert cell_spec.network_size(trained(protocol={"resize": {"short_side": 90}})) == (90, 120)
    assert cell_spec.network_size(scored()) is None


def test_what_records_share_is_read_once_and_what_each_has_of_its_own_is_read_of_each(trained):
    one, other = trained(seed=0), trained(seed=1)
    seeds = []

    def read(record):
        seeds.append(record.seed)
        return record.spec["method"]["name"], record.spec["sources"]

    read_once = cell_spec.read_once(read, "method", "sources")
    for record in (one, other):
        record.spec["sources"] = {"smp": "1"}
    assert read_once(one) == read_once(other) == ("unet", {"smp": "1"})
    assert seeds == [0, 1]  # they are equal, and not the same objects
    other.spec["method"] = one.spec["method"]
    other.spec["sources"] = one.spec["sources"]
    assert read_once(other) == read_once(one)
    assert seeds == [0, 1]
    other.spec["sources"] = {"smp": "2"}
    assert read_once(other) == ("unet", {"smp": "2"})
    assert seeds == [0, 1, 1]


def test_what_is_read_of_a_record_that_is_gone_is_never_taken_for_that_of_another(trained):
    read_once = cell_spec.read_once(lambda record: record.spec["method"]["name"], "method")
    names = [f"unet{i}" for i in range(50)]
    assert [read_once(trained(name)) for name in names] == names  # each record is dropped at once
