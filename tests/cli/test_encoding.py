"""Output in encodings that lack what tables and names hold."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from segbench.cli.encoding import replace_unencodable, spell_plainly

PROGRAM = """
import sys, typer
from segbench.cli.encoding import make_output_readable
make_output_readable()
typer.echo("41.7 ± 0.3 – 字")
typer.echo("a name \\udcff", err=True)
print("41.7 ± 0.3 – 字")
"""


def output(encoding, *command):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("encoding", "line"),
    [
        ("ascii", b"41.7 +- 0.3 - \\u5b57"),
        ("iso-8859-1", b"41.7 \xb1 0.3 - \\u5b57"),
        ("iso-8859-2", b"41.7 +- 0.3 - \\u5b57"),
        ("cp1252", b"41.7 \xb1 0.3 \x96 \\u5b57"),
        ("koi8-r", b"41.7 +- 0.3 - \\u5b57"),
        ("utf-8", "41.7 ± 0.3 – 字".encode()),
        ("gb18030", "41.7 ± 0.3 – 字".encode("gb18030")),
        ("ascii:replace", None),
    ],
)
def test_what_an_encoding_lacks_is_written_in_plain_letters(encoding, line):
    done = output(encoding, "-c", PROGRAM)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    if line is not None:
        assert done.stdout.splitlines() == [line, line]
        assert done.stderr == b"a name \\xff\n"


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-2", "cp437", "utf-16", "utf-7"])
def test_a_report_is_printed_in_any_encoding(recorded_cell, encoding):
    done = output(encoding, "-m", "segbench", "report", "--full", str(recorded_cell.parent))
    assert done.returncode == 0
    assert done.stderr.decode(encoding) == ""
    assert "fcn" in done.stdout.decode(encoding)


def test_accents_are_left_out_and_other_characters_are_codes():
    assert [spell_plainly(one) for one in "éΔ字"] == ["e", "Delta ", "\\u5b57"]
    error = UnicodeEncodeError("ascii", "5 ± 1", 2, 3, "not in it")
    assert replace_unencodable(error) == ("+-", 3)
