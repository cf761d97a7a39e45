"""The smallest records, and folders that take no files."""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from segbench.store.leases import Leases
from segbench.store.record import Failure, Record, Scores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from segbench.store.folder import ResultsFolder
    from segbench.store.leases import Lease

KEY = "0123456789abcdef"


@pytest.fixture
def make_record() -> Callable[..., Record]:
    def make(key: str = KEY, status: str = "ok", miou: float = 0.5) -> Record:
        scores = Scores(miou=miou, pixel_accuracy=0.9, mean_accuracy=None, fwiou=None, dice=None)
        return Record(
            key=key,
            benchmark="tiny",
            dataset="shapes",
            subset="all",
            method="fcn",
            seed=0,
            status=status,
            scores=scores if status == "ok" else None,
            spec={"method": {"name": "fcn"}},
            environment={"device": "cpu"},
            error=None if status == "ok" else Failure(cause="the loss is NaN", plugin="losses"),
        )

    return make


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """Mount a file system of 64 kB in memory; skips where that is not permitted."""
    mounted: list[Path] = []

    def mount() -> Path:
        folder = tmp_path / f"mounted-{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("needs the command mount")
        if done.returncode != 0:
            pytest.skip(f"needs permission to mount: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def fill_up() -> Callable[[Path], None]:
    """Write a file into a folder until its file system is full."""

    def fill_up(folder: Path) -> None:
        with (folder / "filler").open("wb", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(bytes(4096))

    return fill_up


@pytest.fixture
def beside() -> Callable[[ResultsFolder, Lease], Lease | None]:
    """Return the lease of a second attempt beside one, which then is of another machine."""

    def beside(folder: ResultsFolder, first: Lease) -> Lease | None:
        for path in (first.path, first.marker):
            path.write_text(json.dumps({**json.loads(path.read_text()), "machine": "elsewhere"}))
        return Leases(folder).join(first.key)

    return beside
