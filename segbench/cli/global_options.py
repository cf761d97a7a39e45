"""Options of the program itself: they may stand anywhere, and workers follow them through the environment."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from segbench.registry import plugin_files, switched_off

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

DEBUG = "--debug"
WITH_VALUE = (switched_off.OPTION, plugin_files.OPTION)

_VARIABLES = (switched_off.VARIABLE, switched_off.BY_OPTION, plugin_files.VARIABLE, plugin_files.EXPECTED)


def global_options_first(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Move the options of the program to the front, where it accepts them; tell whether `--debug` is among them.

    >>> global_options_first(["run", "x.yaml", "--plugin", "net.py", "--debug", "--", "--debug"])
    (['--plugin', 'net.py', '--debug', 'run', 'x.yaml', '--', '--debug'], True)
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    front: list[str] = []
    rest: list[str] = []
    given = iter(arguments[:end])
    for argument in given:
        if argument == DEBUG or argument.startswith(tuple(f"{option}=" for option in WITH_VALUE)):
            front.append(argument)
        elif argument not in WITH_VALUE:
            rest.append(argument)
        elif (value := next(given, None)) is not None:
            front += [argument, value]
        else:  # alone, so that the message is about its missing value
            return [argument], DEBUG in front
    return [*front, *rest, *arguments[end:]], DEBUG in front


def apply_plugin_options(disable: Sequence[str], files: Sequence[Path]) -> None:
    """Switch plugins off and give plugin files; PluginError for a plugin that does not exist and for a wrong file."""
    if files or os.environ.get(plugin_files.VARIABLE):
        from segbench.registry.sources import installed_plugins

        plugin_files.give_files(files, installed_plugins())
    if disable:
        from segbench.registry.sources import found_sources

        switched_off.check_known(disable, found_sources())
        switched_off.switch_off(disable)


@contextmanager
def environment_kept() -> Iterator[None]:
    """Let what one command is told about plugins end with it."""
    before = {name: os.environ.get(name) for name in _VARIABLES}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
