from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from segbench.registry import load_registry
from segbench.registry.datasets import open_dataset

from .conftest import run

LOUD = """
import ctypes, os, subprocess, sys
print("print")
sys.stdout.buffer.write(b"buffer\\n")
sys.__stdout__.write("first stdout\\n")
os.write(1, b"native\\n")
ctypes.CDLL(None).puts(b"c library")
subprocess.run([sys.executable, "-S", "-c", "print('child')"], check=True)
"""

SAID = ["print", "buffer", "first stdout", "native", "c library", "child"]


def test_stdout_stays_pure_whatever_prints_and_stderr_says_who_it_was(installed):
    done = run(installed(LOUD), "list", "losses", "--json")
    assert "mine/good" in {component["name"] for component in json.loads(done.stdout)["components"]}
    title, *lines = done.stderr.splitlines()
    assert title == "plugin 'mine' (mine-dist 1.0) printed while it was loaded:"
    assert sorted(lines) == sorted(f"  {line}" for line in SAID)


def test_a_stream_that_a_plugin_keeps_from_its_import_writes_to_stderr_later(installed):
    code = "import atexit, sys; atexit.register(print, 'later', file=sys.stdout)"
    done = run(installed(code), "list", "losses", "--json")
    json.loads(done.stdout)
    assert done.stderr == "later\n"


def test_output_without_end_is_cut(installed, capsys):
    installed("print('x' * 100_000)")
    load_registry()
    printed = capsys.readouterr().err
    assert len(printed) < 11_000
    assert "... and more, 100001 bytes in all" in printed


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_closed_stream_does_no_harm(installed, closed):
    folder = installed("print('hello')")
    number = {"stdout": 1, "stderr": 2}[closed]
    program = f"import os, sys; os.close({number}); from segbench.registry import load_registry as load; "
    program += f"found = load().find('loss', 'mine/good'); os.write({3 - number}, b'found')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(folder)}
    )
    assert "found" in done.stdout + done.stderr


def test_what_the_build_of_a_dataset_prints_goes_to_stderr(offer, capfd):
    def build_data():
        from segbench import Dataset

        print("print")
        os.write(1, b"native\n")
        return Dataset(["a"], [(0, 0, 0)], {"train": [None]})

    open_dataset(offer("dataset", build_data), None, {})
    captured = capfd.readouterr()
    assert captured.out == ""
    assert {"print", "native"} <= set(captured.err.split())
