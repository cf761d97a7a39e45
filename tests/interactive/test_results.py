"""Frames, comparisons and charts hold the numbers of the report."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import segbench
from segbench.cli import main
from segbench.report import render

from .conftest import CLASSES


@pytest.fixture
def loaded(folder):
    return segbench.load(folder)


@pytest.fixture
def rows(folder):
    """The rows of the JSON report by method."""
    return {row["method"]: row for row in json.loads(render([folder], format="json"))["rows"]}


def test_importing_segbench_loads_no_heavy_library():
    heavy = ("torch", "numpy", "pandas", "pyarrow", "rich", "segbench.report", "segbench.interactive")
    loaded = f"import sys, segbench; print([name for name in {heavy} if name in sys.modules], dir(segbench))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] [")
    assert {"run", "load", "Results", "Component"} <= set(dir(segbench))
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        segbench.lod  # noqa: B018 - it raises


def test_the_table_has_the_numbers_of_json(loaded, rows):
    table = loaded.table().set_index("method")
    assert set(table.index) == set(rows) == {"unet", "unet+critic"}
    for method, row in rows.items():
        found = table.loc[method]
        assert (found.n, found.tier) == (3, row["tier"])
        for score in ("miou", "pixel_accuracy", "dice"):
            assert found[f"{score}_mean"] == row["scores"][score]["mean"]
        assert (found.miou_low, found.miou_high) == (row["miou_interval"]["low"], row["miou_interval"]["high"])
        assert found.parameters == row["cost"]["parameters"]
    twin = rows["unet+critic"]["against_twin"]
    found = table.loc["unet+critic"]
    assert (found.twin_low, found.twin_verdict) == (twin["low"], twin["verdict"])


def test_every_cell_has_a_line_and_their_means_are_the_scores_of_json(loaded, rows):
    cells = loaded.cells()
    for method, row in rows.items():
        own = cells[cells.method == method]
        assert own.key.tolist() == row["keys"]
        assert own.miou.mean() == pytest.approx(row["scores"]["miou"]["mean"], rel=1e-12)
        assert own.train_seconds.mean() == pytest.approx(row["train"]["seconds"]["mean"])
    (broken,) = cells[cells.status != "ok"].itertuples()
    assert (broken.method, broken.status) == ("fpn", "failed")
    assert broken.cause == "the loss is NaN at step 17 (plugin losses)"
    assert str(cells.started.dtype).endswith("UTC]")
    assert cells.fold.isna().all()


def test_classes_have_the_means_of_json(loaded, rows):
    classes = loaded.per_class()
    for method, row in rows.items():
        own = classes[classes.method == method]
        assert own["class"].tolist() == CLASSES
        assert own.iou.tolist() == row["class_iou"]
        assert own.seeds.tolist() == [3, 3]


def test_pixels_of_images_add_up_to_the_scores_of_json(loaded, rows):
    images = loaded.per_image()
    assert len(images) == 2 * 3 * 2 * 2
    sums = images.groupby(["method", "class", "seed"], observed=True)[["intersection", "union"]].sum()
    means = (sums.intersection / sums.union).groupby(["method", "class"], observed=True).mean()
    for method, row in rows.items():
        assert [means[method, name] for name in CLASSES] == pytest.approx(row["class_iou"], rel=1e-12)


def test_cells_without_counts_are_warned_of(folder):
    next(folder.glob("*/*/counts.parquet")).unlink()
    with pytest.warns(UserWarning, match="no counts at"):
        images = segbench.load(folder).per_image()
    assert len(images) == 2 * 5 * 2


def test_curves_have_what_cells_told_while_they_trained_and_their_health(loaded):
    curves = loaded.curves()
    assert set(curves.quantity) == {"loss", "miou", "ratio"}
    one = curves[(curves.name == "unet+critic") & (curves.seed == 1)]
    assert one[["quantity", "step", "value"]].values.tolist() == [
        ["loss", 1, 1.0],
        ["loss", 2, 0.5],
        ["miou", 2, 0.5],
        ["ratio", 5, 0.25],
    ]


def test_a_comparison_is_that_of_the_command(loaded, folder, capsys):
    found = loaded.compare("unet+critic", "unet", margin=1.0)
    assert main(["compare", "unet+critic", "unet", str(folder), "--margin", "1", "--json"]) == 0
    assert found.data == json.loads(capsys.readouterr().out)
    assert repr(found).startswith("A = unet+critic, B = unet: camvid / camvid")
    assert "<table" in found._repr_html_()
    with pytest.raises(segbench.SegbenchError, match="Did you mean 'unet'"):
        loaded.compare("unet+critic", "unett")


def test_a_comparison_takes_the_recipes_that_were_loaded(loaded, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = segbench.load([f"unet+critic={folder}", f"unet={folder}"])
    expected = loaded.compare("unet+critic", "unet").data["comparisons"]
    assert chosen.compare("unet+critic", "unet").data["comparisons"] == expected


def test_it_is_shown_as_the_first_screen_and_names_are_escaped(loaded, folder, capsys):
    assert main(["report", str(folder)]) == 0
    assert f"{loaded!r}\n" == capsys.readouterr().out
    html = loaded._repr_html_()
    assert '<td class="words">unet+critic</td>' in html
    assert "<b>road" not in html
    named = segbench.load([folder], benchmark="camvid")
    assert named._repr_html_() == html


def test_the_page_is_that_of_the_command(loaded, folder, tmp_path):
    path = loaded.report(tmp_path / "page.html")
    assert path.read_text(encoding="utf-8") == render([folder], format="html")


def test_a_chart_is_shown_and_written(loaded, tmp_path):
    figure = loaded.figure("differences")
    assert figure._repr_svg_().startswith("<svg")
    assert "differences" in repr(figure)
    assert figure.save(tmp_path / "one.pdf").read_bytes().startswith(b"%PDF")
    assert 'width="85mm"' in figure.save(tmp_path / "one.svg", millimetres=85).read_text()
    with pytest.raises(segbench.SegbenchError, match=r"cannot be written as '\.png'; use \.svg or \.pdf"):
        figure.save(tmp_path / "one.png")
    with pytest.raises(segbench.SegbenchError, match="Did you mean 'differences'"):
        loaded.figure("diferences")


def test_a_selector_shows_one_recipe_and_a_missing_folder_is_told(folder, rows):
    key = rows["unet"]["keys"][0]
    assert set(segbench.load([folder, f"unet@{key}"]).table().method) == {"unet", "unet+critic"}
    with pytest.raises(segbench.SegbenchError, match="no results folder at nowhere"):
        segbench.load("nowhere")


def test_ipython_shows_the_message_of_an_error_alone():
    assert segbench.DataError("no file\x1b[31m")._render_traceback_() == ["DataError: no file\\u001b[31m"]
