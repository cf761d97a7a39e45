import pytest

from segbench.report import load
from segbench.report.build import build_report
from segbench.report.ranking.groups import name_rankings, rank_records
from segbench.report.records import Sources
from segbench.store.record import Train

H200 = {"device": "cuda", "device_name": "NVIDIA H200", "threads": 8, "torch": "2.15.0"}
CPU = {"device": "cpu", "device_name": "Xeon", "threads": 2, "torch": "2.15.0"}


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
        {"protocol": {"precision": "bf16"}, "overrides": ("precision",)},
        {"protocol": {"tf32": True}, "overrides": ("tf32",)},
        {"protocol": {"batch_size": 4}},
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
def test_rows_that_differ_in_scoring_data_or_protocol_never_share_a_ranking(trained, difference):
    assert sorted(methods(trained("unet"), trained("fpn", **difference))) == [["fpn"], ["unet"]]


def test_a_row_with_a_batch_size_of_its_own_ranks_with_the_others_and_has_their_place(trained):
    (group,) = groups(trained("unet"), trained("fpn", protocol={"batch_size": 4}, overrides=("batch_size",)))
    assert [row.method for row in group.rows] == ["fpn", "unet"]
    assert group.conditions.batch_size == 8
    assert len(group.machines) == 1
    assert {row.scored_under for row in group.rows} == {group.places}


def test_where_every_row_has_a_batch_size_of_its_own_it_is_the_batch_size(trained):
    (group,) = groups(trained("fpn", protocol={"batch_size": 4}, overrides=("batch_size",)))
    assert group.conditions.batch_size == 4


@pytest.mark.parametrize(
    "difference",
    [
        {"environment": {**H200, "device_name": "NVIDIA A100"}},
        {"environment": {**H200, "device": "cpu"}},
        {"environment": {**H200, "threads": 4}},
        {"environment": {**H200, "torch": "2.16.0"}},
        {"protocol": {"processes": 2}},
        {"protocol": {"compile": True}},
        {"protocol": {"compile": True}, "overrides": ("compile",)},
    ],
    ids=str,
)
def test_rows_that_differ_in_rounding_only_rank_together_and_say_where_they_ran(trained, difference):
    (group,) = groups(*(trained("unet", seed, 0.6) for seed in range(2)), trained("fpn", 0, 0.7, **difference))
    assert [(row.method, row.scored_under) for row in group.rows] == [
        ("fpn", group.places[1:]),
        ("unet", group.places[:1]),
    ]
    assert group.conditions == group.places[0]
    assert len(group.machines) == 2


def test_seeds_of_one_method_from_two_machines_are_one_row(trained):
    (group,) = groups(trained("unet", 0), trained("unet", 1), trained("unet", 2, environment=CPU))
    (row,) = group.rows
    assert row.seeds == (0, 1, 2)
    assert [where.device for where in row.scored_under] == ["cuda", "cpu"]


def test_versions_of_torch_are_no_recipes_and_those_of_other_packages_are(trained):
    def made_with(seed, **versions):
        record = trained("unet", seed)
        return record.model_copy(update={"spec": {**record.spec, "versions": versions}})

    (group,) = groups(made_with(0, torch="2.14"), made_with(1, torch="2.15"), made_with(2, torch="2.15", smp="0.5"))
    assert sorted(row.seeds for row in group.rows) == [(0, 1), (2,)]


def test_speeds_seconds_and_costs_of_a_row_are_never_those_of_two_machines(trained, timing):
    here = [trained("unet", seed, inference=[timing(8, 16.0)]) for seed in range(2)]
    slow = {"train": Train(steps=9000, seconds=9999.0, images_per_second=1.0), "cost": None}
    there = trained("unet", 2, environment=CPU, inference=[timing(8, 400.0), timing(1, 50.0)], fields=slow)
    (group,) = groups(*here, there)
    (row,) = group.rows
    assert (list(row.inference), row.train("seconds")[::2], row.score("miou").n) == ([8], (812.4, 2), 3)
    (elsewhere,) = group.under(group.places[1])
    assert (list(elsewhere.inference), elsewhere.train("seconds").mean) == ([1, 8], 9999.0)


