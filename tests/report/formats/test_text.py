from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segbench.config.recipe import Refines
from segbench.report import FORMATS, load, render
from segbench.report.numbers import percent, significant
from segbench.stats.summary import summarize
from segbench.store.record import (
    DeviceState,
    Energy,
    Evaluated,
    Generation,
    PerClass,
    Refinement,
    Settled,
    SweepPoint,
    Timing,
    Train,
)

TERMINAL = """\
camvid / camvid
test, 233 images · data 3f2a9c10d4e5
cuda: NVIDIA H200 · fp32 · batch 8 · 8 threads · not compiled · timed at 360×480

method           mIoU [%]    seeds      pixel    images/s    images/s    training
                                      acc [%]     batch 1     batch 8         [s]
-----------  ------------  -------  ---------  ----------  ----------  ----------
unet_r18     71.00 ± 1.41        2      90.00         250         500         812
fpn|r18 (a)     69.00 ± -        1      90.00         250         500         812
mmseg (b)       65.00 ± -        1      90.00           -           -           -

method          p50 / p95 [ms]     p50 / p95 [ms]    params    GFLOPs at    inference
                       batch 1            batch 8       [M]      360×480        [MiB]
-----------  -----------------  -----------------  --------  -----------  -----------
unet_r18     4.00 / 4.80 (200)  16.0 / 19.2 (200)      14.3         15.8          310
fpn|r18 (a)  4.00 / 4.80 (200)  16.0 / 19.2 (200)      14.3         15.8          310
mmseg (b)                    -                  -         -            -            -

Training

method      images/s    steps    [MiB]
--------  ----------  -------  -------
unet_r18        95.2     9000     1211
fpn|r18         95.2     9000     1211

(a) overrides the benchmark's protocol: optimizer.lr
(b) label maps made elsewhere and only scored here: not trained under this protocol, no cost known
No interval of unet_r18: there are no counts of seeds 0, 1.
No interval of fpn|r18, mmseg: there are no counts of seed 0.

Cells without a result:
  failed: camvid / camvid / deep&wide / seed 1: the loss is NaN at step 17 (plugin losses)
  skipped: camvid / camvid / next / seed 2: the loss is NaN at step 17 (plugin losses)

mIoU (miou/union@1): mean over classes of tp / (tp + fp + fn), counts summed over the split; absent
  classes: left out where the union is empty; a class only predicted, or never found, counts as 0.
  Ignored pixels are counted neither in truth nor in prediction.
Other scores, word for word with `segbench report --format markdown`: pixel_accuracy@1.
Mean ± sample standard deviation over the seeds. A dash is a number that is not known.
Inference: the forward pass alone; latency p50 / p95 of a batch in milliseconds over (n) runs.
  Training: images a second after warm-up, and seconds in all, means over the seeds. MiB: peak
  memory, on a GPU what torch allocated, on a CPU all of the process. GFLOPs: of one image.
Made with segbench 0.1.0, torch 2.15.0.
Records: {folder}/camvid
"""
TEXT = ("table", "markdown", "latex")


@pytest.fixture
def folder(trained, scored, failed, results):
    return results(
        *(trained("unet_r18", seed, miou) for seed, miou in enumerate([0.70, 0.72])),
        trained("fpn|r18", 0, 0.69, protocol={"optimizer": {"lr": 0.1}}, overrides=("optimizer.lr",)),
        scored("mmseg", 0.65),
        failed("deep&wide", 1),
        failed("next", 2, status="skipped"),
    )


def lines_of(text, method):
    return [line for line in text.splitlines() if line.lstrip("| ").startswith(method)]


def test_the_terminal_report_reads_as_it_should(folder):
    assert render([folder]) == TERMINAL.format(folder=folder)


def test_mean_and_deviation_are_in_percent_with_n(folder):
    (results, *_) = lines_of(render([folder]), "unet_r18")
    assert results.split() == ["unet_r18", "71.00", "±", "1.41", "2", "90.00", "250", "500", "812"]


