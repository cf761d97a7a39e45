from __future__ import annotations

import pytest

from segbench.report.build import build_report
from segbench.report.ranking.groups import rank_records
from segbench.report.records import Sources


def groups(*records):
    return rank_records(Sources(records, (), ()))


def methods(*records):
    return [[row.method for row in group.rows] for group in groups(*records)]


def test_rows_are_sorted_by_mean_miou_over_seeds(trained):
    unet = [trained("unet", seed, miou) for seed, miou in enumerate([0.50, 0.70])]
    (group,) = groups(*unet, trained("fpn", 0, 0.65), trained("fcn", 0, 0.1))
    assert [row.method for row in group.rows] == ["fpn", "unet", "fcn"]
    assert group.rows[1].score("miou") == (0.6, pytest.approx(0.02**0.5), 2)


def test_the_order_of_the_records_does_not_matter(trained, scored, failed):
    records = [trained("unet", 0), trained("unet", 1), trained("fpn", 0), scored(), failed("x")]
    assert methods(*records) == methods(*reversed(records)) == [["mmseg-pspnet", "fpn", "unet"]]


def test_a_row_without_miou_comes_last(trained):
    nothing = trained("empty", fields={"scores": None})
    assert methods(nothing, trained("fcn", miou=0.0)) == [["fcn", "empty"]]


@pytest.mark.parametrize(
    "difference",
    [
        {"environment": {"device": "cuda", "device_name": "NVIDIA A100", "threads": 8}},
        {"environment": {"device": "cpu", "device_name": "NVIDIA H200", "threads": 8}},
        {"environment": {"device": "cuda", "device_name": "NVIDIA H200", "threads": 4}},
        {"protocol": {"precision": "bf16"}, "overrides": ("precision",)},
        {"protocol": {"tf32": True}, "overrides": ("tf32",)},
        {"protocol": {"compile": True}, "overrides": ("compile",)},
        {"protocol": {"batch_size": 4}, "overrides": ("batch_size",)},
        {"protocol": {"window": {"size": (64, 64), "stride": (32, 32)}}, "overrides": ("window",)},
        {"dataset": "other"},
        {"fingerprint": "0000"},
        {"subset": "labels 0.25", "recipe": {"labels": (0.25,)}},
        {"split": "val"},
        {"benchmark": "other"},
        {"protocol": {"budget": {"epochs": 3}}},
    ],
    ids=str,
)
def test_rows_that_differ_in_conditions_data_or_protocol_never_share_a_ranking(trained, difference):
    assert sorted(methods(trained("unet"), trained("fpn", **difference))) == [["fpn"], ["unet"]]


def test_rows_timed_at_another_size_never_share_a_ranking(trained, timing):
    small = trained("fpn", inference=[timing(1, 2.0, size=(128, 128))])
    assert sorted(methods(trained("unet"), small)) == [["fpn"], ["unet"]]


def test_rows_with_a_reduced_timing_budget_are_not_ranked_beside_full_ones(trained, timing):
    quick = trained("fpn", inference=[timing(1, 2.0, "reduced")])
    found = groups(trained("unet"), quick)
    assert sorted([row.method for row in group.rows] for group in found) == [["fpn"], ["unet"]]
    assert sorted(group.conditions.timing_budget for group in found) == ["full", "reduced"]


def test_a_method_that_was_not_timed_stands_with_the_others_if_one_group_is_meant(trained):
    assert methods(trained("unet"), trained("fpn", inference=[])) == [["fpn", "unet"]]


def test_a_method_that_was_not_timed_stands_alone_if_several_groups_could_be_meant(trained, timing):
    reduced = trained("fcn", inference=[timing(1, 2.0, "reduced")])
    assert len(groups(trained("unet"), reduced, trained("fpn", inference=[]))) == 3


def test_seeds_on_different_devices_are_never_averaged(trained):
    cpu = {"device": "cpu", "device_name": "Xeon", "threads": 2}
    found = groups(trained("unet", 0), trained("unet", 1, environment=cpu))
    assert sorted(group.rows[0].seeds for group in found) == [(0,), (1,)]


def test_an_edited_benchmark_file_gives_groups_that_say_how_they_differ(trained):
    found = groups(trained("unet", 0), trained("unet", 0, protocol={"budget": {"epochs": 3}}))
    assert sorted(group.protocol for group in found) == ["budget.epochs=200", "budget.epochs=3"]


