"""What code a component is made of: its source files and the versions of the libraries it needs."""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.errors import PluginError
from segbench.registry.plugin_files import content_of
from segbench.registry.requirements import check_requirements, installed_versions

if TYPE_CHECKING:
    from types import ModuleType

    from segbench.registry import Offer


def source_hash(offer: Offer) -> str:
    """Return 16 hex digits that change with any .py file of the top-level package that defines the component's build.

    A plugin that is a single module counts with its one file; inside a namespace package the first regular package
    counts. A file given with `--plugin` counts as it was read when it was loaded, along with the package that defines
    the build if that is another. Raises PluginError if there is no source file.
    """
    module = _defining_module(offer)
    files: dict[str, bytes] = {}
    if offer.file is None or module.__file__ != str(offer.file):
        files = {name: path.read_bytes() for name, path in _source_files(module).items()}
    if offer.file is not None:
        files[f"--plugin/{offer.file.name}"] = content_of(offer.file)
    if not files:
        raise PluginError(
            f"plugin {offer.plugin!r}: {offer.full_name} is defined in {module.__name__}, which has no source files, "
            "so a change of its code could not be noticed"
        )
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        # Line endings depend on how the package was checked out, not on what it does.
        content = content.replace(b"\r\n", b"\n")
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def required_versions(offer: Offer) -> dict[str, str]:
    """Return the installed version of each distribution in the component's `requires`; ComponentError if one is not."""
    check_requirements(offer)
    return {name: version for name, version in installed_versions(offer).items() if version is not None}


def _defining_module(offer: Offer) -> ModuleType:
    """Return the outermost regular package, or the single module, that defines `build`."""
    parts = _module_name(offer.component.build).split(".")
    for length in range(1, len(parts)):
        name = ".".join(parts[:length])
        module = sys.modules.get(name) or import_module(name)
        if getattr(module, "__file__", None):
            return module
    return sys.modules[".".join(parts)]


def _module_name(build: Any) -> str:
    while isinstance(build, functools.partial):
        build = build.func
    build = inspect.unwrap(build)
    return str(getattr(build, "__module__", None) or type(build).__module__)


def _source_files(module: ModuleType) -> dict[str, Path]:
    """Return the .py files by their path inside the package."""
    if not hasattr(module, "__path__"):
        file = Path(getattr(module, "__file__", None) or "")
        return {file.name: file} if file.suffix == ".py" and file.is_file() else {}
    folders = [Path(folder) for folder in module.__path__]
    return {path.relative_to(folder).as_posix(): path for folder in folders for path in folder.rglob("*.py")}
