"""The settings of a way to start workers: from options, and from the user's own configuration file."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from segbench.errors import SpecError
from segbench.files import read_file
from segbench.registry.extras import require
from segbench.store.json_file import describe_error

from .commands import check_template
from .slurm import Slurm, check_slurm

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# The ways for which an option is; an option that is not here is for all.
WAYS_OF: dict[str, tuple[str, ...]] = {
    "track": ("local", "ray"),
    "devices": ("local",),
    "address": ("ray",),
    "command": ("command",),
    "workers": ("command", "slurm"),
    "partition": ("slurm",),
    "time": ("slurm",),
    "gres": ("slurm",),
    "cpus": ("slurm", "ray"),
    "mem": ("slurm",),
    "sbatch-line": ("slurm",),
    "resubmit": ("slurm",),
    "wait": ("slurm",),
}


def check_options(way: str, given: Mapping[str, Any]) -> None:
    """Raise SpecError for an option, of those by their names that are not None, that is for another way.

    It also raises it for a way that cannot be gone: without a command that starts a worker, SLURM or Ray.
    """
    for name, value in given.items():
        if value is not None and way not in WAYS_OF[name]:
            ways = " and ".join(f"--on {one}" for one in WAYS_OF[name])
            raise SpecError(f"--{name} is for {ways}, not for --on {way}")
    if way == "command":
        check_template(given.get("command"))
    if way == "slurm":
        check_slurm()
    if way == "ray":
        require("ray", "ray")


def config_file() -> Path:
    """Return the path of the user's configuration file, which need not exist."""
    import platformdirs

    return platformdirs.user_config_path("segbench") / "config.toml"


def read_slurm(options: Mapping[str, Any]) -> Slurm:
    """Return the settings for SLURM: those of options that are not None, else of the table [slurm] of the user's file.

    Lines of both are used. Raises SpecError for a file or value that is wrong.
    """
    path = config_file()
    table = _read_table(path, "slurm")
    of_file = _check(table, f"{path}: [slurm]")
    given = {name: value for name, value in options.items() if value is not None}
    lines = [*of_file.lines, *given.pop("sbatch-line", ())]
    return _check({**dict(of_file), **given, "lines": lines}, "--on slurm")


def _check(settings: Mapping[str, Any], where: str) -> Slurm:
    try:
        return Slurm.model_validate(settings)
    except ValidationError as error:
        raise SpecError(f"{where}: {describe_error(error)}") from error


def _read_table(path: Path, name: str) -> dict[str, Any]:
    """Return a table of a TOML file; empty where there is no file or no such table."""
    try:
        content = tomllib.loads(read_file(path).decode())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SpecError(f"{path} cannot be read as TOML: {error}") from error
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise SpecError(f"{path}: {name} must be a table, written [{name}]")
    return table
