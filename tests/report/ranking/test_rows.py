from __future__ import annotations

import pytest

from segbench.config.recipe import Adversarial, ComponentUse, TrainsOn, UnlabelledTerm
from segbench.report.ranking.groups import rank_records
from segbench.report.records import Sources
from segbench.stats.health import ConstantClass
from segbench.store.record import Evaluated, PerClass

H200 = {"device": "cuda", "device_name": "NVIDIA H200", "threads": 8}


def rows(*records):
    return [row for group in rank_records(Sources(records, (), ())) for row in group.rows]


def test_a_method_timed_with_one_of_its_seeds_is_one_row(trained):
    (row,) = rows(trained("unet", 0), trained("unet", 1, inference=[]))
    assert (row.method, row.seeds, sorted(row.inference)) == ("unet", (0, 1), [1, 8])


def test_two_recipes_under_one_name_are_two_rows_that_say_how_they_differ(trained):
    found = rows(trained("unet", 0), trained("unet", 1, options={"encoder": "resnet34"}))
    assert [row.seeds for row in found] == [(0,), (1,)]
    assert [row.name for row in found] in (["unet (a)", "unet (b)"], ["unet (b)", "unet (a)"])
    assert {note.partition(": ")[2] for row in found for note in row.notes} == {
        "generator.options.encoder=resnet34",
        "it lacks what the others have",
    }


def test_records_that_share_a_method_and_differ_in_its_code_or_packages_are_rows_of_their_own(trained):
    found = [trained("unet", seed) for seed in range(4)]
    for record in found:
        record.spec.update(method=found[0].spec["method"], sources={"smp": "1"}, versions={"smp": "0.5"})
    found[1].spec["sources"] = {"smp": "2"}
    found[2].spec["versions"] = {"smp": "0.6"}
    assert sorted(row.seeds for row in rows(*found)) == [(0, 3), (1,), (2,)]


def test_recipes_have_letters_from_the_oldest_on_and_say_when_they_were_begun_and_how_to_select_them(trained):
    def begun(day, encoder, seed):
        environment = {**H200, "started": f"2026-11-{day}T21:04:59+00:00"}
        return trained("unet", seed, options={"encoder": encoder}, environment=environment)

    new, old = [begun(29, "resnet34", seed) for seed in (0, 1)], [begun(28, "resnet18", seed) for seed in (0, 1)]
    (first, second) = sorted(rows(*new, *old, trained("fpn", environment=H200)), key=lambda row: row.name)[1:]
    assert (first.name, first.records, second.name, second.records) == ("unet (a)", (*old,), "unet (b)", (*new,))
    assert first.notes == (
        f"one of 2 recipes recorded as unet, unet@{old[0].key[:8]}, begun 2026-11-28 21:04: "
        "generator.options.encoder=resnet18",
    )


def test_records_with_the_former_name_of_latent_channels_stand_with_those_that_have_the_present_one(trained):
    former, present = trained(seed=0), trained(seed=1)
    former.spec["method"]["noise_channels"] = former.spec["method"].pop("latent_channels")
    assert [row.seeds for row in rows(former, present)] == [(0, 1)]


def test_a_seed_recorded_under_two_keys_counts_once_and_is_named(trained):
    old = trained("unet", 0, environment={**H200, "started": "2026-11-21T08:00:00+00:00"})
    new = trained("unet", 0, environment={**H200, "started": "2026-11-21T08:00:01+00:00"}, fields={"key": "f" * 16})
    (row,) = rows(old, new)
    assert row.records == (new,)
    assert row.notes == (f"seed 0 is recorded 2 times; the latest, {new.key}, is shown; ignored: {old.key}",)


def test_two_gpus_of_one_model_are_one_kind_of_device(trained):
    (row,) = rows(*(trained("unet", i, environment={**H200, "device": f"cuda:{i}"}) for i in range(2)))
    assert row.seeds == (0, 1)


def test_classes_that_never_occur_are_noted(trained):
    partial = trained("unet").per_class.model_copy(update={"iou": [0.5, 0.4, None]})
    (row,) = rows(trained("unet", fields={"per_class": partial}))
    assert row.notes == ("mIoU over 2 of 3 classes; the others occur in neither truth nor prediction",)


def test_rows_say_over_how_many_views_their_probabilities_are_averaged(trained):
    (row,) = rows(trained(protocol={"tta": {"flip": True, "scales": [0.75, 1.0, 1.25]}}))
    assert row.notes == (
        "probabilities are averaged over 6 views of each image (tta), which its costs of inference include",
    )


