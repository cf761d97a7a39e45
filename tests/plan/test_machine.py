from __future__ import annotations

import os
from pathlib import Path

from segbench.plan.machine import cache_folder, cpu_flags, likely_device, parse_flags, usable_cores


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
