"""Which plugin an error is blamed on."""

from __future__ import annotations

import sys

import pytest

from segbench.execute.blame import blame_for_crash, blame_for_files


@pytest.fixture
def broken_plugin(tmp_path, monkeypatch):
    """Install a plugin `broken` beside the others."""
    package = tmp_path / "broken_plugin"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported to find its source')")
    (package / "network.py").write_text(
        "import ctypes\n\ndef build():\n    return sorted([1, 'a'])\n\ndef crash():\n    ctypes.string_at(0)\n"
    )
    (package / "other").mkdir()
    information = tmp_path / "broken-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[segbench]\nbroken = broken_plugin\nother = broken_plugin.other\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    return package


def test_the_innermost_file_of_a_plugin_decides(broken_plugin):
    assert blame_for_files(["/lib/torch/nn.py", str(broken_plugin / "network.py"), "/elsewhere.py"]) == "broken"


def test_two_plugins_of_one_package_are_told_apart(broken_plugin):
    assert blame_for_files([str(broken_plugin / "other" / "network.py")]) == "other"


def test_nobody_is_blamed_for_a_file_of_no_plugin(broken_plugin):
    assert blame_for_files(["/lib/torch/nn.py", "<string>"]) is None


def test_the_thread_that_crashed_comes_before_the_others(broken_plugin):
    log = (
        'Thread 0x1 (most recent call first):\n  File "/lib/threading.py", line 3 in wait\n\n'
        "Current thread 0x2 (most recent call first):\n"
        f'  File "{broken_plugin / "network.py"}", line 4 in build\n'
    )
    assert blame_for_crash(log) == "broken"


def test_a_worker_blames_the_plugin_that_raised_or_crashed(broken_plugin, outcome_of):
    (broken_plugin / "__init__.py").write_text("")
    raised, crashed = outcome_of("raises_in_plugin").failure, outcome_of("crashes_in_plugin").failure
    assert raised.plugin == crashed.plugin == "broken"
    assert raised.cause.startswith("TypeError: '<' not supported")


def test_a_cause_of_the_engines_own_finding_is_nobodys_fault(broken_plugin, outcome_of):
    (broken_plugin / "__init__.py").write_text("")
    failure = outcome_of("cell_error_from_plugin").failure
    assert (failure.cause, failure.plugin) == ("the loss became nan by step 3", None)
