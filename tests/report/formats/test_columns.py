from __future__ import annotations

import pytest

from segbench.cli.app import main
from segbench.errors import SpecError
from segbench.report import load
from segbench.report.formats.layout import lay_out_columns
from segbench.report.formats.terminal import to_terminal

from .conftest import lines_of


def test_columns_stand_in_the_order_in_which_they_are_named(folder):
    text = to_terminal(lay_out_columns(load([folder]), ["seeds", "miou", "flops"]))
    assert "method       seeds      mIoU [%]  GFLOPs at" in text.splitlines()
    assert lines_of(text, "unet_r18")[0].split() == ["unet_r18", "2", "71.00", "±", "1.41", "15.8"]
    assert "Cells without a result" in text


def test_the_difference_to_the_twin_has_its_verdict(measured):
    text = to_terminal(lay_out_columns(load([measured]), ["difference", "verdict"]))
    assert lines_of(text, "unet+critic ")[0].split()[-1] == "better"
    assert lines_of(text, "unet ")[0].split()[1:] == ["-", "-"]


def test_an_unknown_column_is_refused_with_those_there_are(folder):
    with pytest.raises(
        SpecError, match=r"--columns mio: no such column. Did you mean 'miou'\? Columns: miou, interval"
    ):
        lay_out_columns(load([folder]), ["mio"])


def test_every_column_there_is_can_be_shown(measured, capsys):
    with pytest.raises(SpecError) as error:
        lay_out_columns(load([measured]), ["none"])
    names = str(error.value).partition("Columns: ")[2].replace(" ", "")
    for format in ("table", "markdown", "latex"):
        assert main(["report", str(measured), "--columns", names, "--format", format]) == 0
        assert "unet+critic" in capsys.readouterr().out


def test_csv_has_the_columns_of_its_own_names(folder, capsys):
    assert main(["report", str(folder), "--format", "csv", "--columns", "method, n"]) == 0
    assert capsys.readouterr().out.splitlines() == ["method,n", "unet_r18,2", "fpn|r18,1", "mmseg,1"]
    assert main(["report", str(folder), "--format", "csv", "--columns", "seeds"]) == 2
    assert "--columns seeds: no such column." in capsys.readouterr().err


@pytest.mark.parametrize("more", [["--format", "json"], ["--full"], ["--explain"]])
def test_what_has_no_columns_to_choose_refuses_them(folder, more, capsys):
    assert main(["report", str(folder), "--columns", "miou", *more]) == 2
    assert "--columns" in capsys.readouterr().err


def test_marks_of_the_chosen_table_are_explained(trained, counted, results, timing):
    fast = counted(trained("fast", inference=[timing(8, 4.0)]), [0.8, 0.7, 0.9])
    slow = counted(trained("slow", inference=[timing(8, 8.0)]), [0.5, 0.4, 0.6])
    text = to_terminal(lay_out_columns(load([results(fast, slow)]), ["interval"]))
    assert "slow †" in text
    assert "† Another row has a higher mean mIoU and is faster: slow by fast." in text
    assert "* One seed: the interval is over images only" in text