def test_latency_shows_p50_p95_and_n_and_cost_follows(folder):
    (_, costs, _) = lines_of(render([folder]), "unet_r18")
    assert " ".join(costs.split()) == "unet_r18 4.00 / 4.80 (200) 16.0 / 19.2 (200) 14.3 15.8 310"


def test_training_shows_what_its_time_went_into_and_when_it_was_best(trained, results):
    spent = {"shares": {"data": 0.1, "generator": 0.6, "critic": 0.3}, "seconds_to_best": 40.0}
    measured = Train(steps=100, seconds=60.0, images_per_second=20.0, **spent)
    text = squeezed(render([results(trained("unet", fields={"train": measured}), trained("fpn"))]))
    assert "method images/s steps data/generator/critic to the best [MiB]\n[% of time] on val [s]" in text
    assert "unet 20.0 100 10/60/30 40.0 1211" in text
    assert "fpn 95.2 9000 - - 1211" in text


def test_one_seed_has_a_dash_for_its_deviation(folder):
    assert "69.00 ± -" in lines_of(render([folder]), "fpn|r18 (a)")[0]


def test_scored_label_maps_have_dashes_for_their_cost_and_a_note(folder):
    (results, costs) = lines_of(render([folder]), "mmseg (b)")
    assert results.split()[2:] == ["65.00", "±", "-", "1", "90.00", "-", "-", "-"]
    assert set(costs.split()[2:]) == {"-"}
    assert "(b) label maps made elsewhere and only scored here" in render([folder])


def test_overrides_are_marked_and_explained(folder):
    assert "(a) overrides the benchmark's protocol: optimizer.lr" in render([folder])


@pytest.mark.parametrize("format", TEXT)
def test_cells_without_a_result_are_listed_with_cause_and_plugin(folder, format):
    text = render([folder], format=format).replace("\\", "")
    assert "failed: camvid / camvid / deep&wide / seed 1: the loss is NaN at step 17 (plugin losses)" in text
    assert "skipped: camvid / camvid / next / seed 2" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("format", TEXT)
def test_the_text_says_what_miou_means_and_where_the_records_are(folder, format):
    text = " ".join(render([folder], format=format).split())
    assert "mean over classes of tp / (tp + fp + fn), counts summed over the split" in text
    assert "left out where the union is empty" in text
    assert "Made with segbench 0.1.0, torch 2.15.0." in text
    assert str(folder / "camvid").replace("_", "") in text.replace("\\_", "").replace("_", "")


@pytest.mark.parametrize("format", TEXT)
def test_the_same_records_give_the_same_text_without_nan(folder, format):
    text = render([folder], format=format)
    assert text == render([folder], format=format)
    assert text.endswith("\n")
    assert "nan" not in text
    assert "None" not in text


def test_rankings_under_different_conditions_stand_apart_and_warn(trained, results):
    cpu = {"device": "cpu", "device_name": "Xeon", "threads": 2}
    text = render([results(trained("unet"), trained("fpn", environment=cpu))])
    assert text.count("camvid / camvid\n") == 2
    assert "Rows of different rankings above were measured under different conditions" in text


def test_protocols_that_differ_are_stated(trained, results):
    text = render([results(trained("unet"), trained("fpn", protocol={"budget": {"epochs": 3}}))])
    assert "protocol: budget.epochs=3" in text


def test_a_corrupt_record_is_named(trained, results):
    root = results(trained())
    (root / "camvid" / "0123456789abcdef.json").write_text("{")
    assert "Not read:" in render([root])


def test_failures_alone_make_a_report(failed, results):
    text = render([results(failed("unet"))])
    assert text.startswith("Cells without a result:\n  failed: camvid / camvid / unet / seed 0")
    assert "mIoU:" not in text


