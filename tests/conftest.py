"""Fixtures that several test packages use."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared_data() -> Path:
    """The folder of real datasets beside the repository."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the real datasets in {folder}")
    return folder


@pytest.fixture
def shared_weights() -> Path:
    """The folder of ImageNet weights beside the repository."""
    folder = SHARED / "weights"
    if not folder.is_dir():
        pytest.skip(f"needs the pretrained weights in {folder}")
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test out of the user's cache and data folders."""
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("SEGBENCH_DATA", raising=False)
