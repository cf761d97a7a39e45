from __future__ import annotations

from pathlib import Path

from segbench.plan.cache_folder import cache_folder


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