def test_rows_that_ran_apart_have_no_ratio_of_seconds_and_those_that_share_a_machine_do(trained, adversarial):
    twin = [trained("unet", seed) for seed in range(2)]
    (apart,) = groups(*twin, *(adversarial(seed=seed, environment=CPU) for seed in range(2)))
    assert [one.time_ratio for one in apart.comparisons] == [None]
    slow = {"train": Train(steps=9000, seconds=609.3, images_per_second=50.0)}
    (shared,) = groups(*twin, trained("unet", 0, environment=CPU, fields=slow), adversarial(environment=CPU))
    assert [one.time_ratio for one in shared.comparisons] == [2.0]


def test_a_cell_that_ran_on_two_machines_counts_from_where_most_cells_ran(trained):
    usual = [trained("unet", 0, 0.6), trained("fpn", 0, 0.5), trained("fcn", 0, 0.4)]
    later = {**CPU, "started": "2026-11-30T08:00:00+00:00"}
    (group,) = groups(*usual, trained("unet", 0, 0.9, environment=later))
    assert [row.score("miou") for row in group.rows] == [(0.6, None, 1), (0.5, None, 1), (0.4, None, 1)]
    unet = group.rows[0]
    assert unet.notes == ("seed 0 ran under several conditions; the scores are from where most cells ran",)
    assert [row.name for row in group.under(group.places[1])] == ["unet"]


def test_rows_timed_at_another_size_or_with_another_budget_rank_together_and_their_speeds_stand_apart(trained, timing):
    small = trained("fpn", inference=[timing(1, 2.0, size=(128, 128))])
    quick = trained("fcn", inference=[timing(1, 2.0, "reduced")])
    (group,) = groups(trained("unet"), small, quick)
    assert len(group.places) == 3
    assert len(group.machines) == 1
    assert [[row.name for row in group.under(where)] for where in group.places] != [["unet", "fpn", "fcn"]] * 3
    assert not any(row.beaten_by for row in group.rows)


def test_a_method_that_was_not_timed_has_the_conditions_that_most_rows_have(trained, timing):
    reduced = trained("fcn", inference=[timing(1, 2.0, "reduced")])
    (group,) = groups(trained("unet"), trained("unet", 1), reduced, trained("fpn", inference=[]))
    assert {row.name: row.scored_under[0].timing_budget for row in group.rows} == {
        "unet": "full",
        "fcn": "reduced",
        "fpn": "full",
    }


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
    half = trained("unet", miou=0.7, protocol={"precision": "bf16"}, overrides=("precision",))
    assert sorted(methods(trained("unet", miou=0.6), half, scored(miou=0.65))) == [
        ["mmseg-pspnet", "unet"],
        ["unet", "mmseg-pspnet"],
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


def test_scores_at_another_resolution_never_share_a_ranking_whose_title_says_so_once(trained):
    def defined(text):
        return {"definitions": {"miou": f"miou/union@1{text}", "dice": f"dice/union@1{text}"}}

    halved = {"resize": {"factor": 0.5}}
    native = trained("unet", fields=defined(""), protocol=halved)
    resized = trained(
        "fpn", fields=defined(", labels resized by factor 0.5"), protocol=halved | {"score_at": "resized"}
    )
    assert [group.protocol for group in groups(native, resized)] == [
        "score_at=native, scores.miou=miou/union@1",
        "score_at=resized, scores.miou=miou/union@1, labels resized by factor 0.5",
    ]


def test_records_that_share_a_method_and_differ_in_definitions_never_share_a_ranking(trained):
    one, other = (
        trained(seed=seed, fields={"definitions": {"miou": definition}})
        for seed, definition in enumerate(["miou/union@1", "miou/union@2"])
    )
    other.spec["method"] = one.spec["method"]
    assert len(groups(one, other)) == 2


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


def test_one_ranking_needs_no_name(trained, results):
    assert name_rankings(load([results(trained())])) == [""]


def test_rankings_are_named_by_what_tells_them_apart(trained, results):
    half = trained(subset="labels 0.5", recipe={"labels": (0.5, 1.0)})
    folder = results(trained(), half, trained(dataset="voc", fingerprint="0123456789ab"))
    assert name_rankings(load([folder])) == ["camvid · all labels", "camvid · 50 % of the labels", "voc · all labels"]


def test_the_dataset_is_enough_where_it_differs(trained, results):
    folder = results(trained(), trained(dataset="voc", fingerprint="0123456789ab"))
    assert name_rankings(load([folder])) == ["camvid", "voc"]