def test_one_protocol_needs_no_words(trained):
    assert [group.protocol for group in groups(trained("unet"), trained("fpn"))] == [""]


def test_an_overriding_method_stands_with_those_that_follow_the_protocol_and_says_so(trained):
    own = trained("fpn", protocol={"optimizer": {"lr": 0.1}}, overrides=("optimizer.lr",))
    (group,) = groups(trained("unet"), own)
    notes = {row.method: row.notes for row in group.rows}
    assert notes == {"unet": (), "fpn": ("overrides the benchmark's protocol: optimizer.lr",)}


def test_an_overriding_method_whose_cell_is_the_same_under_two_protocols_stands_in_both(trained):
    own = trained("fpn", protocol={"budget": {"epochs": 9}}, overrides=("budget.epochs",))
    short = trained("unet", protocol={"budget": {"epochs": 3}})
    assert methods(trained("unet"), short, own) == [["fpn", "unet"], ["fpn", "unet"]]


def test_scored_label_maps_stand_in_every_group_of_the_same_data(trained, scored):
    cpu = trained("unet", miou=0.7, environment={"device": "cpu", "device_name": "Xeon", "threads": 2})
    assert methods(trained("unet", miou=0.6), cpu, scored(miou=0.65)) == [
        ["unet", "mmseg-pspnet"],
        ["mmseg-pspnet", "unet"],
    ]


def test_scored_label_maps_of_other_data_stand_apart(trained, scored):
    assert sorted(methods(trained("unet"), scored(fingerprint="0000"))) == [["mmseg-pspnet"], ["unet"]]


def test_scored_label_maps_alone_make_a_group_without_conditions(scored):
    (group,) = groups(scored("a", 0.1), scored("b", 0.2))
    assert group.conditions is None
    assert [row.method for row in group.rows] == ["b", "a"]


def test_cells_without_a_result_are_in_no_ranking(failed, trained):
    report = build_report(Sources((trained("unet"), failed("fpn"), failed("fcn", status="skipped")), (), ()))
    assert [[row.method for row in group.rows] for group in report.groups] == [["unet"]]
    assert [record.method for record in report.without_result] == ["fpn", "fcn"]


def test_a_record_with_an_empty_spec_is_still_reported(trained):
    (group,) = groups(trained("unet", fields={"spec": {}, "environment": {}}))
    assert "unknown device" in group.conditions.heading


def test_the_share_of_the_labels_stands_above_a_ranking(trained):
    (group,) = groups(trained(subset="labels 0.125", recipe={"labels": (0.125,)}))
    assert "trained on 12.5 % of the labels" in group.data.heading


@pytest.mark.parametrize("budget", [("budget",), ("budget.like",), ("budget.epochs", "budget.like")], ids=str)
def test_a_method_that_trains_as_long_as_another_stands_in_its_ranking(trained, adversarial, budget):
    like = {"protocol": {"budget": {"like": "unet+critic"}}, "overrides": budget}
    assert sorted(
        methods(adversarial(miou=0.5), trained("unet", miou=0.4), trained("unet@time", miou=0.3, **like))
    ) == [["unet+critic", "unet", "unet@time"]]


def test_scores_of_different_definitions_never_share_a_ranking(trained):
    found = groups(trained("unet"), trained("fpn", fields={"definitions": {"miou": "miou/union@2"}}))
    assert sorted(group.protocol for group in found) == ["scores.miou=miou/union@1", "scores.miou=miou/union@2"]


def test_records_that_name_no_definitions_stand_with_the_first_version(trained):
    named = trained("fpn", miou=0.7, fields={"definitions": {"miou": "miou/union@1"}})
    assert methods(trained("unet", miou=0.6), named) == [["fpn", "unet"]]


def test_scored_label_maps_stand_only_where_scores_mean_the_same(trained, scored):
    other = scored("mmseg").model_copy(update={"definitions": {"miou": "miou/union@2"}})
    assert sorted(methods(trained("unet"), other)) == [["mmseg"], ["unet"]]


def test_trials_of_tuning_are_in_no_ranking(trained):
    trial = trained("unet~1", recipe={"trial_of": "unet"})
    report = build_report(Sources((trained("unet"), trial), (), ()))
    assert report.auxiliary == (trial,)
