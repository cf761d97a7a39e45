"""Fixtures that several test packages use."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

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


class Installer:
    """Lays out distributions in a folder, as pip would: a dist-info and the modules beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packages: set[str] = set()

    def __call__(self, distribution: str, plugins: dict[str, str], files: dict[str, str], version: str = "1.0") -> None:
        """Install `files` (path: source) with the entry points `plugins` (name: module)."""
        info = self.folder / f"{distribution}-{version}.dist-info"
        points = "\n".join(f"{name} = {value}" for name, value in plugins.items())
        metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        for path, text in {
            **files,
            f"{info.name}/METADATA": metadata,
            f"{info.name}/entry_points.txt": f"[segbench]\n{points}\n",
        }.items():
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            self.packages.add(path.split("/")[0].removesuffix(".py"))


@pytest.fixture
def install_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installer]:
    """Installs plugins into a folder that is searched for this test only."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    installer = Installer(folder)
    yield installer
    for name in [name for name in sys.modules if name.partition(".")[0] in installer.packages]:
        del sys.modules[name]
