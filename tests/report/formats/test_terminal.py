import pytest
from rich.cells import cell_len

from segbench.report import TEXT_FORMATS, load
from segbench.report.formats.layout import add_class_tables, lay_out_all
from segbench.report.formats.terminal import draw_table
from segbench.report.numbers import Table
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


WIDTHS = (60, 80, 120, 200)
HEADERS = ["method", "mIoU [%]", "95 % interval", "A - twin\n[points]", "verdict", "images/s\nbatch 8"]
ROW = ["unet+critic~frozen", "57.48 ± 3.85", "[44.93, 70.03]", "-2.11 [-8.36, +4.14]", "undecided", "20.0"]


def table(*rows, headers=HEADERS, words=(0, 4)):
    return Table(headers, [list(row) for row in rows], words=words)


def widest(text):
    return max(map(cell_len, text.splitlines()))


def test_without_a_width_a_table_is_as_wide_as_its_cells():
    text = draw_table(table(ROW))
    assert text.splitlines()[-1] == "  ".join(
        ["unet+critic~frozen", "57.48 ± 3.85", "[44.93, 70.03]", "-2.11 [-8.36, +4.14]", "undecided", "    20.0"]
    )
    assert draw_table(table(ROW), 200) == text


@pytest.mark.parametrize("width", WIDTHS)
def test_a_table_fits_the_width_and_keeps_every_header_and_cell(width):
    text = draw_table(table(ROW, ["plain", "49.66 ± 7.13", "-", "-", "-", "95.2"]), width)
    assert widest(text) <= width
    whole = "".join(text.split())
    assert all(part in whole for header in HEADERS for part in header.split())
    assert all(part in whole for cell in ROW for part in cell.split())


def test_columns_that_do_not_fit_stand_below_behind_the_first():
    headers = ["method", *(f"class {number}" for number in range(12))]
    text = draw_table(Table(headers, [["unet", *(f"{number}.25" for number in range(12))]]), 60)
    blocks = text.split("\n\n")
    assert len(blocks) == 2
    assert [block.split()[0] for block in blocks] == ["method", "method"]
    assert all(f"{number}.25" in text for number in range(12))
    assert widest(text) <= 60


def test_a_long_name_breaks_at_its_marks_and_goes_on_indented():
    name = "smp/unet_efficientnet_b7+critic~frozen"
    lines = draw_table(table([name, *ROW[1:]]), 100).splitlines()
    started = next(place for place, line in enumerate(lines) if line.startswith("smp/unet"))
    assert lines[started + 1].startswith(" ")
    assert "57.48 ± 3.85" in lines[started]
    assert "".join(line[:20].strip() for line in lines[started : started + 4] if line).startswith("smp/unet")


def test_numbers_break_before_their_interval_only():
    lines = draw_table(Table(["", "difference"], [["x" * 35, "-2.11 [-8.36, +4.14]"]]), 54).splitlines()
    assert any(line.endswith("-2.11 [-8.36, +4.14]") for line in lines)
    narrow = Table(["", *"abc"], [["name", *["-2.11 [-8.36, +4.14]"] * 3]])
    assert [line.split() for line in draw_table(narrow, 55).splitlines()[2:]] == [
        ["name", "-2.11", "-2.11", "-2.11"],
        ["[-8.36,", "+4.14]"] * 3,
    ]


def test_a_word_without_end_loses_its_middle_and_says_so():
    text = draw_table(Table(["method", "tier"], [["a" * 300 + "b" * 300, "1"]]), 60)
    assert "…" in text
    assert text.count("\n") < 8
    assert widest(text) <= 60


def test_wide_characters_count_twice():
    text = draw_table(Table(["方法", "tier"], [["分割网络" * 20, "1"]]), 60)
    assert widest(text) <= 60


def test_a_terminal_narrower_than_a_table_can_be_gets_forty_columns():
    assert draw_table(table(ROW), 1) == draw_table(table(ROW), 40)
