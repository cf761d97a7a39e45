from __future__ import annotations

import json
from pathlib import Path

import pytest

from segbench.cli.output import check_can_be_written, columns, print_content, print_or_write
from segbench.errors import RecordError


def test_columns_are_as_wide_as_their_widest_text_and_end_without_spaces():
    assert columns([("a", "bb", "c"), ("aaa", "b", "")], indent="  ") == "  a    bb  c\n  aaa  b"


def test_content_is_printed_as_text_or_as_json_with_paths_as_text(capsys):
    content = {"folder": Path("results"), "cells": 2}
    print_content(content, False, lambda given: f"{given['cells']} cells")
    assert capsys.readouterr().out == "2 cells\n"
    print_content(content, True, str)
    assert json.loads(capsys.readouterr().out) == {"folder": "results", "cells": 2}


def test_a_named_file_gets_the_text_and_stderr_says_so(tmp_path, capsys):
    print_or_write("words ± numbers\n", None)
    assert capsys.readouterr().out == "words ± numbers\n"
    print_or_write("words ± numbers\n", tmp_path / "out")
    assert (tmp_path / "out").read_text(encoding="utf-8") == "words ± numbers\n"
    assert capsys.readouterr() == ("", f"wrote {tmp_path / 'out'}\n")


def test_a_file_that_cannot_be_written_is_an_error_that_names_it(tmp_path):
    with pytest.raises(RecordError, match=r"cannot write to .*nowhere/out: No such file or directory; name another"):
        print_or_write("", tmp_path / "nowhere" / "out")
    with pytest.raises(RecordError, match=r"nowhere/out: there is no folder .*nowhere"):
        check_can_be_written(tmp_path / "nowhere" / "out")
    with pytest.raises(RecordError, match="it cannot be written; name another file"):
        check_can_be_written(tmp_path)


def test_a_check_before_writing_creates_nothing(tmp_path):
    check_can_be_written(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
