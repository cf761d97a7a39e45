from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from segbench.cli import main
from segbench.store.counts import Counts, write_counts
from segbench.store.folder import ResultsFolder
from segbench.store.record import Evaluated, Failure, PerClass, Record, Scores

KEY = "0123456789abcdef"


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder results/ with one finished and one failed cell, in the current folder."""
    monkeypatch.chdir(tmp_path)
    cell = {"benchmark": "tiny", "dataset": "shapes", "subset": "all", "seed": 0, "spec": {}, "environment": {}}
    scores = Scores(miou=0.5, pixel_accuracy=0.9, mean_accuracy=None, fwiou=None, dice=None)
    folder = ResultsFolder(tmp_path / "results", "tiny")
    folder.write(Record(key=KEY, method="fcn", status="ok", scores=scores, **cell))
    error = Failure(cause="out of memory", plugin="smp")
    folder.write(Record(key="f" * 16, method="unet", status="failed", error=error, **cell))
    return tmp_path / "results"


def test_the_default_is_the_first_screen_of_results_in_the_current_folder(results, capsys):
    assert main(["report"]) == 0
    captured = capsys.readouterr()
    assert "50.00 ± -" in captured.out
    assert "failed: tiny / shapes / unet / seed 0: out of memory (plugin smp)" in captured.out
    more = "\nMore: segbench report results/tiny --full (all tables) or --explain (what each number means)\n"
    assert captured.out.endswith(more)
    assert captured.err == ""


def test_the_page_is_written_into_a_file_and_not_on_a_terminal(results, capsys, monkeypatch):
    assert main(["report", "--format", "html", "-o", "report.html"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "wrote report.html\n")
    assert results.with_name("report.html").read_text().startswith("<!doctype html>")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["report", "--format", "html"]) == 2
    assert "-o report.html" in capsys.readouterr().err


def test_a_page_of_what_has_no_record_says_why(tmp_path, capsys):
    folder = tmp_path / "camvid"
    folder.mkdir()
    assert main(["report", str(tmp_path), "--format", "html", "-o", "report.html"]) == 2
    (folder / ".run").write_text("{}")
    page = tmp_path / "report.html"
    assert main(["report", str(tmp_path)]) == 2
    assert main(["report", str(tmp_path), "--format", "html", "-o", str(page)]) == 0
    assert "A run has begun, and none of its cells is done" in page.read_text()
    (folder / "0123456789abcdef.json").write_text('{"schema": 0}')
    assert main(["report", str(tmp_path), "--format", "html", "-o", str(page)]) == 0
    assert "its schema is 0; this segbench reads " in page.read_text()


@pytest.mark.parametrize("option", ["--full", "--explain", "--per-class", "--pairs"])
def test_the_page_refuses_options_of_text(results, option, capsys):
    assert main(["report", "--format", "html", option]) == 2
    assert f"{option} cannot be used with --format html" in capsys.readouterr().err


def test_full_has_all_tables_and_explain_what_their_numbers_mean(results, capsys):
    main(["report", "--explain"])
    explained = capsys.readouterr().out
    assert explained.startswith("mIoU (miou/union@1): mean over classes of tp / (tp + fp + fn)")
    assert "50.00" not in explained
    main(["report", "--full"])
    full = capsys.readouterr().out
    assert explained in full
    assert "50.00 ± -" in full
    assert "Records: results/tiny\n" in full
    main(["report", "--full", "--explain"])
    assert capsys.readouterr().out == full


@pytest.mark.parametrize("format", ["csv", "json"])
@pytest.mark.parametrize("option", ["--full", "--explain"])
def test_options_that_add_text_are_refused_with_formats_for_programs(results, capsys, format, option):
    assert main(["report", "--format", format, option]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" if format == "csv" else json.loads(captured.out)["error"]["code"] == "usage"
    message = " ".join(captured.err.split())
    assert f"{option} cannot be used with --format {format}; allowed are table, markdown, latex" in message


def test_nothing_is_explained_where_nothing_is_shown(results, capsys):
    (results / "tiny" / f"{KEY}.json").unlink()
    main(["report", "--explain"])
    assert capsys.readouterr().out == "There is no result yet, so there is no number to explain.\n"


def test_folders_and_a_benchmark_can_be_named(results, capsys):
    assert main(["report", str(results), str(results / "tiny"), "--benchmark", "tiny"]) == 0
    assert capsys.readouterr().out.count("50.00") == 1


def test_json_on_stdout_is_pure(results, capsys):
    assert main(["report", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["method"] == "fcn"


def test_csv_says_on_stderr_what_it_leaves_out(results, capsys):
    assert main(["report", "--format", "csv"]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert captured.err.startswith("not in the CSV: failed: tiny / shapes / unet / seed 0")


def test_every_image_and_class_is_a_line_of_the_long_formats(results, capsys):
    folder = ResultsFolder(results, "tiny")
    measured = {"evaluated": Evaluated(split="test", images=1), "per_class": PerClass(iou=[0.5, 0.5])}
    folder.write(folder.read(KEY).model_copy(update=measured))
    write_counts(folder.cell_folder(KEY), Counts(("a",), "test", np.array([[[2, 2], [0, 2]]])))
    assert main(["report", "--format", "long-csv"]) == 0
    captured = capsys.readouterr()
    assert [line.split(",")[-5:] for line in captured.out.splitlines()[1:]] == [
        ["a", "0", "2", "4", "0.5"],
        ["a", "1", "2", "4", "0.5"],
    ]
    assert captured.err.startswith("not in the long-csv: failed: tiny / shapes / unet / seed 0")
    assert main(["report", "--format", "parquet", "-o", "scores.parquet"]) == 0
    assert pd.read_parquet(results.with_name("scores.parquet")).iou.tolist() == [0.5, 0.5]


def test_parquet_needs_a_file_and_cells_without_counts_are_named(results, capsys):
    assert main(["report", "--format", "parquet"]) == 2
    assert "-o scores.parquet" in capsys.readouterr().err
    assert main(["report", "--format", "long-csv"]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1
    assert f"not in the long-csv: no counts at results/tiny/{KEY}/counts.parquet" in captured.err


@pytest.mark.parametrize("format", ["table", "markdown", "csv", "latex", "json"])
def test_a_file_gets_what_stdout_would_get(results, capsys, tmp_path, format):
    main(["report", "--format", format])
    printed = capsys.readouterr().out
    assert main(["report", "--format", format, "-o", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out").read_text(encoding="utf-8") == printed
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"wrote {tmp_path / 'out'}" in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "error: no results folder at nowhere"),
        (["results", "--benchmark", "tin"], "Did you mean 'tiny'? Available: tiny."),
        (["results", "-o", "nowhere/report.txt"], "cannot write to nowhere/report.txt"),
        (["results", "--format", "xml"], "xml"),
    ],
)
def test_a_mistake_is_one_clear_message_and_exit_code_2(results, capsys, arguments, message):
    assert main(["report", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("format", ["table", "markdown", "csv", "json"])
def test_pairs_are_added_in_every_format(results, capsys, format):
    assert main(["report", "--pairs", "--format", format]) == 0
    out = capsys.readouterr().out
    assert {"csv": "group,benchmark,dataset,one,other,difference,seeds,alone_level", "json": '"pairs": []'}.get(
        format, ""
    ) in out


def test_a_selector_shows_one_recipe_of_its_method_only(results, capsys):
    folder = ResultsFolder(results, "tiny")
    first = folder.read(KEY)
    spec, began = {"method": {"generator": {"use": "other"}}}, {"started": "2026-11-28T21:04:00+00:00"}
    folder.write(first.model_copy(update={"key": "a" * 16, "spec": spec, "environment": began}))
    for arguments, shown in (([], 2), (["fcn@0123"], 1), (["fcn@latest", "results"], 1), (["fcn=results/tiny"], 2)):
        assert main(["report", *arguments, "--format", "json"]) == 0
        keys = [row["keys"] for row in json.loads(capsys.readouterr().out)["rows"]]
        assert len(keys) == shown
    main(["report", "--full"])
    text = capsys.readouterr().out
    assert "(a) one of 2 recipes recorded as fcn, fcn@01234567: it lacks what the others have" in text
    assert "begun 2026-11-28 21:04: generator.use=other" in " ".join(text.split())
    assert main(["report", "fcn@x"]) == 2
    assert "no key of 'fcn' begins with 'x'; there are fcn@" in capsys.readouterr().err


def test_classes_have_a_table_where_asked_for(results, capsys):
    folder = ResultsFolder(results, "tiny")
    record = folder.read(KEY)
    folder.write(record.model_copy(update={"per_class": PerClass(iou=[0.25, 0.75])}))
    assert main(["report", "--per-class"]) == 0
    assert "class 1  75.00" in capsys.readouterr().out.replace("     ", "")
    assert main(["report", "--per-class", "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith(",class_iou_0,class_iou_1")
    assert main(["report"]) == 0
    assert "class 1" not in capsys.readouterr().out


def test_a_report_written_among_the_results_does_not_disturb_the_next(results, capsys):
    assert main(["report", "--format", "json", "-o", "results/report.json"]) == 0
    assert main(["report", "--format", "json", "-o", "results/tiny/report.json"]) == 0
    capsys.readouterr()
    assert main(["report"]) == 0
    captured = capsys.readouterr()
    assert "50.00 ± -" in captured.out
    assert "Not read" not in captured.out


def test_the_report_needs_neither_torch_nor_a_terminal_of_any_width(results):
    script = "import sys; from segbench.cli import main; main(['report']); assert 'torch' not in sys.modules"
    environment = {**os.environ, "COLUMNS": "20", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "mIoU [%]" in done.stdout


def test_figures_are_written_beside_what_is_printed(results, capsys):
    assert main(["report", "--figures", "figures"]) == 0
    captured = capsys.readouterr()
    assert "50.00 ± -" in captured.out
    number = len(list((results.parent / "figures").iterdir()))
    assert captured.err == f"{number} figures written to figures\n"
    assert (results.parent / "figures" / "seeds-single.pdf").read_bytes().startswith(b"%PDF")


def test_under_json_figures_that_cannot_be_written_are_one_error(results, capsys):
    (results.parent / "figures").touch()
    assert main(["report", "--json", "--figures", "figures"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], "figures: a part of that path is a file, not a folder" in error["message"]) == (
        "record",
        True,
    )


def test_a_report_without_results_has_no_figures(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    error = Failure(cause="out of memory", plugin="smp")
    cell = {"benchmark": "tiny", "dataset": "shapes", "subset": "all", "seed": 0, "spec": {}, "environment": {}}
    ResultsFolder(tmp_path / "results", "tiny").write(
        Record(key=KEY, method="fcn", status="failed", error=error, **cell)
    )
    assert main(["report", "--figures", "figures"]) == 0
    assert capsys.readouterr().err == "no figure written: there is nothing to draw\n"
