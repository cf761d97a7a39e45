from __future__ import annotations

import pytest

from segbench.report import TEXT_FORMATS, load
from segbench.report.formats.layout import add_class_tables, lay_out_all
from segbench.shown import clean
from segbench.store.record import Evaluated, Failure

TERMINAL = """\
camvid / camvid
test, 233 images · data 3f2a9c10d4e5
cuda: NVIDIA H200 · fp32 · batch 8 · 8 threads · not compiled · timed at 360×480

method           mIoU [%]  seeds    pixel  images/s  images/s  training
                                  acc [%]   batch 1   batch 8       [s]
-----------  ------------  -----  -------  --------  --------  --------
unet_r18     71.00 ± 1.41      2    90.00       250       500       812
fpn|r18 (a)     69.00 ± -      1    90.00       250       500       812
mmseg (b)       65.00 ± -      1    90.00         -         -         -

method          p50 / p95 [ms]     p50 / p95 [ms]  params  GFLOPs at  inference
                       batch 1            batch 8     [M]    360×480      [MiB]
-----------  -----------------  -----------------  ------  ---------  ---------
unet_r18     4.00 / 4.80 (200)  16.0 / 19.2 (200)    14.3       15.8        310
fpn|r18 (a)  4.00 / 4.80 (200)  16.0 / 19.2 (200)    14.3       15.8        310
mmseg (b)                    -                  -       -          -          -

Training

method    images/s  steps  [MiB]
--------  --------  -----  -----
unet_r18      95.2   9000   1211
fpn|r18       95.2   9000   1211

(a) overrides the benchmark's protocol: optimizer.lr
(b) label maps made elsewhere and only scored here: not trained under this protocol, no cost known
No interval of unet_r18: there are no counts of seeds 0, 1.
No interval of fpn|r18, mmseg: there are no counts of seed 0.

Cells without a result:
  failed: camvid / camvid / deep&wide / seed 1: the loss is NaN at step 17 (plugin losses)
  skipped: camvid / camvid / next / seed 2: the loss is NaN at step 17 (plugin losses)

mIoU (miou/union@1): mean over classes of tp / (tp + fp + fn), counts summed over the split; absent
  classes: left out where the union is empty; a class only predicted, or never found, counts as 0.
pixel accuracy (pixel_accuracy@1): sum of tp over classes / all counted pixels, counts summed over
  the split; absent classes: of no effect: a mean over pixels.
Of all these scores: ignored pixels are counted neither in truth nor in prediction; resolution: the
  labels' own; logits are resized to it, labels never.
a ± b: mean and sample standard deviation over the seeds. -: not known or not measured.
Inference: images a second of the forward pass alone; latency p50 / p95 of a batch in milliseconds
  over (n) runs. Training: images a second after warm-up, and seconds in all, means over the seeds.
  MiB: peak memory; on a GPU what torch allocated, on a CPU all of the process. GFLOPs: of one
  image.
Made with segbench 0.1.0, torch 2.15.0.
Records: {folder}/camvid
"""
TEXT = ("table", "markdown", "latex")


def test_the_terminal_report_reads_as_it_should(folder, whole_text):
    assert whole_text(folder) == TERMINAL.format(folder=folder)


@pytest.mark.parametrize("format", TEXT)
def test_the_same_records_give_the_same_text_without_nan(folder, format, whole_text):
    text = whole_text(folder, format)
    assert text == whole_text(folder, format)
    assert text.endswith("\n")
    assert "nan" not in text
    assert "None" not in text


def test_failures_alone_make_a_report(failed, results, whole_text):
    text = whole_text(results(failed("unet")))
    assert text.startswith("Cells without a result:\n  failed: camvid / camvid / unet / seed 0")
    assert "mIoU:" not in text


@pytest.mark.parametrize("format", TEXT)
def test_cells_without_a_result_are_listed_with_cause_and_plugin(folder, format, whole_text):
    text = whole_text(folder, format).replace("\\", "")
    assert "failed: camvid / camvid / deep&wide / seed 1: the loss is NaN at step 17 (plugin losses)" in text
    assert "skipped: camvid / camvid / next / seed 2" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("format", TEXT)
def test_the_text_says_what_miou_means_and_where_the_records_are(folder, format, whole_text):
    text = " ".join(whole_text(folder, format).split())
    assert "mean over classes of tp / (tp + fp + fn), counts summed over the split" in text
    assert "left out where the union is empty" in text
    assert "Made with segbench 0.1.0, torch 2.15.0." in text
    assert str(folder / "camvid").replace("_", "") in text.replace("\\_", "").replace("_", "")


# Sets the clipboard, clears the screen, turns text around, and begins a line, a cell and a command of its own.
HOSTILE = "x\x1b]52;c;cm0=\x07\x9b2J\u202e\u2028\n|y|\r\n\\\\\\input{/etc/passwd}<b>&"


def of_a_hostile_name(trained, failed):
    """Return records in which every name is hostile."""
    names = {
        "benchmark": "hostile",
        "dataset": HOSTILE,
        "environment": {**trained().environment, "device_name": HOSTILE},
    }
    evaluated = Evaluated(split=HOSTILE, images=9, classes=[HOSTILE, "b", "c"])
    error = {"error": Failure(cause=HOSTILE, plugin=HOSTILE)}
    return [
        *(trained(HOSTILE, seed, fields={"evaluated": evaluated}, **names) for seed in (0, 1)),
        failed(HOSTILE, 2, **names).model_copy(update=error),
    ]


@pytest.mark.parametrize("format", TEXT)
def test_names_in_records_neither_steer_a_terminal_nor_begin_a_line(trained, failed, results, format):
    found = load([results(*of_a_hostile_name(trained, failed))])
    text = TEXT_FORMATS[format](add_class_tables(lay_out_all(found), found))
    assert clean(text) == text
    plain = text.replace(r"\textbackslash{}", "\\").replace(r"\_", "_")
    named = [line for line in plain.splitlines() if "etc/passwd" in line]
    assert len(named) > 5
    assert all("u001b" in line and "u202e" in line for line in named)
