from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from segbench.cli.output import check_can_be_written, columns, print_content, print_or_write, say, write
from segbench.errors import RecordError
from segbench.shown import clean


def test_columns_are_as_wide_as_their_widest_text_and_end_without_spaces():
    assert columns([("a", "bb", "c"), ("aaa", "b", "")], indent="  ") == "  a    bb  c\n  aaa  b"


def test_content_is_printed_as_text_or_as_json_with_paths_as_text(capsys):
    content = {"folder": Path("results"), "cells": 2}
    print_content(content, False, lambda given: f"{given['cells']} cells")
    assert capsys.readouterr().out == "2 cells\n"
    print_content(content, True, str)
    assert json.loads(capsys.readouterr().out) == {"schema": 1, "folder": "results", "cells": 2}


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


def test_a_named_file_is_replaced_as_a_whole(tmp_path):
    """Whoever holds the old file open still reads all of it; a link stays, and so do permissions."""
    file, link = tmp_path / "out", tmp_path / "link"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    with file.open() as reader:
        write(link, "new")
        assert reader.read() == "old"
    assert link.is_symlink()
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new", 0o640)
    assert sorted(tmp_path.iterdir()) == [link, file]


def test_an_old_file_stays_whole_where_the_disk_is_full(tmp_path):
    (tmp_path / "out").write_text("old")
    program = (
        "import resource, signal, sys; from pathlib import Path; from segbench.cli.output import write\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "write(Path(sys.argv[1]), 'new' * 1000)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"cannot write to {tmp_path / 'out'}: File too large; name another file with -o" in done.stderr
    assert (tmp_path / "out").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_what_is_no_file_is_written_in_place(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        write(tmp_path / "pipe", "words")
        assert reader.communicate(timeout=30)[0] == b"words"
    write(Path(os.devnull), "words")
    assert Path(os.devnull).is_char_device()


def test_a_folder_where_the_file_should_be_is_an_error(tmp_path):
    with pytest.raises(RecordError, match=r"cannot write to .*: Is a directory; name another file with -o"):
        write(tmp_path, "")


def test_a_path_in_a_text_that_is_not_utf_8_is_written_as_its_code(tmp_path):
    write(tmp_path / "out", "results in a\udcff\n")
    assert (tmp_path / "out").read_text(encoding="utf-8") == "results in a\\udcff\n"


NAME = "\x1b[2J\u202e\x9b1m"


def test_what_is_printed_steers_no_terminal_and_json_stays_what_it_was(tmp_path, capsys):
    say(NAME, err=True)
    print_content({"name": NAME}, False, lambda given: given["name"])
    print_or_write(NAME, None)
    captured = capsys.readouterr()
    assert captured.err == r"\u001b[2J\u202e\u009b1m" + "\n"
    assert clean(captured.out) == captured.out
    text = json.dumps({"name": NAME}, ensure_ascii=False)
    print_or_write(text, None)
    write(tmp_path / "out", text)
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "out").read_text() == clean(text)
    assert json.loads(printed) == {"name": NAME}
