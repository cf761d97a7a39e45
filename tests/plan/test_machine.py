from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from segbench.plan import machine
from segbench.plan.machine import (
    cache_folder,
    cpu_flags,
    likely_device,
    likely_gpus,
    parse_flags,
    source_commit,
    usable_cores,
)


def test_usable_cores_are_those_this_process_may_run_on():
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


def test_flags_are_those_of_the_first_processor():
    text = "processor\t: 0\nflags\t\t: fpu avx512_bf16\n\nprocessor\t: 1\nflags\t\t: fpu\n"
    assert parse_flags(text) == {"fpu", "avx512_bf16"}


def test_a_processor_that_lists_no_flags_has_unknown_ones():
    assert parse_flags("processor\t: 0\nFeatures\t: fp asimd\n") is None


def test_this_machine_can_be_asked():
    flags = cpu_flags()
    assert flags is None or "fpu" in flags
    assert likely_device() in ("cpu", "cuda")


@pytest.mark.parametrize(("visible", "number"), [(None, 2), ("1", 1), ("", 0), ("0,1,2", 2)])
def test_gpus_are_those_that_show_and_are_visible(tmp_path, monkeypatch, visible, number):
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.setattr(machine, "DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert likely_gpus() == number


@pytest.fixture
def installed(monkeypatch):
    """Let the installed segbench say in its direct_url.json where it is from."""

    def installed(content):
        class Distribution:
            def read_text(self, name):
                return content if name == "direct_url.json" else None

        monkeypatch.setattr("importlib.metadata.distribution", lambda name: Distribution())
        source_commit.cache_clear()

    yield installed
    source_commit.cache_clear()


def test_the_commit_is_that_of_the_installation(installed):
    installed(json.dumps({"url": "https://example.org", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}}))
    assert source_commit() == "c0ffee"


def test_without_a_repository_there_is_no_commit(installed, monkeypatch, tmp_path):
    installed(None)
    monkeypatch.setattr(machine, "__file__", str(tmp_path / "segbench/plan/machine.py"))
    assert source_commit() is None


def test_the_commit_of_a_checkout_tells_whether_files_were_changed(installed, monkeypatch, tmp_path):
    installed(None)
    monkeypatch.setattr(machine, "__file__", str(tmp_path / "segbench/plan/machine.py"))

    def git(*arguments):
        settings = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
        command = ["git", *settings, "-C", str(tmp_path), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    file = tmp_path / "code.py"
    file.write_text("one = 1\n")
    git("init", "-q")
    git("add", "code.py")
    git("commit", "-qm", "One")
    commit = git("rev-parse", "HEAD")
    assert source_commit() == commit
    file.write_text("two = 2\n")
    source_commit.cache_clear()
    assert source_commit() == f"{commit}-dirty"


def test_the_variable_decides(monkeypatch, tmp_path):
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"


def test_a_relative_folder_becomes_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGBENCH_CACHE", "mine")
    assert cache_folder() == tmp_path / "mine"


def test_without_the_variable_it_is_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("SEGBENCH_CACHE", "")
    folder = cache_folder()
    assert folder.is_absolute()
    assert folder != Path.cwd()
    assert "segbench" in folder.parts
