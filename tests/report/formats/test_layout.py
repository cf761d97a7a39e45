from __future__ import annotations

import pytest

from segbench.report import TEXT_FORMATS, load
from segbench.report.build import build_report
from segbench.report.formats.layout import add_class_tables, lay_out_all, list_failures
from segbench.report.records import Sources
from segbench.store.record import Evaluated, FromUpstream, PerClass

from .conftest import lines_of

TEXT = ("table", "markdown", "latex")


def test_scored_label_maps_have_dashes_for_their_cost_and_a_note(folder, whole_text):
    (results, costs) = lines_of(whole_text(folder), "mmseg (b)")
    assert results.split()[2:] == ["65.00", "±", "-", "1", "90.00", "-", "-", "-"]
    assert set(costs.split()[2:]) == {"-"}
    assert "(b) label maps made elsewhere and only scored here" in whole_text(folder)


def test_overrides_are_marked_and_explained(folder, whole_text):
    assert "(a) overrides the benchmark's protocol: optimizer.lr" in whole_text(folder)


def test_rankings_under_different_conditions_stand_apart_and_warn(trained, results, whole_text):
    half = trained("fpn", protocol={"precision": "bf16"}, overrides=("precision",))
    text = whole_text(results(trained("unet"), half))
    assert text.count("camvid / camvid\n") == 2
    assert "Rows of different rankings above were measured under different conditions" in text


@pytest.mark.parametrize("format", TEXT)
def test_rows_of_two_machines_share_a_ranking_that_says_where_they_ran(trained, results, whole_text, format):
    cpu = {"device": "cpu", "device_name": "Xeon", "threads": 2, "torch": "2.15.0"}
    text = whole_text(results(trained("unet"), trained("unet", 1), trained("fpn", environment=cpu)), format)
    told = " ".join(text.replace(r"$\cdot$", "·").split())
    assert "1: cuda: NVIDIA H200 · fp32 · batch 8 · 8 threads" in told
    assert "2: cpu: Xeon · 2 threads" in told
    assert "Under 2" in told
    assert "their rounding differs, which acts like another seed" in told


def test_speeds_of_another_machine_are_not_in_the_first_table_but_in_one_of_their_own(trained, results, whole_text):
    cpu = {"device": "cpu", "device_name": "Xeon", "threads": 2, "torch": "2.15.0"}
    text = whole_text(results(trained("unet"), trained("unet", 1), trained("fpn", environment=cpu)))
    first, costs, training = lines_of(text, "fpn")
    assert first.split()[-5:] == ["2", "90.00", "-", "-", "-"]
    assert "4.00 / 4.80 (200)" in costs
    assert training.split()[-1] == "812"


def test_protocols_that_differ_are_stated(trained, results, whole_text):
    text = whole_text(results(trained("unet"), trained("fpn", protocol={"budget": {"epochs": 3}})))
    assert "protocol: budget.epochs=3" in text


def test_a_corrupt_record_is_named(trained, results, whole_text):
    root = results(trained())
    (root / "camvid" / "0123456789abcdef.json").write_text("{")
    assert "Not read:" in whole_text(root)


@pytest.mark.parametrize("format", TEXT)
def test_every_verdict_of_trouble_has_its_reason(critics, format, whole_text):
    text = whole_text(critics, format)
    assert "unet+critic, seed 1: saturated: it is saturated" in text
    assert "healthy: it is" not in text


def test_seeds_that_share_a_verdict_are_named_together(adversarial, results, whole_text):
    text = whole_text(results(*(adversarial(seed=seed, verdict="collapsed") for seed in range(3))))
    assert "unet+critic, seed 0: collapsed: it is collapsed (so are seeds 1, 2)" in text


def test_seeds_that_failed_for_one_reason_share_a_line(failed):
    cells = (failed("unet", 0), failed("unet", 2), failed("unet", 3, status="skipped"), failed("fpn", 0))
    assert list_failures(build_report(Sources(cells, (), ()))) == [
        "failed: camvid / camvid / unet / seeds 0, 2: the loss is NaN at step 17 (plugin losses)",
        "skipped: camvid / camvid / unet / seed 3: the loss is NaN at step 17 (plugin losses)",
        "failed: camvid / camvid / fpn / seed 0: the loss is NaN at step 17 (plugin losses)",
    ]


def test_cells_that_only_serve_others_are_counted(critics, whole_text):
    text = " ".join(whole_text(critics).split())
    assert "Not in the rankings: 2 auxiliary cells that serve others" in text


def test_what_could_have_made_times_wrong_is_said(measured, whole_text):
    text = " ".join(whole_text(measured).split())
    assert "Timing: 1 other process computed on the device" in text
    assert "Timing: the device slowed its clock: sw power cap." in text
    assert "Timing: never steady in warm-up: unet" in text
    assert "Timed with 2 threads; load of the machine before and after: 2.5." in text


def test_a_row_trained_as_long_as_another_says_how_long(trained, adversarial, results, whole_text):
    def longer(seed, seconds):
        recipe = {"protocol": {"budget": {"epochs": None, "like": "unet+critic"}}, "overrides": ("budget",)}
        return trained("unet@time", seed, fields={"settled": FromUpstream(seconds=seconds)}, **recipe)

    text = whole_text(results(trained("unet"), adversarial(), longer(0, 41.2), longer(1, 45.0)))
    assert "trained 41.2 to 45.0 s, as long as unet+critic" in text
    assert "unet@time (a)" in text
    assert text.count("camvid / camvid\n") == 1


@pytest.mark.parametrize("format", TEXT)
def test_classes_have_a_table_where_it_is_asked_for(trained, results, format):
    evaluated = Evaluated(split="test", images=233, classes=["sky", "road", "car"])
    report = load([results(trained("unet", fields={"evaluated": evaluated}))])
    assert "road" not in TEXT_FORMATS[format](lay_out_all(report))
    text = TEXT_FORMATS[format](add_class_tables(lay_out_all(report), report)).replace("|", "").replace("&", "")
    assert ["road", "30.00"] in [line.split()[:2] for line in text.splitlines()]


def test_a_table_of_too_many_classes_is_left_to_json(trained, results):
    many = PerClass(iou=[0.5] * 26)
    report = load([results(trained("unet", fields={"per_class": many}))])
    text = TEXT_FORMATS["table"](add_class_tables(lay_out_all(report), report))
    assert "IoU by class" not in text
    assert "No table of classes: 26 are more than 25; JSON has them all." in text


@pytest.mark.parametrize("format", TEXT)
def test_intervals_tiers_and_verdicts_stand_where_they_were_counted(measured, format, whole_text):
    text = " ".join(whole_text(measured, format).replace("{[}", "[").split())
    assert "95 % interval" in text.replace("\\%", "%")
    assert "tier" in text
    assert "Interval: 95" in text
    assert "undecided" in text or "better" in text
    assert "No interval" not in text
