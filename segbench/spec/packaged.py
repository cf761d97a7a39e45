"""Benchmark files that come with segbench, found by name; others are found by path."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from segbench.errors import SpecError, nearest

SUFFIXES = (".yaml", ".yml")


def packaged_benchmarks() -> list[str]:
    """Return the names of the benchmarks that come with segbench."""
    return sorted(_packaged())


def find_benchmark(name_or_path: str) -> Path:
    """Return the file of a packaged benchmark, or the path itself if it is one.

    What ends in .yaml or .yml, or holds a path separator, is a path; anything else is a name. Raises SpecError if
    there is no such file or name.
    """
    path = Path(name_or_path).expanduser()
    if path.suffix in SUFFIXES or any(mark in name_or_path for mark in (os.sep, "/")):
        return _existing(path)
    packaged = _packaged()
    if name_or_path in packaged:
        return packaged[name_or_path]
    if path.is_file():
        return path
    raise SpecError(_unknown(name_or_path, sorted(packaged)))


def _packaged() -> dict[str, Path]:
    found = [Path(str(entry)) for entry in files("segbench.benchmarks").iterdir()]
    return {path.stem: path for path in found if path.suffix in SUFFIXES}


def _existing(path: Path) -> Path:
    if path.is_dir():
        raise SpecError(f"{path} is a folder, not a benchmark file{_files_in(path)}")
    if not path.exists():
        raise SpecError(f"there is no benchmark file {path}{_files_in(path.parent)}")
    return path


def _files_in(folder: Path) -> str:
    if not folder.is_dir():
        return f"; there is no folder {folder}"
    names = sorted(path.name for path in folder.iterdir() if path.suffix in SUFFIXES)
    return f"; in {folder} there are {', '.join(names)}" if names else f"; in {folder} there is no .yaml file"


def _unknown(name: str, packaged: list[str]) -> str:
    here = [name + suffix for suffix in SUFFIXES if Path(name + suffix).is_file()]
    hint = f" If you mean the file {here[0]}, write it with its ending." if here else nearest(name, packaged)
    return (
        f"there is no packaged benchmark {name!r}; packaged are {', '.join(packaged)}."
        f"{hint} A benchmark file of your own is given by its path."
    )