def test_rows_of_what_makes_images_speak_of_no_views(generating):
    (row,) = rows(generating(protocol={"tta": {"flip": True, "scales": [1.0]}}))
    assert row.notes == ()


def test_test_images_that_are_in_train_too_are_noted(trained):
    (row,) = rows(trained("unet", fields={"evaluated": Evaluated(split="test", images=6, also_in_train=2)}))
    assert row.notes == ("2 of the 6 test images are in train too, so the score looks too good",)
    (row,) = rows(trained("unet", fields={"evaluated": Evaluated(split="test", images=6, also_in_train=0)}))
    assert row.notes == ()


@pytest.mark.parametrize("iou", [[1.0], [None, 1.0, None]])
def test_a_score_over_one_class_says_nothing_and_the_row_says_so(trained, iou):
    (row,) = rows(trained("unet", fields={"per_class": PerClass(iou=iou)}))
    assert row.notes == ("only one class occurs in truth and prediction, so a score of 100 says nothing",)


def test_the_classes_that_a_network_predicts_everywhere_are_told_with_their_seeds(trained):
    records = [trained("unet", seed, fields={"per_class": PerClass(iou=[0.9, 0.0])}) for seed in range(4)]
    named = records[0].evaluated.model_copy(update={"classes": ["sky", "road"]})
    (row,) = rows(*(record.model_copy(update={"evaluated": named}) for record in records))
    sky, road = ConstantClass(0, 1.0), ConstantClass(1, 0.999)
    marked = row.with_constant({0: sky, 1: road, 3: sky})
    told = "predicts sky everywhere (seeds 0, 3) and road almost everywhere (seed 1)"
    assert marked.notes == (*row.notes, told)
    assert marked.describe_constant((1, 2)) == "predicts road almost everywhere (seed 1)"
    assert marked.describe_constant((2,)) == row.describe_constant((0, 1)) == ""
    assert row.with_constant({}) == row


def test_of_two_timings_the_full_one_with_most_iterations_stands(trained, timing):
    reduced = timing(1, 1.0, "reduced")
    (row,) = rows(trained("unet", 0, inference=[reduced]), trained("unet", 1, inference=[timing(1, 4.0)]))
    assert row.inference == {1: timing(1, 4.0)}


def test_the_memory_of_a_method_is_the_largest_of_its_seeds(trained):
    one = trained("unet", 0)
    more = trained("unet", 1, fields={"cost": one.cost.model_copy(update={"train_peak_bytes": 2**40})})
    (row,) = rows(one, more)
    assert row.cost("train_peak_bytes") == 2**40


@pytest.mark.parametrize(
    "recipe",
    [
        {"adversarial": Adversarial(use="gan/hinge", weight=0.5)},
        {"discriminator": ComponentUse(use="gan/pixel")},
        {"trains_on": TrainsOn(synthetic="spade")},
        {"unlabelled": UnlabelledTerm(pseudo_labels_from="unet")},
    ],
    ids=str,
)
def test_methods_that_differ_in_the_discriminator_or_the_data_are_never_averaged(adversarial, recipe):
    assert [row.seeds for row in rows(adversarial(seed=0), adversarial(seed=1, recipe=recipe))] == [(0,), (1,)]


def test_the_verdicts_of_a_row_name_their_seeds_the_most_frequent_first(adversarial):
    given = ["saturated", "healthy", "healthy"]
    (row,) = rows(*(adversarial(seed=i, verdict=one) for i, one in enumerate(given)))
    assert list(row.verdicts.items()) == [("healthy", (1, 2)), ("saturated", (0,))]


def test_seconds_of_cells_that_shared_a_gpu_are_left_out_and_their_steps_and_scores_are_not(trained):
    alone, together = (trained(seed=seed, environment={**H200, "jobs": 1 + seed}) for seed in (0, 1))
    (row,) = rows(alone, together)
    assert row.train_seconds == {0: 812.4}
    assert [row.train(name).n for name in ("steps", "seconds", "images_per_second")] == [2, 1, 1]
    assert row.score("miou").n == 2
    assert "cells were trained on one GPU at once, so their seconds and speed of training are left out" in row.notes
    assert rows(trained(environment={"device": "cpu", "jobs": 2}))[0].train_seconds == {0: 812.4}
