from __future__ import annotations

import pytest

from segbench.report import render
from segbench.report.numbers import percent, significant
from segbench.spec.recipe import Refines
from segbench.stats.summary import summarize
from segbench.store.record import Generation, Refinement

TERMINAL = """\
camvid / camvid
test, 233 images · data 3f2a9c10d4e5
cuda: NVIDIA H200 · fp32 · batch 8 · 8 threads · not compiled · timed at 360×480

method           mIoU [%]    seeds      pixel    images/s    images/s    training    training
                                      acc [%]     batch 1     batch 8    images/s         [s]
-----------  ------------  -------  ---------  ----------  ----------  ----------  ----------
unet_r18     71.00 ± 1.41        2      90.00         250         500        95.2         812
fpn|r18 (a)     69.00 ± -        1      90.00         250         500        95.2         812
mmseg (b)       65.00 ± -        1      90.00           -           -           -           -

method          p50 / p95 [ms]     p50 / p95 [ms]    params    GFLOPs at    training    inference
                       batch 1            batch 8       [M]      360×480       [MiB]        [MiB]
-----------  -----------------  -----------------  --------  -----------  ----------  -----------
unet_r18     4.00 / 4.80 (200)  16.0 / 19.2 (200)      14.3         15.8        1211          310
fpn|r18 (a)  4.00 / 4.80 (200)  16.0 / 19.2 (200)      14.3         15.8        1211          310
mmseg (b)                    -                  -         -            -           -            -

(a) overrides the benchmark's protocol: optimizer.lr
(b) label maps made elsewhere and only scored here: not trained under this protocol, no cost known

Cells without a result:
  failed: camvid / camvid / deep&wide / seed 1: the loss is NaN at step 17 (plugin losses)
  skipped: camvid / camvid / next / seed 2: the loss is NaN at step 17 (plugin losses)

mIoU: one confusion matrix summed over the split, labels at native resolution, ignored pixels
  excluded; IoU = TP / (TP + FP + FN); mean over the classes with a non-empty union. Mean ± sample
  standard deviation over the seeds.
Inference: the forward pass alone; latency p50 / p95 of a batch in milliseconds over (n) runs.
  Training: images a second after warm-up, and seconds in all, means over the seeds. MiB: peak
  memory, on a GPU what torch allocated, on a CPU all of the process. GFLOPs: of one image. A dash
  is a number that is not known.
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
    (results, _) = lines_of(render([folder]), "unet_r18")
    assert results.split() == ["unet_r18", "71.00", "±", "1.41", "2", "90.00", "250", "500", "95.2", "812"]


def test_latency_shows_p50_p95_and_n_and_cost_follows(folder):
    (_, costs) = lines_of(render([folder]), "unet_r18")
    assert " ".join(costs.split()) == "unet_r18 4.00 / 4.80 (200) 16.0 / 19.2 (200) 14.3 15.8 1211 310"


def test_one_seed_has_a_dash_for_its_deviation(folder):
    assert "69.00 ± -" in lines_of(render([folder]), "fpn|r18 (a)")[0]


def test_scored_label_maps_have_dashes_for_their_cost_and_a_note(folder):
    (results, costs) = lines_of(render([folder]), "mmseg (b)")
    assert results.split()[2:] == ["65.00", "±", "-", "1", "90.00", "-", "-", "-", "-"]
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
    assert "one confusion matrix summed over the split" in text
    assert "mean over the classes with a non-empty union" in text
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
    assert {line.count("|") for line in tables} == {9, 8}
    assert "fpn\\|r18 (a)" in text


def test_latex_is_booktabs_with_escaped_text(folder):
    text = render([folder], format="latex")
    assert r"\usepackage{booktabs}" in text
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 2
    assert r"unet\_r18 & 71.00 $\pm$ 1.41 & 2 & 90.00 & 250 & 500 & 95.2 & 812 \\" in text
    assert r"deep\&wide" in text
    assert r"mIoU {[}\%]" in text
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize("batches", [[1], []])
def test_a_missing_timing_is_a_dash(trained, results, timing, batches):
    text = render([results(trained("unet", inference=[timing(batch, 4.0) for batch in batches]))])
    assert lines_of(text, "unet")[0].split()[6:8] == [*(["250"] * len(batches)), *(["-"] * (2 - len(batches)))]


ADVERSARIAL = """\
Against the twin
method twin common mIoU - twin's training health gradient critic right [%]
seeds [points] time ratio real/fake/val
unet+critic unet 3 +2.50 ± 0.50 1.50× 2 healthy, 1 saturated 0.100 75/50/-
unet+critic~frozen unet 1 -1.00 ± - 1.50× 1 saturated 0.100 75/50/-
refined unet 1 -2.00 ± - 1.00× - - -
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
    assert [line.count("±") + line.count("pm") for line in lines_of(text, "dcgan")] == [3, 0]


@pytest.mark.parametrize("format", TEXT)
def test_what_must_not_be_read_into_a_difference_is_said(critics, format):
    text = " ".join(render([critics], format=format).split())
    assert "Exploratory: with fewer than 6 seeds in common no difference can be called significant" in text
    assert "0.5 with 2 seeds" not in text
    assert "1 with 1 seed, 0.25 with 3 seeds." in text
    assert "so that a difference is no verdict" in text


def test_six_seeds_are_not_called_exploratory(trained, adversarial, results):
    records = [make(seed=seed) for make in (trained, adversarial) for seed in range(6)]
    text = render([results(*records)])
    assert "Against the twin" in text
    assert "Exploratory" not in text


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
    assert "Against the twin: same seed" not in text


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
    assert not [word for word in ("Against the twin", "Health", "Generated", "Refinement", "Left out") if word in text]


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
