"""Plugins that are a single file, given with `--plugin`: each is read once and identified by its content."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from segbench.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


FILES_VARIABLE = "SEGBENCH_PLUGIN_FILES"  # absolute paths with os.pathsep between

HASHES_VARIABLE = "SEGBENCH_PLUGIN_FILE_HASHES"  # for workers, JSON: the SHA-256 of each as their parent has read it

PLUGIN_OPTION = "--plugin"

_MODULE = "segbench_plugin_file_{}"

_SINGLE = (
    "A plugin that is given as a file is that single file and cannot import those beside it: put everything into it, "
    "or make a package of them (`segbench new` writes one)."
)


def given_files() -> list[Path]:
    """Return the files that the environment names, as they are written there."""
    return [Path(path) for path in os.environ.get(FILES_VARIABLE, "").split(os.pathsep) if path]


def add_files(files: Sequence[Path], installed: Iterable[str]) -> None:
    """Add files to the plugins, here and in processes that inherit the environment; their paths become absolute.

    Raises PluginError for what is no readable .py file, and for the name of an installed plugin or of another file.
    """
    absolute = [file.absolute() for file in files]
    every = list(dict.fromkeys([*(file.absolute() for file in given_files()), *absolute]))
    for file in absolute:
        check_file(file)
        content_of(file)
        if file.stem in installed:
            raise PluginError(
                f"{PLUGIN_OPTION} {file}: a file is a plugin of its own name, and {file.stem!r} is that of an "
                "installed one; rename the file"
            )
        if (other := next((one for one in every if one.stem == file.stem and one != file), None)) is not None:
            raise PluginError(f"{PLUGIN_OPTION} {file}: {other} would be a plugin of the same name; rename one of them")
    os.environ.pop(HASHES_VARIABLE, None)
    os.environ[FILES_VARIABLE] = os.pathsep.join(map(str, every))


def check_file(file: Path) -> None:
    """Raise PluginError if this cannot be a plugin by its name, or is no file."""
    problem = None
    if not file.is_absolute():
        problem = "the path must be absolute"
    elif file.is_dir():
        problem = "this is a folder; give one .py file, or install the package: pip install -e FOLDER"
    elif not file.is_file():
        problem = "there is no such file"
    elif file.suffix != ".py":
        problem = "this is no Python file; its name must end in .py"
    elif not file.stem.isidentifier():
        problem = f"a file is a plugin of its own name, and {file.stem!r} is no name in Python; rename it"
    elif os.pathsep in str(file):
        problem = f"the path holds {os.pathsep!r}, which separates paths; move the file"
    if problem:
        raise PluginError(f"{PLUGIN_OPTION} {file}: {problem}")


@functools.cache
def content_of(file: Path) -> bytes:
    """Return what a file held when this process first read it; PluginError if it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise PluginError(f"{PLUGIN_OPTION} {file}: it cannot be read: {error.strerror}") from error


def sha256_of(file: Path) -> str:
    """Return the SHA-256, in hexadecimal, of the content that this process knows."""
    return hashlib.sha256(content_of(file)).hexdigest()


def expected_hashes() -> dict[str, str]:
    """Return the variable with which a worker refuses files that have changed since this process read them."""
    hashes = {str(file): sha256_of(file) for file in given_files() if file.is_file()}
    return {HASHES_VARIABLE: json.dumps(hashes)} if hashes else {}


@functools.cache
def load_file(file: Path) -> ModuleType:
    """Run a file as a module of its own, which nothing else can import.

    Raises PluginError for a file that has changed since the run was planned, and what the file raises.
    """
    _check_unchanged(file)
    module = ModuleType(_MODULE.format(file.stem))
    module.__file__, module.__package__ = str(file), ""
    module.__spec__ = ModuleSpec(module.__name__, None, origin=str(file))
    sys.modules[module.__name__] = module
    try:
        exec(compile(content_of(file), file, "exec", dont_inherit=True), vars(module))
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


def import_hint(file: Path, error: BaseException) -> str:
    """Return the hint that a plugin file cannot import its neighbours, if that is why it failed; else an empty text."""
    if not isinstance(error, ImportError):
        return ""
    top = (error.name or "").partition(".")[0]
    beside = bool(top) and (file.with_name(f"{top}.py").is_file() or file.with_name(top).is_dir())
    return f" {_SINGLE}" if beside or "relative import" in str(error) else ""


def _check_unchanged(file: Path) -> None:
    expected = json.loads(os.environ.get(HASHES_VARIABLE) or "{}").get(str(file))
    if expected not in (None, sha256_of(file)):
        raise PluginError(
            f"{file} has changed since this run began: its SHA-256 was {expected[:12]}... and is now "
            f"{sha256_of(file)[:12]}...; start the run again"
        )