def test_markdown_tables_escape_pipes_and_have_as_many_cells_as_headers(folder):
    text = render([folder], format="markdown")
    tables = [line.replace("\\|", "") for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == {5, 7, 8}
    assert "fpn\\|r18 (a)" in text


def test_latex_is_booktabs_with_escaped_text(folder):
    text = render([folder], format="latex")
    assert r"\usepackage{booktabs}" in text
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 3
    assert r"unet\_r18 & 71.00 $\pm$ 1.41 & 2 & 90.00 & 250 & 500 & 812 \\" in text
    assert r"deep\&wide" in text
    assert r"mIoU {[}\%]" in text
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize("batches", [[1], []])
def test_a_missing_timing_is_a_dash(trained, results, timing, batches):
    text = render([results(trained("unet", inference=[timing(batch, 4.0) for batch in batches]))])
    assert lines_of(text, "unet")[0].split()[6:8] == [*(["250"] * len(batches)), *(["-"] * (2 - len(batches)))]


ADVERSARIAL = """\
Differences of mIoU
methods A - B difference [points] verdict P(A>B) sign-flip smallest seeds / training
p effect needed time
unet+critic - unet +2.50 ± 0.50 - - - - 3 / - ×1.50
unet+critic - unet+critic~frozen +3.00 ± - - - - - 1 / - ×1.00
unet+critic~frozen - unet -1.00 ± - - - - - 1 / - ×1.50
refined - unet -2.00 ± - - - - - 1 / - ×1.00
Adversarial games
method health gradient critic right [%]
ratio real/fake/val
unet+critic 2 healthy, 1 saturated 0.100 75/50/-
unet+critic~frozen 1 saturated 0.100 75/50/-
Refinement
method base seeds changed corrected spoilt
[% of pixels] [% of changed] [% of changed]
refined unet 1 10.00 ± - 50.00 ± - 25.00 ± -
Generated images
method seeds features KID precision recall diversity nearest health training
[s]
dcgan 1 resnet18 0.0200 ± - 0.800 ± - 0.400 ± - 0.500 - 1 healthy 1219
"""


@pytest.fixture
def critics(trained, adversarial, generating, results):
    verdicts = ["healthy", "saturated", "healthy"]
    refining = {"twin": "unet", "refines": Refines(method="unet")}
    refinement = Refinement(changed=0.1, corrected=0.5, spoilt=0.25)
    return results(
        *(trained("unet", seed, 0.5 + 0.01 * seed) for seed in range(3)),
        *(adversarial("unet+critic", seed, 0.52 + 0.015 * seed, verdict) for seed, verdict in enumerate(verdicts)),
        adversarial("unet+critic~frozen", 0, 0.49, "saturated", recipe={"placebo_of": "unet+critic"}),
        trained("refined", 0, 0.48, recipe=refining, fields={"refinement": refinement}),
        generating(),
        trained("unet", 0, 0.4, subset="fold 1/5"),
        trained("unet", 0, 0.4, subset="labels 0.125"),
    )


def squeezed(text):
    """Return the text without rules and empty lines, one space for several: widths are the affair of tabulate."""
    return "\n".join(" ".join(line.split()) for line in text.splitlines() if set(line) - set("- "))


def test_critics_refiners_and_generated_images_have_tables_of_their_own(critics):
    assert ADVERSARIAL in squeezed(render([critics]))


@pytest.mark.parametrize("format", TEXT)
def test_methods_that_generate_images_have_no_row_beside_those_with_an_miou(critics, format):
    text = render([critics], format=format)
    assert [line.count("±") + line.count("pm") for line in lines_of(text, "dcgan")] == [3, 0, 0]


@pytest.mark.parametrize("format", TEXT)
def test_what_is_left_over_a_placebo_is_explained(critics, format):
    text = " ".join(render([critics], format=format).split()).replace("$\\sim$", "~").replace("\\textasciitilde{}", "~")
    assert "METHOD - METHOD~KIND is what is left of the gain over the placebo" in text
    assert "No interval is computed" not in text


@pytest.mark.parametrize("format", TEXT)
def test_every_verdict_of_trouble_has_its_reason(critics, format):
    text = render([critics], format=format)
    assert "unet+critic, seed 1: saturated: it is saturated" in text
    assert "healthy: it is" not in text


def test_seeds_that_share_a_verdict_are_named_together(adversarial, results):
    text = render([results(*(adversarial(seed=seed, verdict="collapsed") for seed in range(3)))])
    assert "unet+critic, seed 0: collapsed: it is collapsed (so are seeds 1, 2)" in text


def test_a_twin_without_a_row_to_compare_with_is_named(adversarial, results):
    text = render([results(adversarial())])
    assert "unet+critic: its twin unet has not exactly one row in this ranking to compare with." in text
    assert "Differences: same seeds" not in text


def test_cells_that_only_serve_others_are_counted(critics):
    text = " ".join(render([critics]).split())
    assert "Left out of the rankings: 2 cells that only serve others" in text


def test_without_a_feature_network_the_distance_is_never_called_kid(generating, results):
    pixels = Generation(features="pixel statistics", images=9, pixel_statistics=0.5)
    text = render([results(generating(fields={"generation": pixels}))])
    header = lines_of(text, "method")[0]
    assert "pixel" in header
    assert "KID" not in header
    assert "mIoU" not in header


def test_what_does_not_occur_is_not_defined(folder):
    text = render([folder])
    absent = (
        "Differences",
        "Health",
        "Generated",
        "Refinement",
        "Left out",
        "Intervals:",
        "Labels:",
        "Tuning",
        "placebo",
    )
    assert not [word for word in absent if word in text]
    assert not [word for word in ("boundary", "ECE", "Quality", "tier", "joules", "+ argmax") if word in text]


def test_numbers_keep_three_digits():
    assert [significant(value) for value in (0, 0.00123, 1.5, 99.95, 100, 123456)] == [
        "0",
        "0.00123",
        "1.50",
        "100.0",
        "100",
        "123456",
    ]


def test_percent_of_nothing_is_a_dash():
    assert percent(summarize([None])) == "-"


def told(session="one", **choices):
    return Timing(session=session, rivals=["unet", "unet+critic"], threads=2, **{"steady": True, **choices})


@pytest.fixture
def measured(trained, adversarial, counted, timing, results):
    """A twin and a claim of two seeds with counts, all further scores, stages, a sweep and energy."""
    shares = np.random.default_rng(0).uniform(0.4, 0.8, size=12)
    stages = [
        timing(8, 16.0).model_copy(update={"blocks": [500.0, 505.0, 495.0]}),
        timing(8, 20.0).model_copy(update={"stage": "argmax"}),
        timing(8, 40.0).model_copy(update={"stage": "loading"}),
    ]
    energy = Energy(batch=32, joules_per_image=0.5, seconds=31.0)
    sweep = [SweepPoint(batch=8, images_per_second=500.0), SweepPoint(batch=32, images_per_second=900.0)]

    def full(cell):
        record, counts = cell
        more = {"per_image_miou": 0.5, "boundary_iou": 0.25, "boundary_f1": 0.75, "ece": 0.05, "nll": 0.4, "brier": 0.2}
        scores = record.scores.model_copy(update=more)
        state = DeviceState(load=2.5, throttle_reasons=["sw power cap"], other_processes=1)
        timed = told(steady=False, sweep=sweep, energy=energy, before=state)
        return record.model_copy(update={"scores": scores, "inference": stages, "timing": timed}), counts

    return results(
        *(full(counted(trained("unet", seed), shares + 0.01 * seed)) for seed in range(2)),
        *(full(counted(adversarial(seed=seed), shares + 0.1 + 0.01 * seed)) for seed in range(2)),
    )


@pytest.mark.parametrize("format", TEXT)
def test_intervals_tiers_and_verdicts_stand_where_they_were_counted(measured, format):
    text = " ".join(render([measured], format=format).replace("{[}", "[").split())
    assert "95 % interval" in text.replace("\\%", "%")
    assert "tier" in text
    assert "Intervals: 95" in text
    assert "undecided" in text or "better" in text
    assert "No interval" not in text


def test_further_scores_have_a_table_without_the_columns_that_nobody_measured(measured):
    text = squeezed(render([measured]))
    assert "Quality\nmethod per-image boundary boundary ECE [%] NLL Brier\n" in text
    assert "unet 50.00 ± 0.00 25.00 ± 0.00 75.00 ± 0.00 5.00 ± 0.00 0.400 0.200" in text
    assert "HD95" not in text


def test_every_score_that_is_shown_has_its_definition(measured):
    names = ("miou/union@1", "boundary_iou/union@1", "boundary_f1/per-image@1", "ece/top-label-15@1", "nll@1")
    short, full = (" ".join(render([measured], format=format).split()) for format in ("table", "markdown"))
    assert "(miou/union@1): " in short
    for name in names:
        assert name in short
        assert f"({name}): " in full.replace("\\", "")
    assert "hd95" not in short + full


def test_stages_the_best_batch_the_ratio_and_energy_have_a_table(measured):
    text = squeezed(render([measured]))
    assert "Inference at batch 8" in text
    found = [line for line in text.splitlines() if line.startswith("unet+critic 500 [")]
    assert found[0].endswith("400 200 32 (900) 1.00 [1.00, 1.00] 0.500 (batch 32)")


def test_what_could_have_made_times_wrong_is_said(measured):
    text = " ".join(render([measured]).split())
    assert "Timing: 1 other process computed on the device" in text
    assert "Timing: the device slowed its clock: sw power cap." in text
    assert "Timing: never steady in warm-up: unet" in text
    assert "Timed with 2 threads at a load of the machine of 2.5." in text


def test_one_seed_is_marked_and_explained(trained, adversarial, counted, results):
    shares = np.random.default_rng(0).uniform(0.4, 0.8, size=12)
    text = render([results(counted(trained(), shares), counted(adversarial(), shares + 0.1))])
    assert lines_of(text, "unet  ")[0].count("]*") == 1
    assert "]*" in lines_of(text, "unet+critic - unet")[0]
    assert "* One seed: the interval is over images only" in text
    assert "No tier of unet+critic, unet: one seed tells nothing of how seeds differ." in text


def test_a_row_trained_as_long_as_another_says_how_long(trained, adversarial, results):
    def longer(seed, seconds):
        recipe = {"protocol": {"budget": {"epochs": None, "like": "unet+critic"}}, "overrides": ("budget",)}
        return trained("unet@time", seed, fields={"settled": Settled(seconds=seconds)}, **recipe)

    text = render([results(trained("unet"), adversarial(), longer(0, 41.2), longer(1, 45.0))])
    assert "trained 41.2 to 45.0 s, as long as unet+critic" in text
    assert "unet@time (a)" in text
    assert text.count("camvid / camvid\n") == 1


@pytest.mark.parametrize("format", TEXT)
def test_classes_have_a_table_where_it_is_asked_for(trained, results, format):
    evaluated = Evaluated(split="test", images=233, classes=["sky", "road", "car"])
    report = load([results(trained("unet", fields={"evaluated": evaluated}))])
    assert "road" not in FORMATS[format](report)
    text = FORMATS[format](replace(report, with_classes=True)).replace("|", "").replace("&", "")
    assert ["road", "30.00"] in [line.split()[:2] for line in text.splitlines()]


def test_a_table_of_too_many_classes_is_left_to_json(trained, results):
    many = PerClass(iou=[0.5] * 26)
    report = load([results(trained("unet", fields={"per_class": many}))])
    text = FORMATS["table"](replace(report, with_classes=True))
    assert "IoU by class" not in text
    assert "No table of classes: 26 are more than 25; JSON has them all." in text


def test_a_definition_of_another_version_is_named(trained, results):
    text = render([results(trained("unet", fields={"definitions": {"miou": "miou/union@9"}}))])
    assert "mIoU (miou/union@9): a definition of another version of segbench." in text
    assert "(miou/union@1)" not in text
