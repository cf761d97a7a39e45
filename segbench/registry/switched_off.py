"""Plugins that are switched off: they are not imported at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from segbench.errors import PluginError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

VARIABLE = "SEGBENCH_DISABLED_PLUGINS"  # names with commas between, those of the option among them
BY_OPTION = "SEGBENCH_DISABLED_BY_OPTION"  # those of the option alone, for messages
OPTION = "--disable"


def switched_off() -> dict[str, str]:
    """Return what switches each plugin off, the option or the variable, by the plugin's name."""
    by_option = _names(BY_OPTION)
    return {name: OPTION if name in by_option else VARIABLE for name in (*_names(VARIABLE), *by_option)}


def switch_off(plugins: Iterable[str]) -> None:
    """Switch plugins off by name, here and in processes that inherit the environment."""
    for variable in (VARIABLE, BY_OPTION):
        os.environ[variable] = ",".join(dict.fromkeys([*_names(variable), *plugins]))


def check_known(plugins: Iterable[str], known: Iterable[str]) -> None:
    """Raise PluginError for the name of a plugin that does not exist."""
    there_are = sorted(known)
    for name in plugins:
        if name not in there_are:
            raise PluginError(
                f"{OPTION} {name}: there is no plugin of that name. There is: {', '.join(there_are) or 'none'}."
                f"{nearest(name, there_are)}"
            )


def _names(variable: str) -> list[str]:
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]
